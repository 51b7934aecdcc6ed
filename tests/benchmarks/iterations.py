"""How fast empty tasks are called again and again, against bare asyncio."""

import asyncio
import json
import logging
import sys
import time

from measuring import Options, Table, Target, commands, interleave, scaled

TITLE = "Iterations of empty tasks"
TEXT = """\
1, 10 and 100 tasks that do nothing are called again and again for some seconds; the numbers are the time of one
iteration of one task. *bare asyncio* are as many coroutines with `while running: await task(); await
asyncio.sleep(0)`; *pymanip-run* is `monitor`; *with rules* are the same tasks under a retry policy, *with a time
limit* each call may also be cancelled, for which it needs a task of asyncio of its own."""
COUNTS = (1, 10, 100)
REASON = "≥ 0.8 × the iterations of bare asyncio"


async def task():
    pass


async def bare(count, seconds):
    running, calls = True, [0] * count

    def end():
        nonlocal running
        running = False

    async def again(number):
        while running:
            await task()
            calls[number] += 1
            await asyncio.sleep(0)

    asyncio.get_running_loop().call_later(seconds, end)
    await asyncio.gather(*map(again, range(count)))
    return sum(calls)


async def supervised(count, seconds, **rules):
    from pymanip_run.runtime.policy import Policy
    from pymanip_run.runtime.stop import StopSignal
    from pymanip_run.runtime.supervise import Supervisor
    from pymanip_run.runtime.tasks import Ruled, normalise

    supervisor = Supervisor(StopSignal())
    tasks = [Ruled(task, policy=Policy(**rules))] * count
    await supervisor.run(normalise(tasks, None), duration=seconds)
    return sum(status.runs for status in supervisor.statuses)


SUBJECTS = {
    "bare asyncio": bare,
    "pymanip-run": supervised,
    "pymanip-run with rules": lambda n, s: supervised(n, s, retry=3),
    "pymanip-run with a time limit": lambda n, s: supervised(n, s, timeout=10),
}


def measure(options: Options) -> list[Table]:
    found = interleave(commands(__file__, SUBJECTS, options, scaled(3, 0.5)), options.rounds)
    targets = [Target(REASON, "pymanip-run", 1 / 0.8, "bare asyncio")]
    return [
        Table(quantity, "µs", "bare asyncio", values=values, targets=targets)
        for quantity, values in found.items()
    ]


if __name__ == "__main__":
    logging.disable()  # they never await anything, which is said of each of them
    subject, seconds = SUBJECTS[sys.argv[1]], float(sys.argv[2])
    numbers = {}
    for count in COUNTS:
        began = time.perf_counter()
        iterations = asyncio.run(subject(count, seconds))
        numbers[f"iteration of {count} {'task' if count == 1 else 'tasks'}"] = (
            (time.perf_counter() - began) / iterations * 1e6
        )
    print(json.dumps(numbers))
