"""How late a 10 ms ticker comes while a session is written, checkpointed and read beside it."""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path

from measuring import Options, Table, Target, commands, interleave, scaled

TITLE = "The lateness of a ticker"
TEXT = """\
A coroutine that wants to wake on a 10 ms grid notes how late it does. *idle* is the bare event loop; *logging* has
a session on disk beside it, with a task that logs 10 variables every 10 ms and a checkpoint every second. *read*: beside
it another process reads the session by `SavedAsyncSession` ten times a second; beside the idle loop it reads a session
that nobody writes, which shows what any busy process does to a loop on this machine."""
PERIOD = 0.010
VALUES = {f"variable_{i}": 20.0 + i / 10 for i in range(10)}
REMARK = (
    "With two cores, a writer, a checkpointer and a reader, the kernel now and then lets the loop wait: an idle loop "
    "beside the same reader is late as well."
)
TARGETS = {
    "p50": [Target("≤ 1.05 × idle", "logging", 1.05, "idle"),
            Target("read: ≤ 1.05 × idle", "logging, read", 1.05, "idle"),
            Target("read: ≤ 1.05 × idle, read", "logging, read", 1.05, "idle, read")],
    "p99": [Target("≤ 1.2 × idle", "logging", 1.2, "idle", REMARK),
            Target("read: ≤ 1.2 × idle", "logging, read", 1.2, "idle", REMARK),
            Target("read: ≤ 1.2 × idle, read", "logging, read", 1.2, "idle, read", REMARK)],
}  # fmt: skip


async def ticker(late, duration):
    loop = asyncio.get_running_loop()
    start = loop.time() + PERIOD
    for tick in range(round(duration / PERIOD)):
        due = start + tick * PERIOD
        await asyncio.sleep(due - loop.time())
        late.append(loop.time() - due)


def idle(late, duration):
    asyncio.run(ticker(late, duration))


def idle_read(late, duration):
    from pymanip_run import AsyncSession

    with AsyncSession("data", verbose=False) as sesn:
        for _ in range(round(duration / PERIOD / 2)):
            sesn.add_entry(VALUES)
    with reader():
        idle(late, duration)


def logging(late, duration, beside=contextlib.nullcontext):
    from pymanip_run import AsyncSession, every

    async def log(sesn):
        sesn.add_entry(VALUES)

    async def tick(sesn):
        await ticker(late, duration)
        sesn.ask_exit()

    with AsyncSession("data", verbose=False, checkpoint_period=1.0) as sesn, beside():
        sesn.run(every(PERIOD, log), tick, server_port=None)


@contextlib.contextmanager
def reader():
    process = subprocess.Popen([sys.executable, __file__, "reader", "0"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def read_in_a_loop():
    """Do what a notebook does that shows a running measurement."""
    from pymanip_run import SavedAsyncSession

    while Path("data.h5").exists():
        with SavedAsyncSession("data", verbose=False) as sesn:
            for name in sesn.logged_variables():
                sesn.logged_variable(name).values.mean()
            sesn.logged_last_values()
        time.sleep(0.1)


SUBJECTS = {
    "idle": idle,
    "idle, read": idle_read,
    "logging": logging,
    "logging, read": lambda late, duration: logging(late, duration, reader),
}


def measure(options: Options) -> list[Table]:
    found = interleave(commands(__file__, SUBJECTS, options, scaled(12, 3)), options.rounds)
    return [
        Table(
            f"lateness, {quantity}", "ms", "idle", values=values, targets=TARGETS.get(quantity, ())
        )
        for quantity, values in found.items()
    ]


if __name__ == "__main__":
    if sys.argv[1] == "reader":
        read_in_a_loop()
        sys.exit()
    late: list[float] = []
    SUBJECTS[sys.argv[1]](late, float(sys.argv[2]))
    late.sort()
    print(
        json.dumps(
            {
                "p50": late[len(late) // 2] * 1e3,
                "p99": late[len(late) * 99 // 100] * 1e3,
                "most": late[-1] * 1e3,
            }
        )
    )
