"""The page of a report: complete, escaped, bounded, and needing nothing else."""

import io
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from pymanip_run.cli.format import session_text
from pymanip_run.core.view import SessionView
from pymanip_run.describe.difference import differences
from pymanip_run.export.report.page import Report, write_report
from pymanip_run.export.report.timeline import episodes
from pymanip_run.records import Event, SweepPoint
from pymanip_run.storage.memory import MemoryStore
from pymanip_run.storage.values import encode_value

SECOND = 10**9
START = 1_763_800_000 * SECOND
HOSTILE = "</title></pre><script>alert(1)</script><img src=x onerror=alert(1)>'\"&\x1b[31m\u202e"
VOID = {"meta", "br", "img", "line", "path", "rect"}


class Parsed(HTMLParser):
    """A page in its parts; fails where elements are not closed as they were opened."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.attributes, self.texts = [], [], [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts.append(data)

    @property
    def text(self):
        return "".join(self.texts)

    def headings(self):
        return re.findall(r"\S+", " ".join(t for t in self.texts if t in SECTIONS))


SECTIONS = [
    "Run", "Plots", "Statistics", "Sweeps", "Events", "Parameters", "Metadata", "Datasets", "Provenance", "Comparison",
]  # fmt: skip


def page_of(store, **options):
    file = io.BytesIO()
    write_report(Report(SessionView(store, "cell"), "cell.h5", 1000, **options), file)
    return file.getvalue().decode()


def put(store, ns, name, value):
    store.append_array(ns, name, *encode_value(name, value))


def full(word="T"):
    """A session that holds a little of everything, called by one word."""
    store = MemoryStore(word)
    store.put_parameter(START, word, word, word)
    store.put_metadata(START, word, {word: [word, None, math.nan]})
    store.put_attributes(START, word, {"unit": word, "label": word})
    texts = {
        "experiment": word, "git_diff": f"diff --git a/x b/{word}\n-{word}\n+{word}", "overrides": word,
        "git_commit": word, "argv": json.dumps([word]), "packages": json.dumps({word: word}), "module": word,
        "sweeps": json.dumps({"sweeps": {word: {"plan": {}, "points": 5}}}),
    }  # fmt: skip
    for index in range(2):
        told = {
            "start": START / 1e9,
            "stop": START / 1e9 + 50,
            "exit_code": index,
            "exit_reason": word,
        }
        store.put_run(START, index, told | {"host": word, "user": word}, texts)
    for i in range(50):
        store.append_row(START + i * SECOND, (word, "_point_" + word), (i / 7, float(i // 10)))
    put(store, START + SECOND, word, np.arange(12.0).reshape(3, 4))
    put(store, START + 2 * SECOND, word, word)
    put(store, START + SECOND, "spectrum", np.arange(5000) % 7)
    put(store, START + SECOND, "settings", {word: [word]})
    for kind in ("note", "alarm", "error", "damage", word[:20]):
        store.append_event(Event(START + 10 * SECOND, kind, word, word))
    store.put_metadata(START, "_figures", [{"variables": [word], "title": word, "yscale": "log"}])
    for number in range(4):
        begin = START + number * 10 * SECOND
        point = SweepPoint(
            word,
            number,
            begin,
            begin + 9 * SECOND,
            "failed" if number == 3 else "done",
            str(number),
        )
        store.append_point(0, point)
    return store


def page_with_another(word="T", other="U"):
    """The page of such a session, with what differs in one that is called by another word."""
    views = [SessionView(full(one), one) for one in (other, word)]
    return page_of(full(word), difference=differences(*views, (f"{other}.h5", "cell.h5")))


@pytest.fixture(scope="module")
def page():
    return page_with_another()


def test_it_has_all_its_parts_in_their_order(page):
    assert Parsed(page).headings() == SECTIONS


def test_it_asks_nobody_for_anything_and_runs_nothing(page):
    parsed = Parsed(page)
    assert "script" not in parsed.tags
    assert "link" not in parsed.tags
    for name, value in parsed.attributes:
        assert not name.startswith("on")
        if name in {"src", "href", "action", "data", "poster", "xlink:href"}:
            assert value.startswith("data:image/png;base64,")
    assert "url(" not in page
    assert "@import" not in page
    assert (
        "content",
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'",
    ) in parsed.attributes


def test_markup_in_names_and_texts_is_text():
    parsed = Parsed(page_with_another(HOSTILE, HOSTILE[::-1]))
    assert "script" not in parsed.tags
    assert [t for t in parsed.tags if t == "img"] == ["img"]  # the record that is an image
    assert not [name for name, _ in parsed.attributes if name.startswith("on")]
    assert "<script>alert(1)</script>" in parsed.text
    assert "\x1b" not in parsed.text
    assert "\u202e" not in parsed.text
    assert "\\x1b[31m" in parsed.text


def test_it_says_how_the_run_ended_also_without_colour(page):
    assert "failed (1): T" in Parsed(page).text


def test_a_run_that_goes_on_is_said_to():
    store = MemoryStore("s")
    store.put_run(START, 0, {"start": START / 1e9}, {})
    assert "running now, as process 7" in page_of(store, state="running now, as process 7")
    assert "going on, or ended without a word" in page_of(store)


def test_sweeps_have_their_points_with_means(page):
    text = Parsed(page).text
    assert "T, run 0: 4 of 5 points" in text
    rows = re.findall(r'<tr><th scope="row" class="number">(\d)</th>(.*?)</tr>', page, re.DOTALL)
    cells = {number: re.findall(r"<td[^>]*>(.*?)</td>", row) for number, row in rows}
    mean = np.mean(np.arange(10, 20) / 7)
    assert cells["1"][0] == "1"
    assert cells["1"][2] == "9 s"
    assert cells["1"][3] == f"{mean:.6g}"
    assert "failed" in cells["3"][-1]


def test_the_statistics_are_exact(page):
    assert ">7.14286<" not in page
    assert f">{49 / 7:.6g}<" in page


def test_an_empty_session_has_a_page():
    parsed = Parsed(page_of(MemoryStore("nothing")))
    assert parsed.headings() == ["Run"]
    assert "nothing" in parsed.text


def test_an_alarm_is_active_from_its_beginning_to_its_end():
    def event(second, text):
        return Event(START + second * SECOND, "alarm", "hot", text)

    found = episodes([
        event(1, "T above 60"), event(5, "cleared: T is below 55"), event(7, "T above 60"),
        event(8, "T above 60"), Event(START, "note", "", "x"),
    ])  # fmt: skip
    assert [(one.begin - START / 1e9, one.end - START / 1e9) for one in found] == [
        (1, 5),
        (7, math.inf),
    ]


def test_its_size_is_bounded_whatever_the_session_holds():
    store = MemoryStore("large")
    names = tuple(f"v{i}" for i in range(300))
    for i in range(2100):
        store.append_row(START + i * SECOND, names, [math.sin(i / 9 + k) for k in range(300)])
        store.append_event(Event(START + i * SECOND, "note", "me", "x" * 300))
    for i in range(30):
        put(store, START + i * SECOND, f"frame{i}", np.random.default_rng(i).random((900, 1200)))
    store.put_run(START, 0, {"start": START / 1e9}, {"module": "x = 1\n" * 200_000})
    page = page_of(store)
    assert len(page) < 4_000_000
    text = Parsed(page).text
    assert "240 more variables are in the table of statistics." in text
    assert "1700 more events are in the session." in text
    assert "cut here; all of it: pymanip-inspect --config" in text


@pytest.mark.parametrize(
    "figure",
    [
        {"variables": ["T"], "yscale": "log", "ymin": -1, "ymax": 5},
        {"variables": ["T"], "ymin": 5, "ymax": 1},
        {"variables": ["T", "missing", 7]},
        {"variables": "T"},
        {"variables": ["T"], "x": "missing", "y": "T"},
        {"variables": ["T", "T"], "x": "T", "y": "T", "title": 7},
        "no figure",
    ],
)
def test_plots_that_make_no_sense_are_drawn_as_far_as_they_do(figure):
    store = MemoryStore("s")
    for i in range(10):
        store.append_row(START + i * SECOND, ("T",), (float(i - 5),))
    store.put_metadata(START, "_figures", [figure])
    assert page_of(store).count("<figure>") >= 1


def test_a_variable_without_a_finite_value_and_times_of_no_calendar_are_shown():
    store = MemoryStore("s")
    store.append_row(START, ("nan",), (math.nan,))
    assert "no finite value" in page_of(store)
    far = MemoryStore("far")
    for i in range(5):
        far.append_row(9 * 10**18 + i, ("T",), (1.0,))
    far.append_event(Event(9 * 10**18, "note", "", "x"))
    assert "Statistics" in page_of(far)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"start": math.nan, "stop": 5.0},
        {"start": START / 1e9, "stop": math.inf},
        {"start": 1e300, "stop": 1e301},
        {"start": START / 1e9, "stop": START / 1e9 - 100, "exit_code": "x", "exit_reason": 5},
        {"start": "never", "host": 7},
    ],
)
def test_a_run_of_which_nonsense_is_told_is_shown_as_far_as_it_makes_sense(told):
    store = MemoryStore("s")
    store.put_run(
        START, 0, told, {"sweeps": "[1]", "packages": "[]", "argv": "{", "git_diff": "\0"}
    )
    store.append_row(START, ("T",), (1.0,))
    store.append_event(Event(START, "note", "", "x"))
    page = page_of(store)
    assert "Statistics" in page
    assert not re.search(r"\bnan\b", Parsed(page).text)
    session_text(SessionView(store, "s"), Path(__file__), is_running=lambda: False, width=80)


def run_of(store, index, **texts):
    told = {"start": START / 1e9 + index, "stop": START / 1e9 + index + 1, "exit_code": 0, "host": f"pc{index // 2}"}  # fmt: skip
    store.put_run(
        START, index, told, {"experiment": "a: 1\nb: 2\n", "argv": '["pymanip-run"]'} | texts
    )


def test_it_says_what_changed_since_the_run_before():
    store = MemoryStore("cell")
    run_of(store, 0, experiment="older: 7")
    run_of(store, 1)
    assert "Changed since run 0" in Parsed(page_of(store)).text
    run_of(store, 2, experiment="a: 1\nb: 3\n", overrides="b=3", packages='{"numpy": "2.0"}')
    parsed = Parsed(page_of(store))
    changed = parsed.text[parsed.text.index("Changed since run 1") :]
    for words in ("-b: 2", "+b: 3", "--setrun 1", "numpy–2.0", "pc0pc1"):
        assert words.replace("run 1", "–b=3") in changed, changed
    assert "older" not in changed
    run_of(store, 3, experiment="a: 1\nb: 3\n", overrides="b=3", packages='{"numpy": "2.0"}')
    same = Parsed(page_of(store)).text
    assert "No difference in configuration, code, versions and computer." in same
    assert "+b: 3" not in same


def test_another_session_is_compared(page):
    text = Parsed(page).text
    compared = text[text.index("Comparison") :]
    for words in ("U.h5: run 1", "commitUT", "parameter U", "n there", "-U", "+T"):
        assert words in compared, compared
    empty = page_of(full(), difference=differences(*[SessionView(MemoryStore(), "e")] * 2, ("a", "b")))  # fmt: skip
    assert "a: no run" in Parsed(empty).text


def test_stretches_are_as_long_as_most_of_them_not_as_a_pause_at_the_beginning():
    store = MemoryStore()
    store.append_row(START, ("T",), (1.0,))
    for i in range(20_000):
        store.append_row(START + 1000 * SECOND + i * SECOND // 10, ("T",), (float(i % 7),))
    store.append_event(Event(START, "note", "me", "cold"))
    file = io.BytesIO()
    write_report(Report(SessionView(store, "paused")), file)
    page = Parsed(file.getvalue().decode())
    assert "of stretches of about 3.33 s" in page.text
    assert "20 001 values of 1 variable, 1 event" in page.text
    assert "1 events" not in page.text
