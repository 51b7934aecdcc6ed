"""How far the sweeps of a run came, from what is stored of them."""

import json
from dataclasses import replace

import pytest

from pymanip_run.core.course import course_of, course_text, hash_of, resumed_runs
from pymanip_run.records import SweepPoint
from pymanip_run.storage.memory import MemoryStore


class Story:
    """A session in memory with runs whose sweep came so far."""

    def __init__(self):
        self.store = MemoryStore()
        self.count = 0

    def run(self, points, *, first=0, resumes=None, total=10, end=None, text=None):
        number = len(self.store.runs())
        about = {"plan": {"values": []}, "points": total}
        if resumes is not None:
            about |= {"resumes": resumes, "first": first}
        text = course_text({"s": about}, {"title": "t"}) if text is None else text
        self.store.put_run(0, number, {"start": 0.0}, {"sweeps": text})
        for point in points:
            self.count += 1
            self.store.append_point(number, SweepPoint("s", point, self.count, self.count))
        if end is not None:
            self.store.append_point(number, SweepPoint("s", end, 0, 0, "end"))
        return number

    def past(self, number):
        return course_of(self.store, self.store.runs(), number).sweeps["s"]


@pytest.fixture
def story():
    return Story()


def test_a_run_without_points_is_at_its_beginning(story):
    past = story.past(story.run([]))
    assert (past.done, past.total, past.ended, past.progress) == (0, 10, False, "0 of 10 points")


def test_all_points_are_the_end(story):
    assert story.past(story.run(range(10))).ended
    assert not story.past(story.run(range(9))).ended


def test_where_the_number_is_not_known_the_end_was_recorded(story):
    open_end = story.past(story.run(range(4), total=None))
    assert (open_end.ended, open_end.progress) == (False, "4 points")
    assert story.past(story.run(range(4), total=None, end=4)).ended
    assert story.past(story.run([], total=None, end=0)).ended


def test_a_point_that_is_missing_ends_what_counts(story):
    assert story.past(story.run([0, 1, 3, 4])).done == 2


def test_the_runs_before_count_up_to_where_the_next_began(story):
    first = story.run(range(4))
    second = story.run([4, 5], first=4, resumes=first)
    third = story.run([6], first=6, resumes=second)
    past = story.past(third)
    assert [p.number for p in past.points] == list(range(7))
    assert [p.ns for p in past.points] == list(range(1, 8))
    assert story.past(first).done == 4


def test_points_that_were_measured_again_count_as_they_were_measured_last(story):
    first = story.run([0, 1, 3, 4])  # the third was lost
    second = story.run([2, 3], first=2, resumes=first)
    past = story.past(second)
    assert [(p.number, p.ns) for p in past.points] == [(0, 1), (1, 2), (2, 5), (3, 6)]


def test_a_run_that_began_anew_does_not_count_what_was_before(story):
    story.run(range(4))
    assert story.past(story.run([0])).done == 1


def test_it_is_known_which_runs_were_gone_on_after(story):
    first = story.run(range(4))
    story.run([])
    story.run([4], first=4, resumes=first)
    assert resumed_runs(story.store.runs()) == {first}


def test_only_the_runs_that_it_went_on_after_are_looked_at(story):
    class Unread(dict):
        def get(self, *_):
            raise AssertionError("looked at")

    story.run(range(3))
    story.run(range(5))
    story.run(range(3, 6), first=3, resumes=0)
    runs = story.store.runs()
    runs[1] = replace(runs[1], texts=Unread())
    assert course_of(story.store, runs, 2).sweeps["s"].done == 6


def test_a_run_without_sweeps_has_no_course(story):
    story.store.put_run(0, 0, {"start": 0.0}, {})
    assert course_of(story.store, story.store.runs(), 0) is None


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", '{"sweeps": 3}', '{"sweeps": {"s": 3}}', '{"sweeps": {"s": {}}}',
        '{"sweeps": {"s": {"plan": 3}}}', '{"sweeps": {"s": {"plan": {}, "points": "many"}}}',
        '{"sweeps": {"s": {"plan": {}, "first": -1}}}', '{"sweeps": {"s": {"plan": {}, "resumes": 0.5}}}',
        '{"sweeps": {}, "file": []}', "[" * 1000,
    ],
)  # fmt: skip
def test_a_text_that_makes_no_sense_is_no_course(story, text):
    number = story.run([], text=text)
    assert course_of(story.store, story.store.runs(), number) is None


@pytest.mark.parametrize("resumes", [0, 1, 5])
def test_a_run_that_went_on_after_itself_or_one_that_is_not_there_is_taken_by_itself(
    story, resumes
):
    text = json.dumps({"sweeps": {"s": {"plan": {}, "points": 3, "resumes": resumes, "first": 0}}})
    assert story.past(story.run([0], text=text)).done == 1


def test_the_hash_of_a_file_does_not_depend_on_the_order_of_its_keys():
    assert hash_of({"a": 1, "b": {"c": 2, "d": 3}}) == hash_of({"b": {"d": 3, "c": 2}, "a": 1})
    assert hash_of({"a": 1}) != hash_of({"a": 2})
