"""Frames in the pipes between a run and the child that draws."""

import io
import math

import numpy as np

from pymanip_run.plotting.wire import (
    MISSED,
    VALUES,
    Frame,
    packed,
    read_frame,
    read_values,
    values_content,
)


def test_frames_come_out_as_they_went_in():
    pipe = io.BytesIO(packed(MISSED) + packed(VALUES, b"abc"))
    assert [read_frame(pipe) for _ in range(3)] == [Frame(MISSED, b""), Frame(VALUES, b"abc"), None]


def test_a_frame_that_is_cut_is_the_end():
    whole = packed(VALUES, b"abc")
    assert [read_frame(io.BytesIO(whole[:n])) for n in range(len(whole))] == [None] * len(whole)


def test_values_come_out_as_they_went_in():
    series = {
        1: ([1.0, 2.0], [math.nan, -math.inf]),
        0: (np.arange(3), np.arange(3)[::-1]),
        2: ([], []),
    }
    found = read_values(values_content(series), ["a", "b", "c"])
    assert list(found) == ["b", "a", "c"]
    assert np.array_equal(found["b"], series[1], equal_nan=True)
    assert np.array_equal(found["a"], series[0])
    assert [len(column) for column in found["c"]] == [0, 0]
