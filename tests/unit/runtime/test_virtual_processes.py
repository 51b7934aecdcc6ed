"""Sub-processes under a virtual clock."""

import asyncio
import subprocess
import sys
from functools import partial

import pytest
from helpers_virtual import HOUR, kinds, run


async def start(code, **options):
    return await asyncio.create_subprocess_exec(sys.executable, "-c", code, **options)


def test_the_exit_of_a_process_is_waited_for():
    async def main():
        process = await start("import time; time.sleep(0.05)")
        return await asyncio.wait_for(process.wait(), HOUR)

    code, elapsed, loop = run(main)
    assert code == 0
    assert elapsed < 60
    assert kinds(loop) == {"process"}


def test_the_output_of_a_process_is_waited_for():
    async def main():
        process = await start(
            "import time; time.sleep(0.05); print('21.5', flush=True); input()",
            stdout=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.PIPE,
        )  # fmt: skip
        line = await asyncio.wait_for(process.stdout.readline(), HOUR)
        await process.communicate(b"\n")
        return line

    line, elapsed, _ = run(main)
    assert line == b"21.5\n"
    assert elapsed < 60


def test_a_process_that_nobody_waits_for_does_not_hold_the_clock():
    async def main():
        process = await start("input()", stdin=asyncio.subprocess.PIPE)
        await asyncio.sleep(HOUR)
        await process.communicate(b"\n")

    _, elapsed, _ = run(main)
    assert elapsed == pytest.approx(HOUR, abs=60)


def test_a_shell_is_waited_for():
    async def main():
        process = await asyncio.create_subprocess_shell(
            "sleep 0.05; echo 21.5", stdout=asyncio.subprocess.PIPE
        )
        return await asyncio.wait_for(process.communicate(), HOUR)

    (out, _), elapsed, _ = run(main)
    assert out == b"21.5\n"
    assert elapsed < 60


class Output(asyncio.SubprocessProtocol):
    def __init__(self):
        self.over = asyncio.get_running_loop().create_future()

    def process_exited(self):
        self.over.set_result(None)


def test_a_process_with_a_protocol_of_its_own_is_waited_for():
    async def main():
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.subprocess_exec(
            Output, sys.executable, "-c", "import time; time.sleep(0.05)"
        )
        await asyncio.wait_for(protocol.over, HOUR)
        transport.close()

    assert run(main)[1] < 60


def test_a_process_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr("pymanip_run.runtime.virtual_waiting.PATIENCE", 0.6)

    async def main():
        process = await start("input()", stdin=asyncio.subprocess.PIPE)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(process.wait(), HOUR)
        await process.communicate(b"\n")

    _, elapsed, loop = run(main)
    assert elapsed == pytest.approx(HOUR, abs=60)
    assert sys.executable in loop.costs[0].place


@pytest.mark.parametrize("where", ["loop", "thread"])
def test_a_process_that_is_looked_at_again_and_again_takes_real_time_only(where):
    """``subprocess.run(timeout=…)`` calls `time.sleep` until it has ended: hours would pass."""

    async def main():
        run = partial(subprocess.run, ["sleep", "0.1"], check=True, timeout=30)
        await (asyncio.to_thread(run) if where == "thread" else as_it_is(run))

    async def as_it_is(run):
        run()

    _, elapsed, _ = run(main)
    assert elapsed < 60
