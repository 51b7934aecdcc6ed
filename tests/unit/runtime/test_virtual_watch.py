"""Which lines of a task block the loop."""

import asyncio
import os
import pathlib
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from time import sleep as real_sleep
from types import FunctionType

import pytest

import pymanip_run
from pymanip_run.clock import SYSTEM
from pymanip_run.runtime.virtual import virtual_time
from pymanip_run.runtime.virtual_watch import LONG, BlockingCalls

BURN = "import time; until = time.monotonic() + 20\nwhile time.monotonic() < until: pass"
EPOCH = 1_700_000_000 * 10**9


def watched(main):
    with virtual_time(EPOCH) as world:
        loop = world.new_loop()
        with (
            BlockingCalls(loop, lambda name: name == __file__) as blocking,
            asyncio.Runner(loop_factory=lambda: loop) as runner,
        ):
            runner.run(main())
    return blocking.places


def test_a_call_that_blocks_is_named_with_its_line():
    async def main():
        real_sleep(0.5)  # noqa: ASYNC251

    (place,) = watched(main)
    assert place == f"{__file__}:{main.__code__.co_firstlineno + 1} in main"


def test_a_computation_blocks_as_well():
    async def main():
        until = SYSTEM.monotonic() + 0.5
        while SYSTEM.monotonic() < until:
            sum(range(1000))

    assert all("in main" in place for place in watched(main))
    assert watched(main)


def test_short_steps_do_not_block():
    async def main():
        for _ in range(50):
            real_sleep(0.004)  # noqa: ASYNC251
            await asyncio.sleep(1)

    assert watched(main) == {}


def test_waiting_for_a_thread_does_not_block():
    async def main():
        await asyncio.to_thread(real_sleep, 0.4)

    assert watched(main) == {}


def test_a_library_of_the_user_blocks_and_our_own_work_does_not():
    def held_by(file, seconds):
        there = FunctionType(hold.__code__.replace(co_filename=file, co_firstlineno=1), globals())
        asyncio.get_running_loop().call_soon(there, seconds)

    def hold(seconds):
        real_sleep(seconds)

    async def main(*files):
        for file in files:
            held_by(file, 0.4)
            await asyncio.sleep(1)

    library = "/usr/lib/site-packages/driver/visa.py"
    ours = str(Path(pymanip_run.__file__).with_name("storage") / "journal.py")
    assert watched(partial(main, library)).keys() == {f"{library}:2 in hold"}
    assert watched(partial(main, ours, pathlib.__file__)) == {}


@pytest.mark.skipif(not Path("/proc/thread-self/schedstat").exists(), reason="Linux tells it")
def test_a_loop_that_waits_for_a_processor_is_not_blocked():
    async def main():
        crowded = threading.get_native_id()
        allowed = os.sched_getaffinity(crowded)
        os.sched_setaffinity(crowded, {min(allowed)})
        burners = [burner() for _ in range(8)]
        try:
            for each in burners:
                os.sched_setaffinity(each.pid, {min(allowed)})
            await asyncio.sleep(1)
            began, used = SYSTEM.monotonic(), time.thread_time()
            while time.thread_time() - used < LONG / 2:
                sum(range(1000))
            taken.append(SYSTEM.monotonic() - began)
            await asyncio.sleep(1)
        finally:
            for each in burners:
                each.kill()
                each.wait()
            os.sched_setaffinity(crowded, allowed)

    def burner():
        return subprocess.Popen([sys.executable, "-c", BURN])

    taken = []
    found = watched(main)
    assert taken[0] > 2 * LONG
    assert found == {}
