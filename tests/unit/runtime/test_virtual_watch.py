"""Which lines of a task block the loop."""

import asyncio
from time import sleep as real_sleep

from pymanip_run.clock import SYSTEM
from pymanip_run.runtime.virtual import virtual_time
from pymanip_run.runtime.virtual_watch import BlockingCalls

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
