import json

import numpy as np
import pytest

from pymanip_run.core.differences import changed, differences
from pymanip_run.core.plainly import as_text

PLAN = {"settle": 1.0, "points": {"x": [0.0, 0.5, 1.0]}, "set": "supply.set"}


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        ({}, []),
        ({"settle": 1}, []),
        ({"settle": 2.0}, ["settle: 2.0, was 1.0"]),
        ({"settle": True}, ["settle: true, was 1.0"]),
        ({"points": {"x": [0.0, 1.0]}}, ["points.x: [0.0, 1.0], was [0.0, 0.5, 1.0]"]),
        (
            {"points": {"x": [0.0, 0.5, 1.0], "y": [1]}},
            ["points.y: [1], was not there"],
        ),
        ({"set": "other.set"}, ['set: "other.set", was "supply.set"']),
        ({"points": None}, ['points: null, was {"x": [0.0, 0.5, 1.0]}']),
    ],
)
def test_each_difference_is_a_line(change, lines):
    assert differences(PLAN, PLAN | change) == lines


def test_what_is_gone_is_said():
    assert differences(PLAN, {k: v for k, v in PLAN.items() if k != "set"}) == [
        'set: not there any more, was "supply.set"'
    ]


def test_long_lists_are_named_by_their_ends():
    old, new = list(range(100)), list(range(200))
    (line,) = differences({"x": old}, {"x": new})
    assert line == "x: 200 values from 0 to 199, was 100 values from 0 to 99"


def test_lists_with_the_same_ends_are_told_by_their_first_difference():
    old = list(range(100))
    new = [*old[:50], 7, *old[51:]]
    (line,) = differences({"x": old}, {"x": new})
    assert line == "x: 100 values from 0 to 99, but point 50 is 7, was 50"


def test_values_that_json_does_not_have_are_written_as_in_python():
    def kept(values):
        return {"values": [json.loads(as_text(value)) for value in values]}

    (line,) = differences(kept(np.linspace(0, 5, 11)), kept(np.linspace(0, 5, 21)))
    ends = f"{np.float64(0)!r} to {np.float64(5)!r}"
    assert line == f"values: 21 values from {ends}, was 11 values from {ends}"
    (line,) = differences(kept([(0, 1.5)]), kept([(0, 2.5)]))
    assert line == "values: [(0, 2.5)], was [(0, 1.5)]"


def test_not_a_number_is_no_difference():
    assert differences({"x": float("nan")}, {"x": float("nan")}) == []


def test_the_path_comes_along():
    assert [path for path, _ in changed(PLAN, PLAN | {"points": {"x": []}})] == [("points", "x")]
