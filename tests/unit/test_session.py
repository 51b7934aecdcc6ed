"""The façade: opening, writing, attributes, and the runs of one session."""

import asyncio
import hashlib
import logging
import os
import shutil
import signal
import sys
import threading
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest

from pymanip_run import (
    AsyncSession,
    SavedAsyncSession,
    SessionLockedError,
    StorageError,
    UsageError,
    every,
)
from pymanip_run.session import internals, session_file


@pytest.fixture
def sesn():
    with AsyncSession(verbose=False) as session:
        yield session


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder):
    """Name → content of all files of a folder."""
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


async def nothing():
    await asyncio.sleep(0)


# -- names and files ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "file"),
    [("convection", "convection.h5"), ("T=1.5K", "T=1.5K.h5"), ("a.h5", "a.h5"), ("a.hdf5", "a.hdf5"), ("a.H5", "a.H5.h5"),
     ("sub/a", "sub/a.h5"), (".h5", ".h5.h5")],
)  # fmt: skip
def test_a_name_becomes_a_file(folder, name, file):
    assert session_file(name) == folder / file


def test_a_database_of_pymanip_is_refused_with_the_command_that_converts_it(folder):
    with pytest.raises(
        UsageError, match=r"(?s)old\.db is a session of pymanip.*pymanip-run convert"
    ):
        AsyncSession("old.db")
    assert contents(folder) == {}


def test_a_database_of_pymanip_is_read(folder):
    sessions = Path(__file__).parent / "storage" / "pymanip_sessions"
    shutil.copy(sessions / "schema_4.1.db", folder / "old.db")
    shutil.copy(sessions / "sync_by_0.4.4.hdf5", folder / "older.hdf5")
    before = contents(folder)
    for name in ("old.db", "old"):
        with SavedAsyncSession(name, verbose=False) as sesn:
            assert sesn.get_version() == 4.1
            times, values = sesn["T_bottom"]
            assert len(times) == len(values) == 40
            assert sesn.dataset("frame", n=0).tolist()[0] == [0, 1, 2, 3]
            assert sesn.metadata("sample") == "He-4 §"
            assert [f["variables"] for f in sesn.figures()] == [["T_bottom", "rare"], ["rare"]]
    with AsyncSession("old.db", readonly=True, verbose=False) as sesn:
        assert sesn.parameter("gain") == 3.5
    with SavedAsyncSession("older.hdf5", verbose=False) as sesn:
        assert sesn["T"].size == 30
    assert contents(folder) == before


@pytest.mark.parametrize("name", ["", ".", "..", "/"])
def test_a_folder_is_no_name_of_a_session(folder, name):
    with pytest.raises(UsageError, match="names a folder"):
        AsyncSession(name)
    assert contents(folder) == {}


def test_the_suffix_is_appended_and_one_file_is_left(folder):
    with AsyncSession("T=1.5K") as sesn:
        assert sesn.session_name == "T=1.5K"
        sesn.add_entry(T=1.5)
    assert list(contents(folder)) == ["T=1.5K.h5"]
    with h5py.File(folder / "T=1.5K.h5") as file:
        assert list(file["variables/T/value"]) == [1.5]


def test_a_path_and_the_options_of_pymanip_are_taken(folder):
    with AsyncSession(folder / "a.hdf5", False, True, True, False) as sesn:
        sesn.add_entry(T=1)
    assert list(contents(folder)) == ["a.hdf5"]


@pytest.mark.parametrize(
    "option", [{"checkpoint_period": 0}, {"sync_period": -1}, {"checkpoint_period": "5s"}]
)
def test_a_period_that_is_none_is_refused_and_nothing_is_created(folder, option):
    with pytest.raises(UsageError, match="a period is a number of seconds above 0"):
        AsyncSession("a", **option)
    assert contents(folder) == {}


def test_a_session_in_memory_creates_nothing(folder):
    with AsyncSession() as sesn:
        sesn.add_entry(T=1)
        sesn.sync()
        assert sesn.session_path is None
        assert "in memory" in repr(sesn)
    assert sesn["T"].last[1] == 1
    with pytest.raises(UsageError, match="closed"):
        sesn.add_entry(T=2)
    assert contents(folder) == {}


def test_an_existing_session_is_refused_when_asked(folder):
    AsyncSession("a", verbose=False).close()
    before = contents(folder)
    with pytest.raises(FileExistsError, match=r"a.h5 exists"):
        AsyncSession("a", exist_ok=False)
    assert contents(folder) == before
    AsyncSession("b", exist_ok=False).close()


@pytest.mark.parametrize(
    "open_", [lambda: AsyncSession("a", readonly=True), lambda: SavedAsyncSession("a")]
)
def test_reading_a_missing_session_creates_nothing(folder, open_):
    with pytest.raises(FileNotFoundError, match=r"a\.h5"):
        open_()
    assert contents(folder) == {}


def test_two_writers_are_refused_and_the_first_is_named(folder):
    with AsyncSession("a", verbose=False) as sesn:
        with pytest.raises(SessionLockedError, match=str(os.getpid())):
            AsyncSession("a")
        sesn.add_entry(T=1)
    assert SavedAsyncSession("a", verbose=False)["T"].size == 1


def test_a_missing_folder_is_said(folder):
    with pytest.raises(StorageError, match="mkdir -p"):
        AsyncSession("missing/a")


# -- reading only -------------------------------------------------------------------------------


@pytest.fixture
def recorded(folder):
    with AsyncSession("a", verbose=False) as sesn:
        sesn.add_entry(T=1.5)
        sesn.add_dataset(d=np.arange(3))
        sesn.save_parameter(power=3)
    return folder


def test_a_readonly_session_reads_and_never_writes(recorded):
    before = contents(recorded)
    with AsyncSession("a", verbose=False, readonly=True) as sesn:
        assert sesn["T"].last[1] == 1.5
        assert sesn.dataset("d").tolist() == [0, 1, 2]
        assert sesn.parameter("power") == 3
        assert sesn.now() > sesn["T"].last[0]
        assert not sesn.running
    assert sesn["T"].size == 1
    assert contents(recorded) == before


def test_a_readonly_session_refuses_every_write_and_run(recorded):
    before = contents(recorded)
    sesn = AsyncSession("a", verbose=False, readonly=True)
    writes = [
        lambda: sesn.add_entry(T=1), lambda: sesn.add_dataset(d=[1]), lambda: sesn.save_parameter(p=1),
        lambda: sesn.save_metadata(m="x"), lambda: sesn.describe("T", unit="K"), lambda: sesn.note("x"), sesn.sync,
        lambda: asyncio.run(sesn.aadd_dataset(d=[1])), lambda: sesn.run(nothing), lambda: sesn.run(nothing()),
        lambda: sesn.save_remote_data({"T": [1]}),
    ]  # fmt: skip
    for write in writes:
        with pytest.raises(
            RuntimeError, match="open for reading only; open it without readonly=True"
        ):
            write()
    sesn.close()
    assert contents(recorded) == before


def test_a_saved_session_needs_no_context_manager(recorded):
    before = contents(recorded)
    sesn = SavedAsyncSession(recorded / "a.h5")
    _, v = sesn["T"]
    assert list(v) == [1.5]
    assert not hasattr(sesn, "add_entry")
    assert contents(recorded) == before


def test_a_saved_session_follows_a_run(folder):
    with AsyncSession("a", verbose=False) as sesn:
        saved = SavedAsyncSession("a", verbose=False)
        assert saved.logged_variables() == set()
        for i in range(3):
            sesn.add_entry(T=i)
            assert saved["T"].last[1] == i
    assert saved["T"].size == 3


def test_welcome_is_printed_for_a_session_that_is_continued(folder, capsys):
    AsyncSession("a").close()
    assert capsys.readouterr().out == ""
    AsyncSession("a", verbose=False).close()
    assert capsys.readouterr().out == ""
    AsyncSession("a").close()
    assert capsys.readouterr().out.startswith("*** Start date: 20")


# -- continuing and closing ---------------------------------------------------------------------


def test_reading_after_closing_works_and_writing_says_why_not(folder):
    sesn = AsyncSession("a", verbose=False)
    sesn.add_entry(T=1)
    sesn.close()
    sesn.close()
    assert sesn["T"].size == 1
    assert sesn.logged_last_values()["T"][1] == 1
    for write in (
        lambda: sesn.add_entry(T=2),
        lambda: sesn.note("x"),
        lambda: sesn.save_parameter(p=1),
        sesn.sync,
    ):
        with pytest.raises(UsageError, match="closed"):
            write()


def test_a_continued_session_goes_on_in_time_and_adds_a_run(folder):
    for i in range(3):
        with AsyncSession("a", verbose=False) as sesn:
            sesn.add_entry(T=i)
            sesn.run(nothing())
            sesn.add_entry(T=i + 0.5)
    t, v = sesn["T"]
    assert np.all(np.diff(t) > 0)
    assert list(v) == [0, 0.5, 1, 1.5, 2, 2.5]
    assert [run.index for run in sesn.runs()] == [0, 1, 2]
    assert [run.exit_code for run in sesn.runs()] == [0, 0, 0]
    stops = [run.stop for run in sesn.runs()]
    assert all(run.start < run.stop for run in sesn.runs())
    assert stops == sorted(stops)


def test_all_kinds_of_records_come_back_from_the_file(folder):
    with AsyncSession("a", verbose=False) as sesn:
        sesn.add_entry(T=1)
        sesn.describe("T", unit="K", label="Bath", format=".1f", period="10s")
        sesn.add_dataset(text="a\0b", array=np.eye(2), plain={"a": (1, None)})
        sesn.note("caf\udce9", source="me")
        sesn.save_metadata(m=[1, "x"])
        sesn.save_parameter(p="x")
    saved = SavedAsyncSession("a", verbose=False)
    described = saved.variables()["T"].description
    assert (described.unit, described.label, described.format, described.period) == (
        "K",
        "Bath",
        ".1f",
        10.0,
    )
    assert saved.dataset("text") == "a\0b"
    assert saved.dataset("array").tolist() == [[1, 0], [0, 1]]
    assert saved.dataset("plain") == {"a": (1, None)}
    assert saved.events()[0].text == "caf\\udce9"
    assert (saved.metadata("m"), saved.parameter("p")) == ([1, "x"], "x")
    assert list(contents(folder)) == ["a.h5"]


@pytest.mark.parametrize("bad", ["a\0b", "a\udc80b"])
def test_a_text_that_hdf5_cannot_hold_does_not_keep_the_file_from_being_written(folder, bad):
    with AsyncSession("a", verbose=False) as sesn:
        for write in (
            lambda: sesn.save_parameter(p=bad),
            lambda: sesn.save_metadata(m=bad),
            lambda: sesn.describe("T", unit=bad),
        ):
            with pytest.raises(ValueError, match="cannot hold"):
                write()
        sesn.note(bad, source=bad)
        sesn.add_entry(T=1)
    assert list(contents(folder)) == ["a.h5"]
    assert SavedAsyncSession("a", verbose=False)["T"].size == 1


# -- attributes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "sleep",
        "add_entry",
        "monitor",
        "plot",
        "parameters",
        "t0",
        "session_name",
        "close",
        "datasets",
        "to_dataframe",
    ],
)
def test_assigning_the_name_of_a_public_part_raises(sesn, name):
    with pytest.raises(
        AttributeError,
        match=f"'{name}' is a part of the session itself; give the device another name",
    ):
        setattr(sesn, name, 3)
    assert callable(sesn.sleep)


def test_devices_hang_on_the_session_as_attributes(sesn):
    sesn.multimeter = device = object()
    assert sesn.multimeter is device
    del sesn.multimeter
    assert not hasattr(sesn, "multimeter")


def test_private_state_does_not_collide_with_a_users_names(sesn):
    for name in ("store", "_store", "recorder", "stop", "feed", "clock", "name", "device"):
        setattr(sesn, name, 3)
    sesn.add_entry(T=1)
    assert sesn["T"].size == 1


def test_a_missing_attribute_has_the_nearest_name(sesn):
    sesn.multimeter = 1
    with pytest.raises(
        AttributeError, match="has no attribute 'multimetre'; did you mean 'multimeter'"
    ):
        sesn.multimetre  # noqa: B018
    with pytest.raises(AttributeError, match="did you mean 'add_entry'"):
        sesn.add_entri  # noqa: B018


def test_a_subclass_that_forgot_the_init_of_its_base_is_told():
    class Monitoring(AsyncSession):
        def __init__(self):
            self.device = 3

    for use in (
        lambda s: s.add_entry(T=1), lambda s: s["T"], lambda s: s.run(nothing), lambda s: s.__enter__(), lambda s: s.close(),
        lambda s: s.session_name,
    ):  # fmt: skip
        with pytest.raises(
            AttributeError, match=r"Monitoring.__init__ did not call super\(\).__init__\(\)"
        ):
            use(Monitoring())


def test_a_failing_property_of_a_subclass_says_what_failed():
    class Monitoring(AsyncSession):
        @property
        def temperature(self):
            return self.thermometer.value

    with pytest.raises(AttributeError, match="no attribute 'thermometer'"):
        Monitoring(verbose=False).temperature  # noqa: B018


def test_an_overridden_add_entry_is_the_one_that_is_called():
    class Doubled(AsyncSession):
        def add_entry(self, **values):
            super().add_entry({name: 2 * value for name, value in values.items()})

    sesn = Doubled(verbose=False)
    sesn.add_entry(T=2)
    assert sesn["T"].last[1] == 4


def test_a_subclass_has_its_tasks_as_methods():
    class Monitoring(AsyncSession):
        def __init__(self, limit):
            super().__init__(None, verbose=False)
            self.limit = limit
            self.count = 0

        async def measure(self):
            self.count += 1
            self.add_entry(count=self.count)
            if self.count == self.limit:
                self.ask_exit()
            await self.sleep(0)

        async def once(self):
            await self.sleep(0)
            self.add_entry(once=1)

    with Monitoring(5) as sesn:
        asyncio.run(sesn.monitor(sesn.measure, sesn.once(), server_port=None))
        assert list(sesn["count"].values) == [1, 2, 3, 4, 5]
        assert sesn["once"].size == 1


# -- writing asynchronously and elsewhere -------------------------------------------------------


async def test_a_large_array_is_written_in_a_thread(sesn):
    await asyncio.gather(*(sesn.aadd_dataset(frame=np.full((100, 100), i)) for i in range(5)))
    await sesn.async_sync()
    assert {int(frame[0, 0]) for _, frame in sesn.datasets("frame")} == set(range(5))


def test_what_a_remote_observer_brought_is_stored(sesn):
    data = {
        "T": {"t": [1.0, 2.0], "value": [20.0, 21.0]}, "p": [3.0, 4.0], "time": [1.0, 2.0], "power": 12.0,
        "parameters": {"mode": "slow"},
    }  # fmt: skip
    sesn.save_remote_data(data)
    assert sesn.dataset("T") == [20.0, 21.0]
    assert sesn.dataset("T_time") == [1.0, 2.0]
    assert sesn.dataset("p") == [3.0, 4.0]
    assert sesn.parameters() == {"power": 12.0, "mode": "slow"}


def test_a_session_is_used_from_another_thread(folder):
    def work():
        with AsyncSession("a", verbose=False) as sesn:
            sesn.run(nothing(), server_port=None)
            sesn.add_entry(T=1)
            done.append(sesn)

    done = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done[0]["T"].size == 1
    assert done[0].runs()[0].exit_code == 0


# -- running ------------------------------------------------------------------------------------


def test_functions_run_again_and_again_and_awaitables_once(sesn):
    async def again(s):
        assert s is sesn
        s.add_entry(again=1)
        await s.sleep(0)
        if s["again"].size == 4:
            s.ask_exit("enough")

    async def once():
        sesn.add_entry(once=1)

    sesn.run(again, once(), server_port=None)
    assert (sesn["again"].size, sesn["once"].size) == (4, 1)
    (run,) = sesn.runs()
    assert (run.exit_code, run.exit_reason, run.pid) == (0, "enough", os.getpid())


def test_a_sweep_ends_the_run(sesn):
    async def step(s, value):
        s.add_entry(value=value)

    async def beside(s):
        await s.sleep(1000)

    sesn.run(sesn.sweep(step, [1, 2, 3]), beside, server_port=None)
    assert list(sesn["value"].values) == [1, 2, 3]
    assert list(sesn["_point_step"].values) == [0, 1, 2]
    assert sesn.runs()[0].exit_reason == "all sweeps done"


def test_a_failing_task_lets_the_others_finish_their_present_step(sesn):
    async def fail():
        await asyncio.sleep(0.01)
        raise ZeroDivisionError("no flow")

    async def sibling(s):
        s.add_entry(begun=1)
        await asyncio.sleep(0.03)
        s.add_entry(finished=1)

    with pytest.raises(ZeroDivisionError, match="no flow") as caught:
        sesn.run(fail(), sibling, server_port=None)
    assert caught.value.__notes__ == ["in task 'fail'"]
    assert sesn["begun"].size == sesn["finished"].size == 1
    (run,) = sesn.runs()
    assert (run.exit_code, run.exit_reason) == (1, "ZeroDivisionError: no flow")
    assert not sesn.running


def test_a_failing_run_closes_devices_in_reverse_order(sesn):
    class Device:
        def __init__(self, name):
            self.name = name

        async def __aenter__(self):
            return self

        async def __aexit__(self, *_):
            closed.append(self.name)
            await sesn.sleep(0.001)  # after the stop this is a real sleep: a ramp to a safe state
            sesn.add_entry({f"closed_{self.name}": 1})

    async def fail(s):
        raise OSError("device gone")

    async def main():
        async with Device("pump") as sesn.pump, Device("heater") as sesn.heater:
            await sesn.monitor(fail, server_port=None)

    closed = []
    with pytest.raises(OSError, match="device gone"):
        asyncio.run(main())
    assert closed == ["heater", "pump"]
    assert sesn["closed_pump"].size == 1


def test_a_run_can_be_ended_from_a_thread(sesn):
    async def wait(s):
        threading.Thread(target=s.ask_exit, args=("the other thread",)).start()
        await s.sleep(1000)

    sesn.run(wait, server_port=None)
    assert sesn.runs()[0].exit_reason == "the other thread"


def test_running_tells_and_setting_it_to_false_asks_for_the_end(sesn):
    async def look(s):
        states.append(s.running)
        s.running = False
        states.append(s.running)

    states = [sesn.running]
    sesn.run(look, server_port=None)
    assert [*states, sesn.running] == [False, True, False, False]
    with pytest.raises(UsageError, match=r"runs by monitor\(\)"):
        sesn.running = True


def test_a_loop_over_running_ends_with_the_run(sesn):
    async def published_form():
        while sesn.running:
            sesn.add_entry(n=1)
            await sesn.sleep(0.001)

    async def stop(s):
        await s.sleep(0.02)
        s.ask_exit()

    sesn.run(published_form(), stop, server_port=None)
    assert sesn["n"].size >= 1


def test_a_session_runs_one_monitor_at_a_time(sesn):
    async def nested(s):
        with pytest.raises(UsageError, match="runs already; one monitor"):
            await s.monitor(nothing(), server_port=None)
        s.ask_exit()

    sesn.run(nested, server_port=None)
    assert len(sesn.runs()) == 1


def test_one_monitor_after_the_other(sesn):
    async def main():
        await sesn.monitor(nothing(), server_port=None)
        await sesn.sleep(0.001)
        await sesn.monitor(nothing(), server_port=0)

    asyncio.run(main())
    sesn.run(nothing(), server_port=None)
    assert [run.exit_code for run in sesn.runs()] == [0, 0, 0]


async def test_sleeping_before_and_after_a_run_is_sleeping(sesn):
    loop = asyncio.get_running_loop()
    await sesn.sleep(0)
    for _ in range(2):
        start = loop.time()
        await sesn.sleep(0.02, verbose=False)
        assert loop.time() - start >= 0.0199
        await sesn.monitor(nothing(), server_port=None)


async def test_run_in_a_running_loop_says_what_to_write(sesn):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UsageError, match=r"write: await sesn\.monitor\(\.\.\.\)"):
            sesn.run(nothing())
        with pytest.raises(UsageError, match="custom_figures are figures of matplotlib"):
            await sesn.monitor(nothing(), custom_figures=[5])
    assert sesn.runs() == []


async def test_the_options_of_the_server_are_taken(sesn):
    await sesn.monitor(
        nothing(), server_port=6913, server_host="::1", server_token="", offscreen_figures=True, handle_signals=False,
    )  # fmt: skip
    assert sesn.runs()[0].exit_code == 0


@pytest.mark.parametrize("task", [None, 3, "measure", [nothing]])
def test_what_is_no_task_is_refused_and_is_no_run(sesn, task):
    with pytest.raises(TypeError):
        sesn.run(nothing(), task, server_port=None)
    assert sesn.runs() == []
    assert not sesn.running


def test_a_run_without_tasks_ends_at_once(sesn):
    sesn.run(server_port=None)
    assert sesn.runs()[0].exit_reason == "all tasks ended"


def test_signal_handlers_are_restored(sesn):
    async def look(s):
        during.append(signal.getsignal(signal.SIGINT))
        s.ask_exit()

    during, numbers = [], (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(n) for n in numbers]
    sesn.run(look, server_port=None)
    assert "Interrupts" in repr(during[0])
    assert [signal.getsignal(n) for n in numbers] == before
    sesn.run(look, server_port=None, handle_signals=False)
    assert "Interrupts" not in repr(during[1])


async def test_no_asyncio_task_is_left_behind(sesn):
    async def child(s):
        await s.sleep(1000)

    async def fail(s):
        await asyncio.sleep(0)
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        await sesn.monitor(
            child,
            every(0.01, child),
            sesn.sweep(lambda s, _: child(s), [1]),
            fail,
            server_port=None,
        )
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_cancelled_monitor_is_recorded_and_can_be_run_again(sesn):
    async def wait(s):
        begun.set()
        await asyncio.sleep(1000)

    begun = asyncio.Event()
    run = asyncio.create_task(sesn.monitor(wait, server_port=None))
    await begun.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert sesn.runs()[0].exit_reason == "cancelled"
    await sesn.monitor(nothing(), server_port=None)


def test_the_exception_of_a_task_is_not_hidden_by_a_session_that_it_closed(sesn, caplog):
    async def fail(s):
        s.close()
        raise ValueError("the cause")

    with caplog.at_level(logging.ERROR), pytest.raises(ValueError, match="the cause"):
        sesn.run(fail, server_port=None)
    assert "the end of the run could not be recorded" in caplog.text


def test_a_failing_observer_is_an_event_and_ends_no_run(sesn, caplog):
    from pymanip_run.session import RunOptions, run_tasks

    async def observer():
        raise RuntimeError("display broken\0")

    async def task(s):
        await s.sleep(0.02)
        s.ask_exit()

    options = RunOptions(observers=(("table", lambda _: observer()),), handle_signals=False)
    asyncio.run(run_tasks(sesn, [task], options))
    faults = [event for event in sesn.events() if event.kind == "error"]
    assert [(event.source, event.text) for event in faults] == [
        ("table", "RuntimeError: display broken\\x00")
    ]
    assert sesn.runs()[0].exit_code == 0
    assert caplog.records


def test_a_run_tells_where_its_data_come_from(sesn):
    sesn.run(nothing(), server_port=None)
    (run,) = sesn.runs()
    assert run.host
    assert run.user
    assert {"argv", "packages"} <= set(run.texts)
    assert internals(sesn).stop.is_set


def test_a_misspelt_task_of_a_subclass_is_offered_its_right_name():
    class Monitoring(AsyncSession):
        async def read_temperatures(self): ...

    with pytest.raises(AttributeError, match="did you mean 'read_temperatures'"):
        Monitoring(verbose=False).read_temperature  # noqa: B018


def test_the_private_state_of_a_session_cannot_be_taken_for_a_device():
    sesn = AsyncSession(verbose=False)
    with pytest.raises(AttributeError, match="another name"):
        sesn._session = "of a web service"
    sesn.add_entry(T=1)
    assert sesn["T"].size == 1


async def test_the_loop_goes_on_while_git_is_asked_where_the_code_comes_from(tmp_path, monkeypatch):
    git = tmp_path / "git"
    git.write_text(
        f"#!/bin/sh\nuntil [ -e {tmp_path}/turned ]; do sleep 0.01; done\ntouch {tmp_path}/seen\n"
    )
    git.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    # Asked is where the script is; a process of parallel tests has none.
    monkeypatch.setattr(
        sys.modules["__main__"], "__file__", str(tmp_path / "lab.py"), raising=False
    )
    asyncio.get_running_loop().call_later(0.05, (tmp_path / "turned").touch)
    sesn = AsyncSession(verbose=False)
    async with asyncio.timeout(30):
        await sesn.monitor(nothing(), server_port=None, handle_signals=False)
    assert (tmp_path / "seen").exists()  # git has a limited time
