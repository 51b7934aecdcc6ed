"""The way in: what is stored, what is refused, who is told, from any thread."""

import threading
import time
from enum import IntEnum
from types import MappingProxyType

import numpy as np
import pytest

from pymanip_run.clock import SessionClock
from pymanip_run.core.context import current_point
from pymanip_run.core.feed import Feed
from pymanip_run.core.recorder import LARGE_RECORD, Recorder
from pymanip_run.errors import StorageError, UsageError
from pymanip_run.records import Entry, Window
from pymanip_run.storage.memory import MemoryStore

START = 1_700_000_000_000_000_000


class FakeClock:
    """Time that is set by hand."""

    def __init__(self):
        self.wall = START
        self.mono = 0

    def advance(self, seconds):
        self.wall += round(seconds * 1e9)
        self.mono += round(seconds * 1e9)

    def wall_ns(self):
        return self.wall

    def monotonic_ns(self):
        return self.mono


class FullStore(MemoryStore):
    """A store on a disk that can be full."""

    full = False

    def append_row(self, ns, names, values):
        if self.full:
            raise StorageError("no space left")
        super().append_row(ns, names, values)


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def store():
    return FullStore()


@pytest.fixture
def feed():
    return Feed()


@pytest.fixture
def recorder(store, feed, clock):
    return Recorder(store, feed, clock)


def everything(store):
    """All that is stored, to compare."""
    return (
        {
            name: [list(part) for part in store.read_series(name, Window())]
            for name in store.last_values()
        },
        store.parameters(),
        store.metadata(),
        {name: info.n for name, info in store.datasets().items()},
        store.events(),
    )


def series(store, name):
    return [list(part) for part in store.read_series(name, Window())]


# -- entries ------------------------------------------------------------------------------------


def test_all_variables_of_one_call_share_one_timestamp(recorder, store):
    recorder.add_entry({"T": 1, "p": 2.5}, {"q": np.float32(3)}, r=True)
    times = {series(store, name)[0][0] for name in "Tpqr"}
    assert times == {START / 1e9}
    assert [series(store, name)[1] for name in "Tpqr"] == [[1.0], [2.5], [3.0], [1.0]]


def test_a_later_value_of_one_name_wins_within_a_call(recorder, store):
    recorder.add_entry({"T": 1}, {"T": 2}, T=3)
    assert series(store, "T")[1] == [3.0]


def test_any_mapping_may_be_given_and_is_not_changed(recorder, store):
    given = MappingProxyType({"T": 1})
    recorder.add_entry(given)
    own = {"T": 2}
    recorder.add_entry(own, p=1)
    assert own == {"T": 2}
    assert series(store, "T")[1] == [1.0, 2.0]


@pytest.mark.parametrize("given", [[1, 2], 3, "T", None, [("T", 1)]])
def test_what_is_no_mapping_is_refused(recorder, store, given):
    with pytest.raises(TypeError, match="give dicts or keyword arguments, not"):
        recorder.add_entry(given)
    assert store.last_values() == {}


def test_a_variable_may_have_any_keyword_as_its_name(recorder, store):
    recorder.add_entry(self=1, dicts=2, values=3)
    recorder.add_dataset(self=[1])
    recorder.save_parameter(self=1, unit=2)
    recorder.save_metadata(self="x")
    assert set(store.last_values()) == {"self", "dicts", "values"}
    assert set(store.parameters()) == {"self", "unit"}


def test_an_entry_of_nothing_is_nothing(recorder, store):
    recorder.add_entry()
    recorder.add_entry({})
    recorder.add_dataset()
    recorder.save_parameter()
    recorder.save_metadata()
    assert everything(store) == ({}, {}, {}, {}, [])
    assert recorder.entries == 0


class Level(IntEnum):
    LOW = 1


@pytest.mark.parametrize("value", [Level.LOW, np.array(1), np.bool_(1), np.longdouble(1)])
def test_unusual_numbers_are_values_too(recorder, store, feed, value):
    subscription = feed.subscribe()
    recorder.add_entry(T=value)
    assert series(store, "T")[1] == [1.0]
    assert [type(v) for v in subscription.drain()[0].values] == [float]


@pytest.mark.parametrize("bad", ["1", None, 1j, [1], np.zeros(2), np.timedelta64(1, "s")])
def test_nothing_is_stored_or_announced_when_one_value_is_bad(recorder, store, feed, bad):
    subscription = feed.subscribe()
    with pytest.raises(TypeError, match=r"^bad: a value must be a number"):
        recorder.add_entry(good=1, bad=bad, more=2)
    assert store.last_values() == {}
    assert subscription.drain() == []


@pytest.mark.parametrize("value", [10**400, -(10**309)])
def test_an_integer_too_large_is_named_and_nothing_is_stored(recorder, store, value):
    with pytest.raises(OverflowError, match=r"^count: the integer"):
        recorder.add_entry(good=1, count=value)
    assert store.last_values() == {}
    recorder.add_entry(good=1, count=2)
    assert series(store, "count")[1] == [2.0]


@pytest.mark.parametrize(
    ("name", "error"),
    [("", ValueError), ("a\0b", ValueError), (1, TypeError), ("x" * 256, ValueError)],
)
def test_a_bad_name_is_refused_each_time_and_nothing_is_stored(recorder, store, name, error):
    for _ in range(2):
        with pytest.raises(error):
            recorder.add_entry({"good": 1, name: 2})
        with pytest.raises(error):
            recorder.add_dataset({"good": 1, name: 2})
        with pytest.raises(error):
            recorder.save_parameter({"good": 1, name: 2})
        with pytest.raises(error):
            recorder.save_metadata({"good": "1", name: "2"})
    assert everything(store) == ({}, {}, {}, {}, [])


def test_what_the_disk_refuses_is_not_announced_and_recording_goes_on(recorder, store, feed):
    subscription = feed.subscribe()
    store.full = True
    with pytest.raises(StorageError):
        recorder.add_entry(T=1)
    assert subscription.drain() == []
    store.full = False
    recorder.add_entry(T=2)
    assert series(store, "T")[1] == [2.0]
    assert recorder.entries == 1


def test_an_entry_is_announced_after_it_was_stored(recorder, store, feed):
    def look(item):
        seen.append((item, series(store, "T")[1]))

    seen = []
    feed.call(look)
    recorder.add_entry(T=1)
    assert seen == [(Entry(START, ("T",), (1.0,)), [1.0])]


def test_entries_of_a_point_of_a_sweep_carry_its_number(recorder, store):
    token = current_point.set(("ramp", 3))
    recorder.add_entry(T=1)
    recorder.add_entry()
    current_point.reset(token)
    recorder.add_entry(T=2)
    assert series(store, "_point_ramp") == [[START / 1e9], [3.0]]
    assert series(store, "T")[1] == [1.0, 2.0]


def test_a_setting_of_the_clock_is_an_event_between_the_entries(recorder, store, clock):
    recorder.add_entry(T=1)
    clock.advance(1)
    clock.wall -= 60 * 10**9
    recorder.add_entry(T=2)
    (event,) = store.events()
    times = series(store, "T")[0]
    assert (event.kind, event.source) == ("clock", "clock")
    assert "back by 60.000 s" in event.text
    assert times[0] < event.time < times[1]


def test_a_continued_session_goes_on_after_whatever_was_last(store, feed, clock):
    first = Recorder(store, feed, clock)
    clock.advance(3600)
    first.add_entry(T=1)
    first.add_dataset(d=[1])
    last = first.note("the end")
    clock.wall = START
    second = Recorder(store, feed, clock)
    second.add_entry(T=2)
    assert last.time < series(store, "T")[0][1] < last.time + 1e-4
    assert second.now() >= series(store, "T")[0][1]


# -- datasets -----------------------------------------------------------------------------------


def test_all_datasets_of_one_call_share_one_timestamp(recorder, store):
    recorder.add_dataset({"a": [1, 2]}, b=np.zeros(LARGE_RECORD), c="text")
    assert {float(store.dataset_times(name)[0]) for name in "abc"} == {START / 1e9}
    assert store.dataset_record("a", 0) == [1, 2]
    assert store.dataset_record("b", 0).shape == (LARGE_RECORD,)
    assert store.dataset_record("c", 0) == "text"


@pytest.mark.parametrize("bad", [object(), {1, 2}, np.array([object()]), lambda: 0])
def test_no_dataset_is_stored_when_one_cannot_be(recorder, store, bad):
    with pytest.raises(TypeError, match=r"^bad: "):
        recorder.add_dataset(good=[1], bad=bad)
    assert store.datasets() == {}


@pytest.mark.parametrize("value", ["a\0b", "a\udc80b", ["a\0", "b\udc80"], {"k": "\0"}, b"a\0b"])
def test_texts_that_hdf5_cannot_hold_come_back_all_the_same(recorder, store, value):
    recorder.add_dataset(d=value)
    assert store.dataset_record("d", 0) == value


# -- parameters and metadata --------------------------------------------------------------------


def test_a_new_parameter_is_no_event_and_a_change_is_one(recorder, store, clock):
    recorder.save_parameter(power=12.0)
    recorder.save_parameter(power=12.0)
    assert store.events() == []
    clock.advance(1)
    recorder.save_parameter({"power": 15.0}, mode="slow")
    (event,) = store.events()
    assert (event.kind, event.source, event.text) == ("parameter", "power", "power: 12.0 → 15.0")
    assert store.parameters()["power"].value == 15.0
    assert store.parameters()["power"].ns == event.ns


@pytest.mark.parametrize(
    ("old", "new", "events"),
    [
        (1, 1, 0),
        (1, True, 1),
        (1, 1.0, 1),
        (np.nan, np.nan, 0),
        (1.0, np.nan, 1),
        ("a", "a", 0),
        (np.float64(2), 2.0, 0),
    ],
)
def test_a_change_is_one_of_value_or_kind(recorder, store, old, new, events):
    recorder.save_parameter(p=old)
    recorder.save_parameter(p=new)
    assert len(store.events()) == events


def test_a_parameter_of_an_earlier_run_changes_with_an_event(store, feed, clock):
    Recorder(store, feed, clock).save_parameter(power=12.0)
    Recorder(store, feed, clock).save_parameter(power=15.0)
    assert [event.text for event in store.events()] == ["power: 12.0 → 15.0"]


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (None, TypeError),
        ([1], TypeError),
        (2**63, OverflowError),
        ("a\0", ValueError),
        ("\udc80", ValueError),
    ],
)
def test_no_parameter_is_stored_when_one_is_bad(recorder, store, bad, error):
    with pytest.raises(error, match=r"^bad: "):
        recorder.save_parameter(good=1, bad=bad)
    assert store.parameters() == {}


def test_a_parameter_may_have_a_unit_and_a_source(recorder, store):
    recorder.put_parameter("power", 12.0, "W")
    recorder.put_parameter("power", 15.0, "W", source="ramp")
    assert store.parameters()["power"].unit == "W"
    assert store.events()[0].source == "ramp"
    with pytest.raises(TypeError, match="unit"):
        recorder.put_parameter("power", 12.0, 3)


@pytest.mark.parametrize(
    "value", ["text", "", {"a": [1, 2.5, None, True, {"b": "c"}]}, [float("nan")], float("inf"), 3]
)
def test_metadata_is_text_or_what_json_can_hold(recorder, store, value):
    recorder.save_metadata(m=value)
    assert repr(store.metadata()["m"]) == repr(value)
    recorder.save_metadata(m=value)


@pytest.mark.parametrize(
    ("bad", "error"),
    [(np.zeros(2), TypeError), ((1, 2), TypeError), ({1: 2}, TypeError), ({"a": object()}, TypeError), ("a\0", ValueError),
     ({"a": "\udc80"}, ValueError)],
)  # fmt: skip
def test_no_metadata_is_stored_when_one_is_bad(recorder, store, bad, error):
    with pytest.raises(error, match=r"^bad: "):
        recorder.save_metadata(good="x", bad=bad)
    assert store.metadata() == {}


def test_metadata_that_contains_itself_is_refused(recorder):
    loop = []
    loop.append(loop)
    with pytest.raises(TypeError, match=r"^loop: "):
        recorder.save_metadata(loop=loop)


def test_metadata_are_saved_as_they_are_now_and_a_change_is_an_event(recorder, store):
    config = {"gain": 1}
    recorder.save_metadata(config=config)
    config["gain"] = 2
    assert store.metadata()["config"] == {"gain": 1}
    recorder.save_metadata(config=config)
    recorder.save_metadata(config=config)
    assert [event.text for event in store.events()] == ["config: {'gain': 1} → {'gain': 2}"]


# -- descriptions -------------------------------------------------------------------------------


def test_a_description_can_be_completed_later(recorder, store):
    recorder.add_entry(T=1)
    recorder.describe("T", unit="°C", period="10s")
    recorder.describe("T", label="Bath", format=".2f")
    described = store.variables()["T"].description
    assert (described.unit, described.label, described.format, described.period) == (
        "°C",
        "Bath",
        ".2f",
        10.0,
    )


@pytest.mark.parametrize(
    ("arguments", "error"),
    [({"format": "x"}, UsageError), ({"format": 3}, TypeError), ({"period": "soon"}, ValueError), ({"period": -1}, ValueError),
     ({"unit": 3}, TypeError), ({"label": 3}, TypeError), ({"unit": "\0"}, ValueError)],
)  # fmt: skip
def test_a_bad_description_is_refused(recorder, arguments, error):
    with pytest.raises(error):
        recorder.describe("T", **arguments)


# -- events and runs ----------------------------------------------------------------------------


def test_a_note_is_a_timestamped_event_and_announced(recorder, store, feed):
    subscription = feed.subscribe()
    event = recorder.note("stirrer on", source="Ann")
    assert event == store.events()[0] == subscription.drain()[0]
    assert (event.ns, event.kind, event.source, event.text) == (START, "note", "Ann", "stirrer on")


def test_a_note_that_is_no_text_is_refused(recorder, store):
    for arguments in ({"text": 3}, {"text": None}, {"text": "x", "source": 3}):
        with pytest.raises(TypeError):
            recorder.note(**arguments)
    assert store.events() == []


def test_an_event_never_fails_for_its_characters(recorder, store):
    recorder.event("error", "task\0", "cannot open 'caf\udce9'")
    event = store.events()[0]
    assert (event.source, event.text) == ("task\\x00", "cannot open 'caf\\udce9'")


def test_a_run_is_recorded_from_start_to_end(recorder, store, clock):
    start = recorder.begin_run({"host": "lab\udc80", "pid": 3}, {"argv": "caf\udce9"})
    (run,) = store.runs()
    assert (run.index, run.start, run.stop, run.host, run.pid) == (0, start, None, "lab\\udc80", 3)
    assert run.texts == {"argv": "caf\\udce9"}
    clock.advance(5)
    recorder.end_run(1, "RuntimeError: \0")
    (run,) = store.runs()
    assert (run.exit_code, run.exit_reason) == (1, "RuntimeError: \\x00")
    assert run.stop == pytest.approx(start + 5, abs=1e-4)
    assert [event.kind for event in store.events()] == ["start", "stop"]
    recorder.end_run(0, "again")
    assert store.runs()[0].exit_code == 1


def test_a_second_run_is_a_second_record(recorder, store):
    for _ in range(2):
        recorder.begin_run({}, {})
        recorder.end_run(0, "done")
    assert [run.index for run in store.runs()] == [0, 1]


# -- threads ------------------------------------------------------------------------------------


def test_threads_lose_nothing_and_all_times_are_distinct_and_increasing(store, feed):
    recorder = Recorder(store, feed)
    subscription = feed.subscribe(backlog=100_000)
    threads, count, errors = 6, 500, []

    def hammer(number):
        try:
            for i in range(count):
                recorder.add_entry({f"own_{number}": i, "shared": number})
                if i % 10 == 0:
                    recorder.add_dataset(d=[number, i])
                    recorder.note(f"{number} {i}")
                    recorder.save_parameter({f"p{number}": i})
        except BaseException as error:  # noqa: BLE001 - reported below
            errors.append(error)

    workers = [threading.Thread(target=hammer, args=(n,)) for n in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert errors == []
    times, numbers = store.read_series("shared", Window())
    assert len(times) == threads * count
    assert np.all(np.diff(times) > 0)
    for number in range(threads):
        assert series(store, f"own_{number}")[1] == list(range(count))
        assert np.sum(numbers == number) == count
    assert len(store.dataset_times("d")) == threads * count // 10
    assert recorder.entries == threads * count
    stamps = [
        *(times * 1e6).round(),
        *(store.dataset_times("d") * 1e6).round(),
        *(e.ns / 1e3 for e in store.events()),
    ]
    assert len(set(stamps)) == len(stamps)
    items = subscription.drain()
    assert len([i for i in items if isinstance(i, Entry)]) == threads * count
    notes = [event.text for event in store.events() if event.kind == "note"]
    assert sorted(notes) == sorted(f"{n} {i}" for n in range(threads) for i in range(0, count, 10))


def test_the_order_in_the_store_is_the_order_of_time(feed, clock):
    class Watching(MemoryStore):
        def append_row(self, ns, names, values):
            time.sleep(0)  # let another thread run between stamping and storing, if it can
            order.append(ns)
            super().append_row(ns, names, values)

    order = []
    recorder = Recorder(Watching(), feed)
    workers = [
        threading.Thread(target=lambda: [recorder.add_entry(T=i) for i in range(1000)])
        for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert order == sorted(order)
    assert len(order) == 4000


def test_the_clock_of_the_recorder_is_a_session_clock(recorder, clock):
    clock.advance(1.5)
    assert recorder.now() == pytest.approx(START / 1e9 + 1.5, abs=1e-6)
    assert isinstance(recorder._clock, SessionClock)
