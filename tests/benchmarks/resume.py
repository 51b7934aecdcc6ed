"""What it costs that a sweep can go on: at each point, and on the way back to where it was."""

import asyncio
import json
import sys
import time

from measuring import Options, Table, Target, commands, interleave, scaled

TITLE = "Sweeps that resume"
TEXT = """\
A sweep of a task that does nothing, in a file session. *bare loop* awaits the task for each value; *not recorded* is a
sweep outside of a run, whose points are not kept; *list* and *adaptive* are sweeps of a run: each point that is over is
a record in the journal, and survives `kill -9`. The values of the adaptive one come from a generator that is sent ten
numbers by the task, which are stored. On the way back, when such a sweep goes on, each point that is over is read,
compared, and sent again."""
REASON = "≤ 1 ms added by each point"
SUBJECTS = ("bare loop", "not recorded", "list", "adaptive")


async def nothing(sesn, value):
    return None


async def ten_numbers(sesn, value):
    return [value + 0.1 * n for n in range(10)]


def adaptive(count):
    def values():
        value = 0.0
        for _ in range(count):
            value = (yield value)[0] + 1

    return values


async def bare(count):
    for value in range(count):
        await nothing(None, value)
        await asyncio.sleep(0)


def timed(call):
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def of_a_run(sesn, count, subject, resume=False):
    """A sweep as the only task of a run; what a run costs besides is that of a run without points."""
    values = adaptive(count) if subject == "adaptive" else list(range(count))
    task = ten_numbers if subject == "adaptive" else nothing
    sweep = sesn.sweep(task, values, "s", resume="anyway" if resume else False)
    return timed(lambda: sesn.run(sweep, server_port=None))


def seconds_a_point(subject, count):
    from pymanip_run import AsyncSession

    if subject == "bare loop":
        return {"a point": timed(lambda: asyncio.run(bare(count))) / count}
    with AsyncSession("s", verbose=False) as sesn:

        async def alone():
            await sesn.sweep(nothing, list(range(count)))

        if subject == "not recorded":
            return {"a point": timed(lambda: asyncio.run(alone())) / count}
        least = min(of_a_run(sesn, 1, subject) for _ in range(3))
        forth = of_a_run(sesn, count, subject) - least
        # One point more than there was, so that it is not complete.
        back = of_a_run(sesn, count + 1, subject, resume=True) - least
        return {"a point": forth / count, "a point on the way back": back / count}


def measure(options: Options) -> list[Table]:
    found = interleave(commands(__file__, SUBJECTS, options, scaled(20_000, 500)), options.rounds)
    targets = [Target(REASON, subject, 1000) for subject in ("list", "adaptive")]
    return [
        Table(
            quantity,
            "µs",
            "bare loop" if "bare loop" in values else "",
            values=values,
            targets=targets,
        )
        for quantity, values in found.items()
    ]


if __name__ == "__main__":
    subject, count = sys.argv[1], int(sys.argv[2])
    print(json.dumps({k: v * 1e6 for k, v in seconds_a_point(subject, count).items()}))
