"""How late a 10 ms ticker comes while 10 variables are logged every 10 ms beside it."""

import asyncio
import json
import sys

from measuring import Options, Table, interleave

TITLE = "The lateness of a ticker"
TEXT = """\
A coroutine that wants to wake on a 10 ms grid for 20 s notes how late it does. *idle* is the bare event loop;
*logging* has a session on disk beside it, with a task that logs 10 variables every 10 ms; checkpoints every
5 s are included."""
PERIOD = 0.010
DURATION = 20.0


async def ticker(late):
    loop = asyncio.get_running_loop()
    start = loop.time() + PERIOD
    for tick in range(round(DURATION / PERIOD)):
        due = start + tick * PERIOD
        await asyncio.sleep(due - loop.time())
        late.append(loop.time() - due)


def idle(late):
    asyncio.run(ticker(late))


def logging(late):
    from pymanip_run import AsyncSession, every

    async def log(sesn):
        sesn.add_entry({f"variable_{i}": 20.0 + i / 10 for i in range(10)})

    async def tick(sesn):
        await ticker(late)
        sesn.ask_exit()

    with AsyncSession("data", verbose=False) as sesn:
        sesn.run(every(PERIOD, log), tick, server_port=None)


SUBJECTS = {"idle": idle, "logging": logging}


def measure(options: Options) -> list[Table]:
    found = interleave(
        {name: lambda folder, name=name: [sys.executable, __file__, name] for name in SUBJECTS},
        options.rounds,
    )
    return [
        Table(f"lateness, {quantity}", "ms", "idle", values=values)
        for quantity, values in found.items()
    ]


if __name__ == "__main__":
    late: list[float] = []
    SUBJECTS[sys.argv[1]](late)
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
