import csv
import io
import math
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymanip_run.core.view import SessionView
from pymanip_run.errors import NotFoundError
from pymanip_run.export import table
from pymanip_run.export.job import Job
from pymanip_run.export.run import export_to, export_to_stream
from pymanip_run.records import Description, SessionInfo, Statistics, VariableInfo

START = 1_763_800_000.123_456


class Arrays:
    """A store that serves arrays, and counts what is read of it at a time."""

    path = None

    def __init__(self, data, units=None):
        self.data = {n: (np.asarray(t, float), np.asarray(v, float)) for n, (t, v) in data.items()}
        self.units = units or {}
        self.largest = 0

    def info(self):
        return SessionInfo("", 1, 0.0, "", "")

    def variables(self):
        return {
            name: VariableInfo(
                name, Description(unit=self.units.get(name)), Statistics().extended(t, v)
            )
            for name, (t, v) in self.data.items()
        }

    def last_values(self):
        return {name: (t[-1], v[-1]) for name, (t, v) in self.data.items() if len(t)}

    def read_series(self, name, window):
        t, v = self.data[name]
        low = np.searchsorted(t, -math.inf if window.since is None else window.since)
        high = np.searchsorted(t, math.inf if window.until is None else window.until)
        self.largest = max(self.largest, high - low)
        return t[low:high], v[low:high]


def view(data, units=None):
    return SessionView(Arrays(data, units), "test")


def exported(session, names=(), **options):
    file = io.BytesIO()
    export_to_stream(Job(session, names, **options), "csv", file)
    return list(csv.reader(io.StringIO(file.getvalue().decode())))


def expected(data):
    """The table, the slow and obvious way."""
    names = [name for name, (times, _) in data.items() if len(times)]
    rows = {}
    for name, (times, values) in data.items():
        seen = {}
        for t, v in zip(times, values, strict=True):
            seen[t] = seen.get(t, -1) + 1
            rows.setdefault((float(t), seen[t]), {})[name] = float(v)
    return [(t, [row.get(n) for n in names]) for (t, _), row in sorted(rows.items())]


def same(cell, value):
    return cell == "" if value is None else (repr(float(cell)) == repr(value))


def test_units_stand_in_the_header_and_numbers_read_back_exactly():
    values = [0.1, 1 / 3, 1e300, -5e-324, 12.0, math.nan, math.inf, -math.inf]
    times = np.round(START + np.arange(len(values)) * 1.1e-3, 6)
    rows = exported(view({"T": (times, values)}, {"T": "°C"}))
    assert rows[0] == ["time", "T [°C]"]
    assert [float(r[0]) for r in rows[1:]] == times.tolist()
    assert [r[1] for r in rows[1:]] == list(map(repr, values))
    assert rows[-3][1:] + rows[-2][1:] + rows[-1][1:] == ["nan", "inf", "-inf"]


def test_one_row_for_each_time_with_missing_cells_empty():
    rows = exported(view({"a": ([1, 2, 3], [1, 2, 3]), "b": ([2, 4], [20, 40])}))
    assert rows == [
        ["time", "a", "b"],
        ["1.0", "1.0", ""],
        ["2.0", "2.0", "20.0"],
        ["3.0", "3.0", ""],
        ["4.0", "", "40.0"],
    ]


def test_a_variable_that_was_described_but_never_logged_has_no_column():
    session = view({"a": ([1], [1]), "described": ([], [])})
    assert exported(session)[0] == ["time", "a"]
    with pytest.raises(NotFoundError):
        exported(session, ["described"])


def test_names_restrict_and_give_the_order():
    session = view({"a": ([1], [1]), "b": ([1], [2]), "c": ([1], [3])})
    assert exported(session, ["c", "a", "c"]) == [["time", "c", "a"], ["1.0", "3.0", "1.0"]]


def test_an_unknown_name_is_refused_with_the_nearest():
    session = view({"T_bottom": ([1], [1])})
    with pytest.raises(NotFoundError, match="T_bottom"):
        exported(session, ["T_botom"])


def test_internal_variables_are_there_when_they_are_asked_for():
    session = view({"T": ([1], [1]), "_point_scan": ([1], [0])})
    assert exported(session)[0] == ["time", "T"]
    assert exported(session, ["_point_scan"]) == [["time", "_point_scan"], ["1.0", "0.0"]]


def test_a_window_in_time_includes_its_start_and_excludes_its_end():
    rows = exported(view({"a": ([1, 2, 3, 4], [1, 2, 3, 4])}), since=2.0, until=4.0)
    assert [row[0] for row in rows[1:]] == ["2.0", "3.0"]


def test_a_session_without_variables_gives_a_header():
    assert exported(view({})) == [["time"]]


def test_a_variable_called_time_does_not_hide_the_times():
    assert exported(view({"time": ([1], [7]), "T": ([1], [8])}))[0] == ["time", "time_2", "T"]


def test_names_that_csv_must_quote_come_back():
    names = ["with,comma", 'with"quote', "[unit]"]
    assert exported(view({n: ([1], [1]) for n in names}))[0] == ["time", *names]


@given(
    data=st.dictionaries(
        st.sampled_from("abc"),
        st.lists(
            st.tuples(
                st.sampled_from(
                    [1.5, 2.0, START, START + 1e-6, START + 0.5, 1e9, 2.0**31 - 2, 3e9]
                ),
                st.floats(),
            ),
            max_size=12,
        ),
    ),
    size=st.integers(1, 5),
)
def test_any_table_equals_the_slow_and_obvious_one(data, size):
    arrays = {
        n: tuple(np.array(sorted(p, key=lambda x: x[0]), float).reshape(-1, 2).T)
        for n, p in data.items()
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table, "BLOCK_VALUES", size)
        patch.setattr(table, "BLOCK_ROWS", 1)
        patch.setattr("pymanip_run.export.csv.CHUNK_CELLS", 1)
        rows = exported(view(arrays))
    wanted = expected(arrays)
    assert [float(r[0]) for r in rows[1:]] == [t for t, _ in wanted]
    for row, (_, values) in zip(rows[1:], wanted, strict=True):
        assert all(map(same, row[1:], values)), (row, values)


def test_reading_is_bounded_also_after_a_long_pause(monkeypatch):
    monkeypatch.setattr(table, "BLOCK_VALUES", 1000)
    monkeypatch.setattr(table, "BLOCK_ROWS", 1)
    sparse = np.arange(0, 1e6, 1e4)
    dense = 2e6 + np.arange(100_000) * 0.01
    times = START + np.concatenate([sparse, dense])
    store = Arrays({"a": (times, times)})
    session = SessionView(store, "test")
    assert export_to_stream(Job(session), "csv", io.BytesIO()).rows == len(times)
    assert store.largest < 100_000 + 2
    assert store.largest < len(times)


def test_the_file_appears_when_it_is_complete_and_replaces_an_older_one(tmp_path):
    target = tmp_path / "a.csv"
    target.write_text("old")
    seen = []
    session = view({"a": ([1, 2], [1, 2])})
    show = lambda share: seen.append((share, target.read_text()))  # noqa: E731
    assert export_to(Job(session, progress=show), "csv", target) == (2, 1, 1)
    assert seen[-1] == (1.0, "old")
    assert target.read_text() == "time,a\n1.0,1.0\n2.0,2.0\n"
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]


def test_a_failure_leaves_the_older_file_and_nothing_else(tmp_path):
    target = tmp_path / "a.csv"
    target.write_text("old")

    def full(_):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        export_to(Job(view({"a": ([1], [1])}), progress=full), "csv", target)
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]


def test_a_time_has_the_six_decimals_that_were_recorded():
    microseconds = 1_795_366_483_181_381 + np.arange(1000) * 100_503
    # So the stores make seconds of nanoseconds; some are a bit off the nearest float64.
    rows = exported(view({"T": (microseconds * 1000 / 1e9, np.zeros(1000))}))
    assert [row[0] for row in rows[1:]] == [f"{n // 10**6}.{n % 10**6:06}" for n in microseconds]


def test_a_pipe_or_device_is_written_to_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    export_to(Job(view({"a": ([1], [1])})), "csv", pipe)
    assert os.read(reader, 100) == b"time,a\n1.0,1.0\n"
    os.close(reader)
    assert pipe.is_fifo()
