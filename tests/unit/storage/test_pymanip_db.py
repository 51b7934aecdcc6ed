"""Old sessions, made by pymanip itself: what it reads from them, we read."""

import json
import math
import os
import pickle
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from pymanip_run.core.view import SessionView
from pymanip_run.errors import DamagedFileError, NotFoundError, StorageError
from pymanip_run.records import Window
from pymanip_run.storage import pymanip_log
from pymanip_run.storage.pymanip_db import PymanipStore
from pymanip_run.storage.unpickle import UnsafePickleError

SESSIONS = Path(__file__).parent / "pymanip_sessions"
DATABASES = sorted(SESSIONS.glob("*.db"))


@pytest.fixture(params=DATABASES, ids=lambda path: path.stem)
def database(request, tmp_path):
    """A copy, so that nothing can be left beside the original."""
    return Path(shutil.copy(request.param, tmp_path))


@pytest.fixture
def recent(tmp_path):
    return Path(shutil.copy(SESSIONS / "schema_4.1.db", tmp_path / "old.db"))


def read_by_pymanip(database):
    return json.loads((SESSIONS / f"{database.name}.json").read_text("utf-8"))


def described(value):
    """As make.py of the sessions describes a value."""
    if isinstance(value, (np.ndarray, np.generic)):
        array = np.asarray(value)
        return {
            "dtype": array.dtype.str,
            "shape": list(array.shape),
            "values": repr(array.tolist()),
        }
    return {"type": type(value).__name__, "repr": repr(value)}


def changed(path, *statements):
    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(*statement if isinstance(statement, tuple) else (statement,))
    connection.close()


def test_every_schema_is_there():
    versions = {read_by_pymanip(path)["version"] for path in DATABASES}
    assert versions == {1, 2, 3, 3.1, 4, 4.1}


def test_variables_are_those_that_pymanip_reads(database):
    wanted = read_by_pymanip(database)["variables"]
    view = SessionView(PymanipStore(database), "old")
    assert view.logged_variables() - {"from_numpy"} == set(wanted)
    for name, pairs in wanted.items():
        times, values = view[name]
        ordered = sorted(pairs, key=lambda pair: pair[0])
        assert times.tolist() == [t for t, _ in ordered], name
        assert [repr(v) for v in values.tolist()] == [v for _, v in ordered], name
        statistics = view.variables()[name].statistics
        assert (statistics.n, statistics.first_time) == (len(pairs), ordered[0][0])
        assert view.logged_last_values()[name][0] == ordered[-1][0]


def test_datasets_are_those_that_pymanip_reads(database):
    wanted = read_by_pymanip(database)["datasets"]
    view = SessionView(PymanipStore(database), "old")
    assert view.dataset_names() == set(wanted)
    for name, records in wanted.items():
        assert [[t, described(v)] for t, v in view.datasets(name)] == records
        info = view.datasets_info()[name]
        assert info.n == len(records)
        assert (info.first_time, info.last_time) == (records[0][0], records[-1][0])


def test_parameters_metadata_and_figures_are_those_that_pymanip_reads(database):
    wanted = read_by_pymanip(database)
    store = PymanipStore(database)
    values = {name: parameter.value for name, parameter in store.parameters().items()}
    # An empty cell is what SQLite made of NaN.
    wanted["parameters"] = {
        k: v.replace("None", "nan").replace("b'\\x01'", "1.0")
        for k, v in wanted["parameters"].items()
    }
    assert {name: repr(value) for name, value in values.items()} == wanted["parameters"]
    metadata = store.metadata()
    assert metadata.pop("_figures", []) == wanted["figures"]
    assert metadata == wanted["metadata"]


def test_the_session_says_what_it_is(database):
    wanted = read_by_pymanip(database)
    view = SessionView(PymanipStore(database), database.stem)
    assert view.get_version() == wanted["version"]
    assert view.t0 == wanted["t0"]
    assert view.info().program == "pymanip"
    assert view.info() == SessionView(PymanipStore(database), "again").info()
    assert view.runs() == []


def test_numbers_of_numpy_that_pymanip_stored_as_bytes_are_numbers_again():
    for name in ("schema_3_by_0.3.1.db", "schema_3_by_0.4.3.db"):
        _, values = PymanipStore(SESSIONS / name).read_series("from_numpy", Window())
        assert values.tolist() == [0.1, -3.0, 0.5, 7.0, 1.0]


@pytest.mark.parametrize(
    ("scalar", "number"),
    [(np.float32(-1e20), float(np.float32(-1e20))), (np.float32("inf"), math.inf), (np.int32(-1), -1.0),
     (np.int32(2**30 + 5), None), (np.uint8(7), 7.0), (np.int16(-9), -9.0), (np.int64(-(2**62)), -(2.0**62)),
     (np.longdouble(0.5), 0.5), (np.float32(0), 0.0)],
)  # fmt: skip
def test_bytes_of_a_numpy_scalar_are_told_apart_by_their_length(scalar, number):
    if number is not None:  # a large int32 looks like a float32, and is taken for one
        assert pymanip_log.as_number(scalar.tobytes()) == number
    assert math.isnan(pymanip_log.as_number(np.float32("nan").tobytes()))


def test_values_with_equal_times_and_a_clock_set_back_are_all_there_in_order():
    view = SessionView(PymanipStore(SESSIONS / "schema_3_by_0.4.3.db"), "old")
    times, values = view["clock"]
    assert values.tolist() == [3.0, 1.0, 2.0, 4.0]
    assert np.all(np.diff(times) >= 0)
    assert view.variables()["clock"].statistics.last_value == 4.0


@pytest.mark.parametrize("step", [1, 7, 50_000])
@pytest.mark.parametrize("name", ["schema_3_by_0.4.3.db", "schema_3.1.db", "schema_4.1.db"])
def test_a_window_is_cut_out_of_the_series(name, step, monkeypatch):
    monkeypatch.setattr(pymanip_log, "STEP", step)
    store = PymanipStore(SESSIONS / name)
    times, values = store.read_series("T_bottom", Window())
    assert len(times) == 40
    for low, high in ((None, None), (5, 20), (None, 3), (39, None), (20, 5)):
        since, until = (None if i is None else float(times[i]) for i in (low, high))
        for tail in (None, 0, 1, 4, 100):
            wanted = values[low:high] if tail is None else values[low:high][len(values[low:high]) - tail if tail < len(values[low:high]) else 0 :]  # fmt: skip
            found = store.read_series("T_bottom", Window(since, until, tail))
            assert found[1].tolist() == wanted.tolist()
        assert store.read_series("T_bottom", Window(since, until, head=2))[1].tolist() == values[low:high][:2].tolist()  # fmt: skip
    assert len(store.read_series("nothing", Window())[0]) == 0


def test_each_call_shows_what_pymanip_has_written_meanwhile(database):
    view = SessionView(PymanipStore(database), "old")
    before = view["T_bottom"].size
    assert len(view["rare"].values) == 5
    last = view["T_bottom"].last[0]
    changed(database, ("INSERT INTO log (timestamp, name, value) VALUES (?, 'T_bottom', 99.5)", (last + 1,)))  # fmt: skip
    assert view["T_bottom"].size == before + 1
    assert view["T_bottom"].last == (last + 1, 99.5)
    assert view["T_bottom"].values[-1] == 99.5


def test_a_database_that_is_written_anew_is_read_anew(database):
    view = SessionView(PymanipStore(database), "old")
    assert len(view["T_bottom"].values) == 40
    changed(database, "DELETE FROM log", "INSERT INTO log (timestamp, name, value) VALUES (1.5, 'T_bottom', 2.5)")  # fmt: skip
    assert view["T_bottom"].values.tolist() == [2.5]
    assert set(view.variables()) == {"T_bottom"}
    other = database.with_name("other.db")
    shutil.copy(SESSIONS / database.name, other)
    other.replace(database)
    assert len(view["T_bottom"].values) == 40


def test_reading_leaves_nothing_and_changes_nothing(database):
    before = database.read_bytes(), database.stat().st_mtime_ns
    store = PymanipStore(database)
    everything = store.variables(), store.datasets(), store.events(), store.read_series("rare", Window())  # fmt: skip
    assert everything
    assert [p.name for p in database.parent.iterdir()] == [database.name]
    store.close()
    assert (database.read_bytes(), database.stat().st_mtime_ns) == before


def test_a_read_does_not_keep_pymanip_from_writing(recent):
    store = PymanipStore(recent)
    parts = store.log_parts()
    next(parts)
    changed(recent, "INSERT INTO log (timestamp, name, value) VALUES (9e9, 'rare', 1)")
    assert list(parts) == []


def test_a_writer_in_the_middle_of_a_change_is_not_seen(recent):
    writer = sqlite3.connect(recent)
    writer.execute("INSERT INTO log (timestamp, name, value) VALUES (9e9, 'rare', 1)")
    assert PymanipStore(recent).variables()["rare"].statistics.n == 5
    writer.commit()
    assert PymanipStore(recent).variables()["rare"].statistics.n == 6
    writer.close()


def test_what_a_crash_left_half_done_is_taken_back_in_a_copy(recent, tmp_path):
    writer = sqlite3.connect(recent)
    writer.execute("PRAGMA cache_size = 1")
    writer.execute("BEGIN EXCLUSIVE")
    writer.executemany(
        "INSERT INTO log (timestamp, name, value) VALUES (?, 'rare', 1)",
        ((1e9 + i,) for i in range(5000)),
    )
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for path in recent.parent.glob("old.db*"):
        shutil.copy(path, crashed)
    writer.close()
    assert (crashed / "old.db-journal").exists()
    before = {p.name: p.read_bytes() for p in crashed.iterdir()}
    store = PymanipStore(crashed / "old.db")
    assert store.variables()["rare"].statistics.n == 5
    store.close()
    assert {p.name: p.read_bytes() for p in crashed.iterdir()} == before


@pytest.mark.parametrize("alive", [True, False])
def test_a_write_ahead_log_is_read_and_left_alone(recent, tmp_path, alive):
    writer = sqlite3.connect(recent, isolation_level=None)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("INSERT INTO log (timestamp, name, value) VALUES (9e9, 'rare', 1)")
    folder = recent.parent
    if not alive:  # as after the session was copied with its log, or the computer crashed
        folder = tmp_path / "crashed"
        folder.mkdir()
        for suffix in ("", "-wal"):
            shutil.copy(f"{recent}{suffix}", folder)
    names = {p.name for p in folder.iterdir()}
    database = (folder / "old.db").read_bytes()
    store = PymanipStore(folder / "old.db")
    assert store.variables()["rare"].statistics.n == 6
    store.close()
    assert {p.name for p in folder.iterdir()} == names
    assert (folder / "old.db").read_bytes() == database
    writer.close()


def test_a_finished_database_with_a_write_ahead_log_needs_no_file_beside_it(recent):
    changed(recent, "PRAGMA journal_mode = WAL")
    assert PymanipStore(recent).variables()["rare"].statistics.n == 5
    assert [p.name for p in recent.parent.iterdir()] == ["old.db"]


def test_a_database_that_may_only_be_read_is_read(recent):
    recent.chmod(0o444)
    recent.parent.chmod(0o555)
    try:
        assert PymanipStore(recent).variables()["rare"].statistics.n == 5
    finally:
        recent.parent.chmod(0o755)


def test_texts_among_the_values_are_events(recent):
    changed(recent, "INSERT INTO log (timestamp, name, value) VALUES (1e9, 'state', 'open')",
            "INSERT INTO log (timestamp, name, value) VALUES (1e9 + 1, 'state', 'inf')",
            "INSERT INTO log_names VALUES ('state')")  # fmt: skip
    store = PymanipStore(recent)
    assert [(e.time, e.kind, e.source, e.text) for e in store.events()] == [(1e9, "text", "state", "open")]  # fmt: skip
    assert repr(store.read_series("state", Window())[1].tolist()) == "[nan, inf]"
    assert store.events(int(1e18)) == []


class Calls:
    def __init__(self, function, *arguments):
        self.it = function, arguments

    def __reduce__(self):
        return self.it


def test_only_arrays_and_plain_values_are_unpickled(recent):
    changed(recent, ("INSERT INTO dataset (timestamp, name, data) VALUES (9e9, 'evil', ?)",
                     (pickle.dumps(Calls(os.system, "touch hacked"), 4),)))  # fmt: skip
    store = PymanipStore(recent)
    assert store.datasets()["evil"].dtype == "unreadable"
    with pytest.raises(
        UnsafePickleError, match=r"record 0 of dataset 'evil' is not read: it holds a posix\.system"
    ):
        store.dataset_record("evil", 0)
    with pytest.raises(IndexError, match="'evil' has 1 records, there is no 1"):
        store.dataset_record("evil", 1)


@pytest.mark.parametrize("time", [1e300, 1.7e308, -1e12])
def test_times_that_no_calendar_has_are_no_reason_to_fail(recent, time):
    changed(
        recent,
        ("UPDATE parameters SET value = ? WHERE name = '_session_creation_timestamp'", (time,)),
        "INSERT INTO log_names (name) VALUES ('new')",
        ("INSERT INTO log (timestamp, name, value) VALUES (?, 'new', 1)", (time,)),
        ("INSERT INTO log (timestamp, name, value) VALUES (?, 'told', 'a text')", (time,)),
    )
    view = SessionView(PymanipStore(recent), "old")
    assert view.t0 == time
    assert view["new"].since(-1.79e308).values.tolist() == [1]
    assert time < 0 or "a text" in [event.text for event in view.events()]
    assert "<table" in view._repr_html_() + view["new"]._repr_html_() + view.events()._repr_html_()


def test_a_missing_name_is_answered_with_the_nearest(recent):
    with pytest.raises(NotFoundError, match="T_bottom"):
        SessionView(PymanipStore(recent), "old")["T_botom"]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "it is empty"), (b"hello", "no SQLite database"), (b"SQLite format 3\0" + b"x" * 500, "damaged")],
)  # fmt: skip
def test_what_is_no_database_is_refused(tmp_path, content, said):
    path = tmp_path / "x.db"
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match=said):
        PymanipStore(path)
    assert [p.name for p in tmp_path.iterdir()] == ["x.db"]


def test_a_database_of_another_program_is_refused(tmp_path):
    changed(tmp_path / "x.db", "CREATE TABLE something (a)")
    with pytest.raises(DamagedFileError, match="no session of pymanip: it has no table 'log'"):
        PymanipStore(tmp_path / "x.db")


def test_a_missing_file_is_said():
    with pytest.raises(FileNotFoundError):
        PymanipStore(Path("nowhere.db"))


ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x AS timestamp, 'T' AS name, x AS value FROM c"  # fmt: skip


@pytest.mark.parametrize("trick", [f"CREATE VIEW log AS {ENDLESS}",
                                   "CREATE TABLE log (timestamp, name, value AS (zeroblob(1000000000)))"])  # fmt: skip
def test_tables_that_compute_their_rows_are_refused(recent, trick):
    changed(recent, "DROP TABLE log", trick)
    with pytest.raises(DamagedFileError, match="'log' is not a plain table"):
        PymanipStore(recent)


def test_a_locked_database_is_said_to_be_locked(recent, monkeypatch):
    monkeypatch.setattr("pymanip_run.storage.database.PATIENCE", 0.05)
    writer = sqlite3.connect(recent, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StorageError, match="locked by another program; try again later"):
        PymanipStore(recent)
    writer.close()


def test_damage_at_any_place_is_an_error_or_is_not_seen(tmp_path):
    content = (SESSIONS / "schema_3.1.db").read_bytes()
    path = tmp_path / "x.db"
    for at in range(16, len(content), 211):
        path.write_bytes(
            content[:at] + bytes(b ^ 0xFF for b in content[at : at + 9]) + content[at + 9 :]
        )
        try:
            store = PymanipStore(path)
            for name in store.variables():
                store.read_series(name, Window())
            for name, info in store.datasets().items():
                for index in range(info.n):
                    store.dataset_record(name, index)
            store.parameters(), store.metadata(), store.info(), store.events()
        except StorageError as error:
            assert "\n" not in str(error)  # noqa: PT017 - some damage is not seen
