"""How long the event loop is held at most by what is recorded beside it."""

import asyncio
import json
import sys
import tempfile
from pathlib import Path

import sessions
from measuring import Options, Table, Target, commands, interleave, scaled

TITLE = "The longest stall"
TEXT = """\
A coroutine wakes every 2 ms. *lateness* is how late it does at most in a round; *beyond idle* is that less the
lateness of the bare event loop in the same round, which is the machine's own. Beside it run: 300
variables in one entry every 10 ms; 10 variables every 10 ms and a frame of 64 MB by `aadd_dataset` every second;
10 variables every 10 ms into a session that has 1 GB already. The checkpoint period is 1 s."""
PERIOD = 0.002
REMARK = (
    "This is the one worst wake of some thousands, and decided by the kernel's scheduler when writer, checkpointer and the rest "
    "of the system want the same two cores. Parts of large arrays leave the lock to waiting entries, and files that "
    "are gone are freed in a thread of their own. A lower priority of the checkpointer was tried: it changed less than "
    "the spread, and made close() on a busy machine several times longer."
)


async def wake(late, duration):
    loop = asyncio.get_running_loop()
    start = loop.time() + PERIOD
    for tick in range(round(duration / PERIOD)):
        due = start + tick * PERIOD
        await asyncio.sleep(due - loop.time())
        late.append(loop.time() - due)


def idle(late, duration, _large):
    asyncio.run(wake(late, duration))


def recording(late, duration, *, path="data", variables=10, frames=False):
    import numpy as np

    from pymanip_run import AsyncSession, every

    values = {sessions.name(i): 20.0 + i / 10 for i in range(variables)}
    frame = np.ones((4096, 8192), "u2")

    async def log(sesn):
        sesn.add_entry(values)

    async def photograph(sesn):
        await sesn.aadd_dataset(frame=frame)

    async def watch(sesn):
        await asyncio.sleep(0.2)  # the beginning of a run is no part of it
        await wake(late, duration)
        sesn.ask_exit()

    with AsyncSession(path, verbose=False, checkpoint_period=1.0) as sesn:
        tasks = [every(0.010, log), watch, *([every(1.0, photograph)] if frames else [])]
        sesn.run(*tasks, server_port=None)


SUBJECTS = {
    "idle": idle,
    "10 variables": lambda late, duration, _: recording(late, duration),
    "300 variables": lambda late, duration, _: recording(late, duration, variables=300),
    "64 MB frames": lambda late, duration, _: recording(late, duration, frames=True),
    "into 1 GB": lambda late, duration, large: recording(late, duration, path=large),
}


def measure(options: Options) -> list[Table]:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        large = sessions.make(Path(folder) / "large.h5", scaled(208_000, 2_000), 300)
        found = interleave(
            commands(__file__, SUBJECTS, options, scaled(6, 3), large), options.rounds
        )
    beyond = {
        name: [value - idle for value, idle in zip(most, found["most"]["idle"], strict=True)]
        for name, most in found["most"].items()
        if name != "idle"
    }
    targets = [Target(f"{name}: ≤ 5 ms", name, 5, remark=REMARK) for name in beyond]
    return [
        Table("lateness, p99", "ms", "idle", values=found["p99"]),
        Table("lateness, most", "ms", "idle", values=found["most"]),
        Table("longest stall, beyond idle", "ms", values=beyond, targets=targets),
    ]


if __name__ == "__main__":
    late: list[float] = []
    SUBJECTS[sys.argv[1]](late, float(sys.argv[2]), sys.argv[3])
    late.sort()
    print(json.dumps({"p99": late[len(late) * 99 // 100] * 1e3, "most": late[-1] * 1e3}))
