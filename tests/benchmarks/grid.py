"""How well tasks keep a grid of 0.1 s, against the ideal one and loops with a sleep."""

import asyncio
import itertools
import json
import sys
import time

from measuring import PYMANIP, Options, Table, Target, commands, interleave, scaled

TITLE = "Tasks on a time grid"
TEXT = """\
A task with 5 ms of work that holds the loop is to run every 0.1 s. *ideal grid* sleeps in bare asyncio until the
next multiple of 0.1 s; *every* is `monitor(every(0.1, task))`; *sleep* ends the task with `await
asyncio.sleep(0.1)`, *pymanip 0.4.4* with `await sesn.sleep(0.1)`. The error is that of the instant against the
grid for the first two, and of the distance to the instant before for the others, which have no grid."""
PERIOD, WORK = 0.1, 0.005
TARGETS = {
    "mean period": [Target("within 0.1 %", "every", PERIOD * 1.001 * 1e3)],
    "error, p99": [Target("≤ 1.1 × the ideal grid", "every", 1.1, "ideal grid")],
}


def work(times):
    times.append(time.monotonic())
    while time.monotonic() < times[-1] + WORK:
        pass


async def ideal(times, duration):
    loop = asyncio.get_running_loop()
    start = loop.time()
    for tick in range(round(duration / PERIOD)):
        await asyncio.sleep(start + tick * PERIOD - loop.time())
        work(times)


async def grid(times, duration):
    from pymanip_run.runtime.schedule import every
    from pymanip_run.runtime.stop import StopSignal
    from pymanip_run.runtime.supervise import Supervisor
    from pymanip_run.runtime.tasks import normalise

    async def task():
        work(times)

    await Supervisor(StopSignal()).run(normalise([every(PERIOD, task)], None), duration=duration)


async def sleep(times, duration):
    end = time.monotonic() + duration
    while time.monotonic() < end:
        work(times)
        await asyncio.sleep(PERIOD)


async def pymanip(times, duration):
    from pymanip.asyncsession import AsyncSession

    end = time.monotonic() + duration

    async def task(sesn):
        work(times)
        if time.monotonic() > end:
            sesn.running = False
        await sesn.sleep(PERIOD, verbose=False)

    with AsyncSession("data", verbose=False) as sesn:
        await sesn.monitor(task, server_port=None)


SUBJECTS = {"ideal grid": ideal, "every": grid, "sleep": sleep, PYMANIP: pymanip}


def measure(options: Options) -> list[Table]:
    found = interleave(commands(__file__, SUBJECTS, options, scaled(60, 3)), options.rounds)
    return [
        Table(quantity, "ms", "ideal grid", 5, values=values, targets=TARGETS.get(quantity, ()))
        for quantity, values in found.items()
    ]


def errors(times, *, on_grid):
    if on_grid:
        return [abs(t - times[0] - n * PERIOD) for n, t in enumerate(times)]
    return [abs(b - a - PERIOD) for a, b in itertools.pairwise(times)]


if __name__ == "__main__":
    times: list[float] = []
    asyncio.run(SUBJECTS[sys.argv[1]](times, float(sys.argv[2])))
    late = sorted(errors(times, on_grid=sys.argv[1] in ("ideal grid", "every")))
    print(
        json.dumps(
            {
                "mean period": (times[-1] - times[0]) / (len(times) - 1) * 1e3,
                "error, p50": late[len(late) // 2] * 1e3,
                "error, p99": late[len(late) * 99 // 100] * 1e3,
            }
        )
    )
