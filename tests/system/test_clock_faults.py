"""The computer's clock is set, and the process held up, while a run measures: in real processes."""

import os
import signal
import time
from pathlib import Path

import pytest

from pymanip_run import SavedAsyncSession

HOUR, DAY = 3600.0, 86400.0
PERIOD = 0.1
LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
MEASURE = f"""
    async def read(sesn):
        sesn.add_entry(monotonic=time.monotonic(), wall=time.time())

    async def tell(sesn):
        say("measuring")
        await sesn.sleep(1e9)

    with AsyncSession("a", verbose=False) as sesn:
        asyncio.run(sesn.monitor(every({PERIOD}, read), tell, server_port=None))
"""


@pytest.fixture
def clock(tmp_path, monkeypatch):
    """Set the clock of the processes that are started from now on: ``clock(+3600)``."""
    setting = tmp_path / "faketime"

    def set_(offset):
        new = tmp_path / "faketime.new"
        new.write_text(f"{offset:+.0f}s\n")
        new.replace(setting)

    set_(0)
    monkeypatch.setenv("LD_PRELOAD", str(LIBRARIES[0]))
    monkeypatch.setenv("FAKETIME_TIMESTAMP_FILE", str(setting))
    monkeypatch.setenv("FAKETIME_NO_CACHE", "1")
    monkeypatch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    return set_


def measured(script, tmp_path, during):
    """Measure, let something happen meanwhile, and return what was recorded."""
    run = script(MEASURE)
    run.wait_for("measuring")
    during(run)
    run.send(signal.SIGINT)
    code, errors = run.end()
    assert code == 0, errors
    return SavedAsyncSession(tmp_path / "a", verbose=False)


def assert_ordered_and_on_the_grid(saved):
    """Stamps increase, and by the clock that never steps there are neither gaps nor bursts."""
    stamps, monotonic = saved["monotonic"]
    assert (stamps[1:] > stamps[:-1]).all()
    # A late tick and the next one in time may come close together; three on a grid never do.
    assert (monotonic[2:] - monotonic[:-2] > PERIOD).all(), "a burst"
    steps = monotonic[1:] - monotonic[:-1]
    assert steps.mean() < 1.5 * PERIOD, "misses"


@pytest.mark.needs_system("faketime")
@pytest.mark.parametrize("step", [HOUR, -HOUR, DAY, -DAY])
def test_a_clock_that_is_set_changes_neither_order_nor_period(script, clock, tmp_path, step):
    def during(_):
        time.sleep(0.5)
        clock(step)
        time.sleep(1)

    saved = measured(script, tmp_path, during)
    assert_ordered_and_on_the_grid(saved)
    (event,) = (e for e in saved.events() if e.kind == "clock")
    direction = "forward" if step > 0 else "back"
    assert event.text.startswith(f"the system clock went {direction} by ")
    size = float(event.text.split(" by ")[1].split(" s")[0])
    assert size == pytest.approx(abs(step), abs=1)


@pytest.mark.needs_system("faketime")
def test_a_clock_that_is_set_back_and_forth(script, clock, tmp_path):
    def during(_):
        for offset in (0, HOUR, -HOUR, 0):
            clock(offset)
            time.sleep(0.4)

    saved = measured(script, tmp_path, during)
    assert_ordered_and_on_the_grid(saved)
    texts = [e.text for e in saved.events() if e.kind == "clock"]
    assert [text.split(" by ")[0].rpartition(" ")[2] for text in texts] == [
        "forward", "back", "forward",
    ]  # fmt: skip


def test_a_process_that_is_held_up_counts_the_missed_ticks_once_and_makes_no_burst(
    script, tmp_path
):
    held = 2.0

    def during(run):
        time.sleep(0.5)
        os.kill(run.pid, signal.SIGSTOP)
        time.sleep(held)
        os.kill(run.pid, signal.SIGCONT)
        time.sleep(0.5)

    saved = measured(script, tmp_path, during)
    _, monotonic = saved["monotonic"]
    steps = (monotonic[1:] - monotonic[:-1]) / PERIOD
    assert steps.max() >= (held - PERIOD) / PERIOD
    assert (steps > 0.3).all(), "ticks are made up for in a burst"
    assert [e for e in saved.events() if e.kind == "clock"] == []
