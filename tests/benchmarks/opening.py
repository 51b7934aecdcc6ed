"""How long it takes to open a session to go on with it, and to look at it, whatever its size."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measuring import PYMANIP, Options, Table, Target, commands, interleave, scaled

TITLE = "Opening and inspecting"
TEXT = """\
*opening* is `AsyncSession(name)` of an existing session of one variable until it can record, imports done before. *inspect*
is the process `pymanip-inspect FILE`, its standard output not a terminal, against a Python that only imports
what every such command needs, and against `python -m pymanip info` of 10⁶ values, which needs `collections.Iterable` put back on
Python 3.10 and newer. Memory is the largest resident memory of the process."""
SIZES = {"10³": 1_000, "10⁶": 1_000_000, "10⁷": 10_000_000, "10⁸": 100_000_000}
IMPORTS = "import h5py, typer, rich"
INFO = (
    "import collections, collections.abc, runpy, sys; collections.Iterable = collections.abc.Iterable; "
    "sys.argv = ['pymanip', 'info', {!r}]; runpy.run_module('pymanip', run_name='__main__')"
)
INSPECT = "import sys; sys.argv = ['pymanip-inspect', {!r}]; from pymanip_run.cli import main_inspect; main_inspect()"


def opening(path):
    from pymanip_run import AsyncSession

    AsyncSession("warm", verbose=False).close()
    start = time.perf_counter()
    sesn = AsyncSession(path, verbose=False)
    opened = time.perf_counter() - start
    sesn.close()
    return {"opening": opened * 1e3}


def process(code, number=5):
    """Return the median of some processes; one before them compiles and warms."""
    times, memory = [], []
    for _ in range(number + 1):
        start = time.perf_counter()
        started = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(started.pid, 0)
        assert status == 0
        times.append(time.perf_counter() - start)
        memory.append(usage.ru_maxrss)
    return {
        "inspect": statistics.median(times[1:]) * 1e3,
        "memory": statistics.median(memory[1:]) / 1e3,
    }


SUBJECTS = {
    "imports": lambda _: process(IMPORTS),
    "inspect 10⁶": lambda folder: process(INSPECT.format(f"{folder}/10⁶.h5")),
    "inspect 10⁸": lambda folder: process(INSPECT.format(f"{folder}/10⁸.h5")),
    f"{PYMANIP} info 10⁶": lambda folder: process(INFO.format(f"{folder}/old.db"), 2),
    **{f"open {size}": lambda folder, size=size: opening(f"{folder}/{size}.h5") for size in SIZES},
}


def measure(options: Options) -> list[Table]:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        import export
        import sessions

        export.fill_old(Path(folder) / "old.db", scaled(1_000_000, 10_000))
        for name, size in SIZES.items():
            sessions.make(Path(folder) / f"{name}.h5", scaled(size, size // 100), 1)
        found = interleave(commands(__file__, SUBJECTS, options, folder), options.rounds)
    return [
        Table("opening", "ms", "open 10³", values=found["opening"], targets=[
            Target("10⁸ entries: ≤ 300 ms", "open 10⁸", 300),
        ]),
        Table("`pymanip-inspect`", "ms", "imports", values=found["inspect"], targets=[
            Target("10⁶ entries: ≤ 1.5 × the imports", "inspect 10⁶", 1.5, "imports"),
            Target("10⁸ entries: ≤ 1.5 × the imports", "inspect 10⁸", 1.5, "imports"),
            Target("independent of size: ≤ 1.2 ×", "inspect 10⁸", 1.2, "inspect 10⁶"),
        ]),
        Table("memory", "MB", "imports", values=found["memory"], targets=[
            Target("10⁸ entries: ≤ 80 MB", "inspect 10⁸", 80),
        ]),
    ]  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(SUBJECTS[sys.argv[1]](sys.argv[2])))
