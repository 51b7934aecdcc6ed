"""One suite over everything that claims to be a store: what was recorded comes back, wherever it is by then."""

import math
import sys
from datetime import timedelta

import numpy as np
import pytest
from helpers_storage import (
    EPOCH,
    MS,
    checkpoint,
    die,
    differences,
    everything,
    finish,
    put,
    quiet_store,
)

from pymanip_run.errors import UsageError
from pymanip_run.records import Event, SweepPoint, Window
from pymanip_run.storage.memory import MemoryStore
from pymanip_run.storage.snapshot import SnapshotStore

NAMES = [
    "T", "a/b", "a%2Fb", "a%252Fb", "%", "température", "温度", ".hidden", "_internal", "with space",
    "x" * 255, "é" * 127, "/", "//", "name", "value", "time", "␛", "␛0041", "🌡",
]  # fmt: skip

STRUCTURED = np.array(
    [(1, 2.5, b"ab", (1, 2)), (3, -np.inf, b"", (3, 4))],
    dtype=[("n", "<i4"), ("x", ">f8"), ("s", "S3"), ("pair", "<i2", (2,))],
)
NESTED = np.array([((1, True), 2.0)], dtype=[("a", [("b", "i1"), ("c", "?")]), ("d", "f4")])
PADDED = np.zeros(2, np.dtype({"names": ["a", "b"], "formats": ["u1", "<f8"], "offsets": [0, 8]}))

VALUES = {
    "float": 1.5, "nan": math.nan, "int": -(2**63), "big int": 2**80, "bool": True, "complex": 1 - 2j,
    "none": None, "text": "grün ␛ 🌡", "empty text": "", "nul": "a\0b", "surrogate": "\udcff", "long text": "x" * 70_000,
    "bytes": b"\0\xff", "empty bytes": b"", "list": [1, 2, 3], "floats": [1.0, math.inf], "bools": [True, False],
    "empty list": [], "matrix": [[1, 2], [3, 4]], "ragged": [[1], [2, 3]], "mixed": [1, 2.0, "x", None],
    "tuple": (1.5, 2.5), "empty tuple": (), "tuple of tuples": ((1, 2), (3, (4, [5]))), "nul in list": ["a\0", "\ud800"],
    "dict": {"a": [1, {"b": (2, None)}], "": ""}, "tagged": {"__tuple__": [1]}, "empty dict": {},
    "0-d": np.array(3.5), "scalar": np.float32(2.5), "0-d big-endian": np.array(3.5, ">f8"),
    "(0,)": np.empty(0), "(3, 0)": np.empty((3, 0), np.int16), "(2, 3, 4)": np.arange(24.0).reshape(2, 3, 4),
    "bool array": np.array([[True], [False]]), "int8": np.array([-128, 127], np.int8), "uint64": np.array([2**64 - 1], np.uint64),
    "float16": np.array([0.1, np.nan], np.float16), "longdouble": np.array([1 / 3], np.longdouble),
    "complex64": np.array([1 + 2j], np.complex64), "complex128": np.array([[1j, np.nan]]),
    "big-endian": np.arange(5, dtype=">i4"), "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "strided": np.arange(10)[::3], "fixed bytes": np.array([b"a", b"bcd", b""]), "no bytes": np.array([b"", b""]),
    "fixed text": np.array([["ä", "bcd"], ["", "🌡"]]), "empty texts": np.array(["", ""]),
    "object texts": np.array(["a", "long one"], object),
    "datetime": np.array(["2026-11-22T15:00", "NaT"], "M8[ns]"), "days": np.array(["2026-11-22"], "M8[D]"),
    "timedelta": np.array([timedelta(seconds=1)], "m8[ms]"), "0-d datetime": np.array("2026-11-22", "M8[s]"),
    "structured": STRUCTURED, "nested": NESTED, "padded": PADDED, "structured scalar": STRUCTURED[0],
    "opaque": np.array([b"\0\1\2"], "V3"), "large": np.random.default_rng(0).random((600, 600)),
    "many dimensions": np.ones((1,) * 12 + (2,)), "long list": [[1.0] * 300] * 500,
}  # fmt: skip


def record(store, part):
    """Record the first, or the second half of a session."""
    now = EPOCH + part * 3_600_000 * MS
    pause = iter(range(now, now + 3_600_000 * MS, MS))
    for name in NAMES:
        store.append_row(next(pause), (name,), (len(name) + part,))
    for i in range(50):
        store.append_row(next(pause), ("T", "p"), (i * 0.1, [math.nan, math.inf, -1e300][i % 3]))
        store.append_row(next(pause), ("p", "T"), (i, -i))
        if i % 7 == 0:
            store.append_row(next(pause), ("T", "rare", "p"), (True, np.float32(0.1), 2**60))
    store.put_attributes(next(pause), "T", {"unit": "°C", "label": f"inner\0 {part}"})
    store.put_attributes(next(pause), "a/b", {"format": ".3f", "period": 0.5, "unit": "m/s²"})
    store.put_attributes(next(pause), "rare", {"unit": "V"} if part else {"label": "seldom"})
    for name, value in {"gain": 2.5, "n": 2**63 - 1, "on": bool(part), "who": "Ada\0\ud800 ␛", "_x/y": "", "bad": math.nan}.items():  # fmt: skip
        store.put_parameter(next(pause), name, value, None if part else "dB")
    store.put_parameter(next(pause), f"only {part}", part, "mK")
    for name, value in {"plain": "text", "json": {"a": [1, None, "x\0␛", 2.5]}, "a/b": [], "nul": "\0", "n": 1, "part": part}.items():  # fmt: skip
        store.put_metadata(next(pause), name, value)
    store.append_event(Event(next(pause), "note", "", f"something\nhappened {part} \0"))
    store.append_event(Event(next(pause), "error", "tâche", "x" * 5000))
    for name, value in VALUES.items():
        put(store, next(pause), name, value)
    for value in (1.0, [1.0, 2.0], np.arange(3), np.arange(3), np.arange(4), "text", "text", None):
        put(store, next(pause), "changing/kind", value)
    started = next(pause)
    store.put_run(
        started,
        part,
        {"start": started / 1e9, "host": "lab\0", "pid": 7, "user": None},
        {"experiment": "a: ü\0\n", "a/b": ""},
    )
    store.put_run(
        next(pause),
        part,
        {"stop": 2.5, "exit_code": 0, "exit_reason": "x" * 70_000},
        {"argv": "[]"},
    )
    for i in range(5):
        state = "end" if i == 4 else "failed" if i == 2 else "done"
        store.append_point(
            part, SweepPoint("scan\0/", i, started, next(pause), state, f"[{i}]", "x" * 500 * i)
        )


def memory(_folder):
    store = MemoryStore()
    record(store, 0)
    record(store, 1)
    yield store
    store.close()


def live(folder):
    store = quiet_store(folder / "s.h5")
    record(store, 0)
    record(store, 1)
    yield store
    finish(store)


def live_after_a_checkpoint(folder):
    store = quiet_store(folder / "s.h5")
    record(store, 0)
    checkpoint(folder / "s.h5")
    record(store, 1)
    yield store
    finish(store)


def live_after_continuing(folder):
    store = quiet_store(folder / "s.h5")
    record(store, 0)
    finish(store)
    yield from live_second_half(folder)


def live_after_a_crash(folder):
    store = quiet_store(folder / "s.h5")
    record(store, 0)
    die(store)
    yield from live_second_half(folder)


def live_second_half(folder):
    store = quiet_store(folder / "s.h5")
    record(store, 1)
    yield store
    finish(store)


def live_in_many_segments(folder):
    store = quiet_store(folder / "s.h5", segment_size=5000)
    record(store, 0)
    checkpoint(folder / "s.h5")
    record(store, 1)
    yield store
    finish(store)


def beside(folder):
    store = quiet_store(folder / "s.h5")
    reader = SnapshotStore(folder / "s.h5")  # opened before anything is there
    record(store, 0)
    record(store, 1)
    yield reader
    reader.close()
    finish(store)


def beside_during_checkpoints(folder):
    store = quiet_store(folder / "s.h5", segment_size=100_000)
    reader = SnapshotStore(folder / "s.h5")
    record(store, 0)
    assert reader.last_values()  # so that it has something to forget
    checkpoint(folder / "s.h5")
    record(store, 1)
    yield reader
    reader.close()
    finish(store)


def beside_all_checkpointed(folder):
    store = quiet_store(folder / "s.h5")
    record(store, 0)
    record(store, 1)
    checkpoint(folder / "s.h5")
    reader = SnapshotStore(folder / "s.h5")
    yield reader
    reader.close()
    finish(store)


def after_the_end(folder):
    store = quiet_store(folder / "s.h5")
    record(store, 0)
    checkpoint(folder / "s.h5")
    record(store, 1)
    finish(store)
    reader = SnapshotStore(folder / "s.h5")
    yield reader
    reader.close()


def after_a_crash(folder):
    store = quiet_store(folder / "s.h5")
    record(store, 0)
    record(store, 1)
    die(store)
    reader = SnapshotStore(folder / "s.h5")
    yield reader
    reader.close()


def closed_writer(folder):
    store = quiet_store(folder / "s.h5")
    record(store, 0)
    record(store, 1)
    store.close()
    yield store
    store.close()


KINDS = [
    memory, live, live_after_a_checkpoint, live_after_continuing, live_after_a_crash, live_in_many_segments, beside,
    beside_during_checkpoints, beside_all_checkpointed, after_the_end, after_a_crash, closed_writer,
]  # fmt: skip


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__, scope="module")
def store(request, tmp_path_factory):
    yield from request.param(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def expected():
    yield from memory(None)


def test_everything_that_was_recorded_comes_back(store, expected):
    assert differences(everything(store), everything(expected)) == []


def test_what_was_given_to_a_dataset_is_what_comes_back(store):
    for name, given in VALUES.items():
        back = store.dataset_record(name, 1)
        if isinstance(given, (np.ndarray, np.generic)):
            assert isinstance(back, np.ndarray), name
            given = np.asarray(given)  # noqa: PLW2901 - numpy scalars come back as 0-d arrays
            assert back.shape == given.shape, name
            assert back.dtype.kind == given.dtype.kind, name
            assert repr(back.tolist()) == repr(given.tolist()), name
        else:
            assert type(back) is type(given), name
            assert back == given or given != given, name  # noqa: PLR0124 - NaN


def test_values_of_several_row_sets_are_merged_in_time_order(store):
    times, values = store.read_series("T", Window())
    assert np.all(np.diff(times) > 0)
    assert len(times) == len(values) == 2 * (1 + 50 + 50 + 8)
    assert values[:5].tolist() == [1.0, 0.0, 0.0, 1.0, 0.1]


@pytest.mark.parametrize("tail", [None, 0, 3, 120, 1000])
@pytest.mark.parametrize("since", [None, 0.05, 3600.05])
@pytest.mark.parametrize("until", [None, -1.0, 30.0, 3600.1])
def test_a_window_is_cut_out_of_the_series(store, since, until, tail):
    all_times, all_values = store.read_series("T", Window())
    start = EPOCH / 1e9
    low = -math.inf if since is None else start + since
    high = math.inf if until is None else start + until
    wanted = np.flatnonzero((all_times >= low) & (all_times < high))
    if tail is not None:
        wanted = wanted[max(0, len(wanted) - tail) :]
    window = Window(None if since is None else low, None if until is None else high, tail)
    times, values = store.read_series("T", window)
    assert times.tolist() == all_times[wanted].tolist()
    assert values.tolist() == all_values[wanted].tolist()


def test_a_window_limit_that_is_a_timestamp_belongs_to_the_later_part(store):
    times, _ = store.read_series("T", Window())
    for at in (0, 1, 50, 108, 109, 110, -1):
        before, _ = store.read_series("T", Window(until=times[at]))
        after, _ = store.read_series("T", Window(since=times[at]))
        assert len(before) + len(after) == len(times)
        assert after[0] == times[at]


def test_a_window_may_be_of_all_times_that_there_can_be(store):
    times, _ = store.read_series("T", Window())
    far = sys.float_info.max
    assert len(store.read_series("T", Window(-far, far))[0]) == len(times)
    assert len(store.read_series("T", Window(far))[0]) == 0


def test_statistics_are_those_of_the_whole_series(store):
    for name, info in store.variables().items():
        times, values = store.read_series(name, Window())
        s, finite = info.statistics, values[np.isfinite(values)]
        assert (s.n, s.nonfinite) == (len(values), len(values) - len(finite))
        assert (s.first_time, s.last_time) == (times[0], times[-1])
        assert (s.min, s.max) == (finite.min(), finite.max())
        assert s.longest_gap == np.max(np.diff(times))
        assert s.mean == pytest.approx(finite.mean(), rel=1e-12)
        with np.errstate(over="ignore"):
            assert s.std == pytest.approx(finite.std(), rel=1e-9)


def test_a_name_without_values_has_an_empty_series(store):
    times, values = store.read_series("nothing", Window(tail=3))
    assert times.shape == values.shape == (0,)
    assert times.dtype == values.dtype == np.float64
    assert store.dataset_times("nothing").shape == (0,)


@pytest.mark.parametrize("index", [-1, 2, 100])
def test_a_record_that_is_not_there_is_an_index_error(store, index):
    with pytest.raises(IndexError, match="'float' has 2 records"):
        store.dataset_record("float", index)


def test_events_after_a_time_are_only_the_later_ones(store):
    events = store.events()
    assert len(events) == 4
    assert store.events(events[1].ns) == events[2:]
    assert store.events(events[-1].ns) == []


def test_a_run_without_sweeps_has_no_points(store):
    assert store.sweep_points(0)
    assert store.sweep_points(99) == []


def test_closing_twice_does_nothing(tmp_path):
    for one in (MemoryStore(), quiet_store(tmp_path / "s.h5")):
        one.close()
        one.close()


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_a_closed_store_refuses_every_record(tmp_path, kind):
    store = MemoryStore() if kind == "memory" else quiet_store(tmp_path / "s.h5")
    store.append_row(EPOCH, ("T",), (1.0,))
    store.close()
    before = everything(store)
    for call in (
        lambda: store.append_row(EPOCH + MS, ("T",), (1.0,)),
        lambda: store.append_row(EPOCH + MS, ("new",), (1.0,)),
        lambda: put(store, EPOCH, "a", np.zeros(3)),
        lambda: put(store, EPOCH, "a", np.zeros(300_000)),
        lambda: put(store, EPOCH, "a", "text"),
        lambda: store.put_parameter(EPOCH, "a", 1, None),
        lambda: store.put_metadata(EPOCH, "a", 1),
        lambda: store.put_attributes(EPOCH, "a", {"unit": "V"}),
        lambda: store.append_event(Event(EPOCH, "note", "", "")),
        lambda: store.put_run(EPOCH, 0, {}, {}),
        lambda: store.append_point(0, SweepPoint("s", 0, EPOCH, EPOCH)),
    ):
        with pytest.raises(UsageError, match="closed"):
            call()
    assert differences(everything(store), before) == []
    store.close()
