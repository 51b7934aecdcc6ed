"""How fast arrays are stored, and how much memory that takes."""

import json
import os
import statistics
import sys
import time

from measuring import PYMANIP, Options, Table, Target, commands, interleave, peak, scaled

TITLE = "Arrays"
TEXT = """\
The median time of one `add_dataset` of float64 of 1 MB (50 times) and 64 MB (5 times) on a warm page cache, against
`np.save` and `os.write`, each into a new file. Checkpoints every second write the arrays a second time beside it.
*memory* is how far the process's resident memory rises at most while a 64 MB array is stored, divided by its size."""
MB = 1 << 20


def median_time(call, n):
    times = []
    for i in range(n):
        start = time.perf_counter_ns()
        call(i)
        times.append(time.perf_counter_ns() - start)
    return statistics.median(times) / 1e6


def np_save(array, n):
    import numpy as np

    return median_time(lambda i: np.save(f"{i}.npy", array), n)


def raw(array, n):
    def write(i):
        fd = os.open(f"{i}.raw", os.O_WRONLY | os.O_CREAT)
        os.write(fd, array)
        os.close(fd)

    return median_time(write, n)


def pymanip_run(array, n):
    from pymanip_run import AsyncSession

    with AsyncSession("data", verbose=False, checkpoint_period=1.0) as sesn:
        return median_time(lambda _: sesn.add_dataset(frame=array), n)


def pymanip(array, n):
    from pymanip.asyncsession import AsyncSession

    def add(_):
        time.sleep(0.001 * (array.nbytes < 2 * MB))  # it refuses two records of one time stamp
        sesn.add_dataset(frame=array)

    with AsyncSession("data", verbose=False) as sesn:
        return median_time(add, min(n, 10))


SUBJECTS = {"np.save": np_save, "raw": raw, "pymanip-run": pymanip_run, PYMANIP: pymanip}


def measure(options: Options) -> list[Table]:
    tables = []
    for size, n in ((1, 50), (64, 5)):
        found = interleave(
            commands(__file__, SUBJECTS, options, size, scaled(n, 3)), options.rounds
        )
        targets = [
            Target("≥ half the speed of np.save", "pymanip-run", 2, "np.save",
                   "The journal's checksum reads every byte once more, and the checkpointer syncs and copies what was just written.")
        ]  # fmt: skip
        tables.append(
            Table(
                f"`add_dataset` of {size} MB",
                "ms",
                "np.save",
                values=found["time"],
                targets=targets,
            )
        )
    target = Target("≤ 1 array", "pymanip-run", 1.0)
    memory = {
        name: found["memory"][name] for name in ("pymanip-run", PYMANIP) if name in found["memory"]
    }
    return [*tables, Table("memory for 64 MB", "arrays", values=memory, targets=[target])]


def main(subject, size, n):
    import numpy as np

    array = np.random.default_rng(0).random(size * MB // 8)
    before = peak()
    time_taken = SUBJECTS[subject](array, n)
    print(json.dumps({"time": time_taken, "memory": (peak() - before) * 1e6 / array.nbytes}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
