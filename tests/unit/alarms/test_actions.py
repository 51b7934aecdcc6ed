import asyncio
import math

import pytest
from helpers_alarms import NS, rule

from pymanip_run.alarms.actions import Actions, Orders
from pymanip_run.alarms.rules import Change, Status
from pymanip_run.alarms.words import Words
from pymanip_run.core.context import current_task
from pymanip_run.runtime.stop import StopSignal

HOT = rule("T > 60", "hot")


def became(seconds=0.0, a=HOT, value=61.0):
    return Change(a, "active", round(seconds * NS), value, math.nan)


def over(seconds=0.0, a=HOT):
    return Change(a, "cleared", round(seconds * NS), 20.0, 20.0)


class Desk:
    def __init__(self, orders=None):
        self.events, self.posts, self.kept, self.stop = [], [], 0, StopSignal()
        self.actions = Actions(
            {"hot": orders or Orders()},
            Words(dict),
            self.stop,
            lambda *event: self.events.append(event),
            post=lambda change, headline, text: self.posts.append((headline, text)),
            keep=self._keep,
        )

    def _keep(self):
        self.kept += 1


@pytest.fixture
def desk():
    return Desk()


def test_becoming_active_and_being_cleared_are_events(desk):
    desk.actions([became()])
    desk.actions([over(1)])
    assert [(kind, source) for kind, source, _ in desk.events] == [("alarm", "hot")] * 2
    assert desk.events[0][2].startswith("T above 60 (61); cleared when")
    assert desk.kept == 2
    assert desk.posts == []
    assert not desk.stop.is_set


def test_the_stop_names_the_alarm_and_asks_for_exit_code_5():
    desk = Desk(Orders(stop=True))
    desk.actions([became()])
    assert (desk.stop.reason, desk.stop.exit_code) == ("alarm hot: T above 60 (61)", 5)


def test_a_mail_says_what_the_event_says():
    desk = Desk(Orders(mail=True))
    desk.actions([became()])
    assert desk.posts == [("T above 60 (61)", desk.events[0][2])]


def test_the_run_is_stopped_even_if_nothing_can_be_told(caplog):
    def fail(*_):
        raise OSError("disk full")

    stop = StopSignal()
    actions = Actions({"hot": Orders(mail=True, stop=True)}, Words(dict), stop, fail, post=fail)
    actions([became()])
    assert stop.exit_code == 5
    assert "disk full" in caplog.text


def test_an_alarm_that_comes_and_goes_is_told_ten_times_an_hour(desk):
    for second in range(0, 3600, 2):
        desk.actions([became(second)])
        desk.actions([over(second + 1)])
    assert len(desk.events) == 20
    assert "it comes and goes" in desk.events[18][2]
    desk.actions([became(3700)])
    assert "1790 times more" in desk.events[20][2]


def test_what_was_only_counted_is_told_at_the_end(desk):
    for second in range(12):
        desk.actions([became(second)])
        desk.actions([over(second + 0.5)])
    desk.actions.close()
    assert desk.events[-1] == ("alarm", "hot", "was active 2 times more, which was only counted")
    assert desk.kept == 24, "stored each time, told or not"


def test_what_an_earlier_run_left_active_is_told_and_nothing_else():
    desk = Desk(Orders(mail=True, stop=True))
    desk.actions.still_active(
        [
            Status(HOT, "active", 5 * NS, 61.0, restored=True),
            Status(rule("age(T) > 1min", "silent", message="No sensor"), "active", 5 * NS, 60.0, True),
            Status(rule("T < 1", "cold"), "active", 5 * NS, 0.0),
            Status(rule("T < 2", "cool"), "ok"),
        ]
    )  # fmt: skip
    (_, _, hot), (_, name, silent) = desk.events
    assert hot.startswith("still active since 1970-01-01 ")
    assert hot.endswith(
        ", in an earlier run: T above 60 (61); cleared when it is no longer above 60"
    )
    assert name == "silent"
    assert silent.endswith(
        "No sensor: no value of T for 1 min (limit 1 min); cleared by the next value of T"
    )
    assert (desk.posts, desk.stop.is_set) == ([], False)


async def test_a_function_runs_once_for_each_activation():
    ran = []

    async def cool():
        ran.append(current_task.get())

    desk = Desk(Orders(run=(("cool", cool),)))
    desk.actions.open()
    desk.actions([became()])
    await desk.actions.finish(1)
    desk.actions([over(1), became(2)])
    await desk.actions.finish(1)
    assert ran == ["cool", "cool"]


async def test_a_function_that_fails_is_an_event_and_nothing_else(caplog):
    async def cool():
        raise ValueError("no water")

    desk = Desk(Orders(run=(("cool", cool),)))
    desk.actions.open()
    desk.actions([became()])
    await desk.actions.finish(1)
    assert desk.events[-1] == ("error", "hot", "cool failed: ValueError: no water")
    assert not desk.stop.is_set


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt()])
async def test_a_function_cannot_end_the_process(error, caplog):
    async def cool():
        raise error

    desk = Desk(Orders(run=(("cool", cool),)))
    desk.actions.open()
    desk.actions([became()])
    await desk.actions.finish(1)
    assert desk.events[-1][2].startswith("cool failed: ")


async def test_a_function_that_still_runs_is_not_started_again():
    started, end = [], asyncio.Event()

    async def cool():
        started.append(1)
        await end.wait()

    desk = Desk(Orders(run=(("cool", cool),)))
    desk.actions.open()
    desk.actions([became()])
    await asyncio.sleep(0)
    desk.actions([over(1), became(2)])
    end.set()
    await desk.actions.finish(1)
    assert started == [1]
    assert ("error", "hot", "cool is not started: it still runs since the last time") in desk.events


async def test_a_function_that_hangs_at_the_end_is_cancelled_and_named():
    async def cool():
        await asyncio.sleep(1000)

    desk = Desk(Orders(run=(("cool", cool),)))
    desk.actions.open()
    desk.actions([became()])
    await desk.actions.finish(0.01)
    kind, _, text = desk.events[-1]
    assert kind == "error"
    assert text.startswith("cool was cancelled after 10 ms, at ")


async def test_from_another_thread_a_function_is_started_in_the_loop():
    ran = []

    async def cool():
        ran.append(asyncio.get_running_loop())

    desk = Desk(Orders(run=(("cool", cool),)))
    desk.actions.open()
    await asyncio.to_thread(desk.actions, [became()])
    await asyncio.sleep(0)
    await desk.actions.finish(1)
    assert ran == [asyncio.get_running_loop()]
