"""How long a run takes to end after SIGINT, with twenty sleeping tasks."""

import asyncio
import json
import random
import signal
import subprocess
import sys
import time

from measuring import PYMANIP, Options, Table, Target, commands, interleave

TITLE = "The end of a run"
TEXT = """\
Twenty tasks log a value and then sleep for an hour; the process gets SIGINT. *monitor returns* counts until
`monitor()` is left, *process ends* until the session is closed and the process is gone."""
SETTLE = 1.0  # and up to half a second more, so that no polling loop is met in step


def session_class(subject):
    if subject == PYMANIP:
        from pymanip.asyncsession import AsyncSession
    else:
        from pymanip_run import AsyncSession
    return AsyncSession


def sleep_until_interrupted(subject):
    """Run the twenty tasks; print when `monitor` returned, on the clock that all processes share."""

    def sleeper(number):
        async def task(sesn):
            sesn.add_entry({f"variable_{number}": 1.0})
            await sesn.sleep(3600, verbose=False)

        return task

    async def main(sesn):
        asyncio.get_running_loop().call_later(
            SETTLE + random.random() / 2, lambda: print("asleep", flush=True)
        )
        await sesn.monitor(*(sleeper(number) for number in range(20)), server_port=None)
        print("returned", time.monotonic(), flush=True)

    with session_class(subject)("data", verbose=False) as sesn:
        asyncio.run(main(sesn))


def interrupt(subject):
    """Start the run in a process of its own, interrupt it, and measure."""
    command = [sys.executable, __file__, "--run", subject]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("asleep"):
            if process.poll() is not None:
                raise RuntimeError("the run ended before it was interrupted")
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        lines = [line.split() for line in process.stdout]
    ended = time.monotonic()
    returned = next(float(words[1]) for words in lines if words[:1] == ["returned"])
    print(
        json.dumps(
            {"monitor returns": (returned - sent) * 1e3, "process ends": (ended - sent) * 1e3}
        )
    )


def measure(options: Options) -> list[Table]:
    found = interleave(commands(__file__, ["pymanip-run", PYMANIP], options), options.rounds)
    targets = {"monitor returns": [Target("≤ 10 ms", "pymanip-run", 10)]}
    return [
        Table(
            f"after SIGINT, {quantity}",
            "ms",
            "pymanip-run",
            values=values,
            targets=targets.get(quantity, ()),
        )
        for quantity, values in found.items()
    ]


if __name__ == "__main__":
    if sys.argv[1] == "--run":
        sleep_until_interrupted(sys.argv[2])
    else:
        interrupt(sys.argv[1])
