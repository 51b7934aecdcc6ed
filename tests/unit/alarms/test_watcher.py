import asyncio
import threading

import pytest
from helpers_alarms import rule

from pymanip_run.alarms.engine import Engine
from pymanip_run.alarms.watcher import Watcher
from pymanip_run.clock import SYSTEM, as_ns
from pymanip_run.core.feed import Feed
from pymanip_run.core.recorder import Recorder
from pymanip_run.runtime.virtual import virtual_time
from pymanip_run.storage.memory import MemoryStore

EPOCH = 1_700_000_000 * 10**9


class Run:
    """A recorder with alarms beside it."""

    def __init__(self, clock, *rules):
        feed = Feed()
        self.recorder = Recorder(MemoryStore("t", clock), feed, clock)
        self.changes = []
        self.watcher = Watcher(Engine(rules), feed, lambda: as_ns(self.recorder.now()), self._act)
        self._start = self.recorder.now()

    def _act(self, changes):
        thread = threading.current_thread().name
        self.changes += [(c.rule.name, c.level, round(c.time - self._start, 3)) for c in changes]
        self.threads = thread


def virtually(main, *rules):
    with virtual_time(EPOCH) as world:
        run = Run(world.clock, *rules)

        async def inside():
            async with run.watcher:
                run.watcher.begin()
                await main(run)

        world.run(inside())
        return run.changes, world


def test_entries_are_evaluated_in_the_next_turn_of_the_loop():
    async def main(run):
        run.recorder.add_entry(T=61)
        assert run.changes == []
        await asyncio.sleep(0)
        assert run.changes == [("a", "active", 0.0)]

    virtually(main, rule("T > 60"))


def test_every_entry_is_evaluated_also_those_of_one_turn():
    async def main(run):
        run.recorder.add_entry(T=61)
        run.recorder.add_entry(T=20)

    changes, _ = virtually(main, rule("T > 60"))
    assert [level for _, level, _ in changes] == ["active", "cleared"]


def test_what_is_due_by_time_comes_at_its_instant_and_time_still_jumps():
    async def main(run):
        run.recorder.add_entry(T=61)
        await asyncio.sleep(10 * 86400)

    began = SYSTEM.monotonic()
    changes, world = virtually(main, rule("T > 60", hold=3600), rule("age(T) > 2d", "b"))
    assert changes == [("a", "active", 3600.0), ("b", "active", 172800.0)]
    assert world.clock.elapsed == pytest.approx(864000, abs=1)
    assert SYSTEM.monotonic() - began < 5


def test_values_push_a_silence_away():
    async def main(run):
        for _ in range(100):
            run.recorder.add_entry(T=1)
            await asyncio.sleep(10)
        await asyncio.sleep(50)

    changes, _ = virtually(main, rule("age(T) > 30s"))
    assert changes == [("a", "active", 990.0 + 30.0)]


def test_after_the_end_nothing_is_evaluated():
    async def main(run):
        run.watcher.close()
        run.recorder.add_entry(T=61)
        await asyncio.sleep(1)

    assert virtually(main, rule("T > 60"))[0] == []


def test_the_last_entries_are_evaluated_at_the_end():
    async def main(run):
        run.recorder.add_entry(T=61)

    assert virtually(main, rule("T > 60"))[0] == [("a", "active", 0.0)]


def test_what_setup_recorded_counts():
    with virtual_time(EPOCH) as world:
        run = Run(world.clock, rule("T > 60"))

        async def inside():
            async with run.watcher:
                run.watcher.begin([(EPOCH, "T", 61.0)])
                await asyncio.sleep(0)

        world.run(inside())
    assert [name for name, _, _ in run.changes] == ["a"]


def test_two_rehearsals_are_equal():
    async def main(run):
        for second in range(200):
            run.recorder.add_entry(T=second % 70)
            await asyncio.sleep(0.7)

    rules = rule("T > 60", hold=3), rule("rate(T) > 60 per 1min", "b"), rule("age(T) > 0.5s", "c")
    assert virtually(main, *rules)[0] == virtually(main, *rules)[0]


async def test_entries_of_another_thread_are_evaluated_in_the_loop():
    run = Run(SYSTEM, rule("T > 60"))
    async with run.watcher:
        run.watcher.begin()
        await asyncio.to_thread(run.recorder.add_entry, T=61)
        async with asyncio.timeout(10):
            while not run.changes:  # noqa: ASYNC110 - what it waits for has no event
                await asyncio.sleep(0.001)
    assert run.threads == threading.current_thread().name


async def test_a_task_that_holds_the_loop_does_not_keep_alarms_from_acting():
    run = Run(SYSTEM, rule("age(T) > 0.2s"), rule("U > 60", "b"))
    acted = threading.Event()
    act = run._act

    def note(changes):
        act(changes)
        if len(run.changes) >= 2:
            acted.set()

    run.watcher._act = note
    async with run.watcher:
        run.watcher.begin()
        run.recorder.add_entry(U=61)
        # Blocks the loop, as a driver without time-out does.
        assert acted.wait(20)
        assert run.threads == "alarms"
    assert {(name, level) for name, level, _ in run.changes} == {("a", "active"), ("b", "active")}


async def test_recording_goes_on_if_acting_fails(caplog):
    run = Run(SYSTEM, rule("T > 60"))
    run.watcher._act = None
    async with run.watcher:
        run.watcher.begin()
        run.recorder.add_entry(T=61)
        await asyncio.sleep(0)
        run.recorder.add_entry(T=20)
    assert "an alarm could not act" in caplog.text
    assert run.recorder.entries == 2
