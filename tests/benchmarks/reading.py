"""How long it takes to read one variable of ten million points in a new process."""

import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measuring import PYMANIP, Options, Table, Target, commands, environment, interleave, scaled

TITLE = "Reading a long variable"
TEXT = """\
Times and values of one variable of 10⁷ points, in a process that did nothing before, from a warm page cache. *reading*
is from before the file is opened to both arrays; *whole process* has the start of Python and all imports too.
*h5py, chunks* is the same session file read by plain h5py. pymanip reads 10⁶ points; its times are multiplied by ten."""
POINTS = 10_000_000
SCHEMA = (
    "create table log (rowid integer primary key, timestamp double, name text, value double, unique (name, timestamp))",
    "create index ix_log_timestamp on log (timestamp)",
    "create index ix_log_name on log (name)",
)


def np_load(folder):
    import numpy as np

    start = time.perf_counter()
    arrays = np.load(folder / "time.npy"), np.load(folder / "value.npy")
    return arrays, time.perf_counter() - start


def h5py_contiguous(folder):
    import h5py

    start = time.perf_counter()
    with h5py.File(folder / "contiguous.h5") as h5:
        arrays = h5["time"][()], h5["value"][()]
    return arrays, time.perf_counter() - start


def h5py_chunks(folder):
    import h5py

    start = time.perf_counter()
    with h5py.File(folder / "data.h5") as h5:
        group = h5["variables/variable_0"]
        arrays = group["time"][()], group["value"][()]
    return arrays, time.perf_counter() - start


def pymanip_run(folder):
    from pymanip_run import SavedAsyncSession

    start = time.perf_counter()
    with SavedAsyncSession(folder / "data.h5", verbose=False) as sesn:
        arrays = tuple(sesn["variable_0"])
    return arrays, time.perf_counter() - start


def pymanip(folder):
    from pymanip.asyncsession import AsyncSession

    start = time.perf_counter()
    with AsyncSession(folder / "pymanip.db", verbose=False, readonly=True) as sesn:
        arrays = sesn["variable_0"]
    return arrays, 10 * (time.perf_counter() - start)


SUBJECTS = {
    "np.load": np_load,
    "h5py, contiguous": h5py_contiguous,
    "h5py, chunks": h5py_chunks,
    "pymanip-run": pymanip_run,
    PYMANIP: pymanip,
}


def prepare(folder, pymanip):
    import h5py
    import numpy as np
    import sessions

    points = scaled(POINTS, 100_000)
    sessions.make(folder / "data.h5", points, 1)
    t, v = h5py_chunks(folder)[0]
    np.save(folder / "time.npy", t)
    np.save(folder / "value.npy", v)
    with h5py.File(folder / "contiguous.h5", "w") as h5:
        h5["time"], h5["value"] = t, v
    if pymanip is not None:
        fill_pymanip(pymanip, folder / "pymanip.db", 1, points // 10)


def fill_pymanip(python, path, variables, entries):
    """Have pymanip make a database, and put its rows in directly, for it would take hours."""
    make = "import sys; from pymanip.asyncsession import AsyncSession as S; s = S(sys.argv[1], verbose=False); s.__enter__(); s.__exit__(None, None, None)"
    subprocess.run(
        [python, "-c", make, path],
        check=True,
        cwd=path.parent,
        env=environment(path.parent),
        stdout=subprocess.DEVNULL,
    )
    names = [f"variable_{i}" for i in range(variables)]
    with sqlite3.connect(path) as connection:
        connection.executemany("insert into log_names values (?)", ((name,) for name in names))
        connection.executemany(
            "insert into log (timestamp, name, value) values (?, ?, ?)",
            ((1.7e9 + i / 100, name, i / 7) for i in range(entries) for name in names),
        )
    connection.close()


def measure(options: Options) -> list[Table]:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        from measuring import python_with

        prepare(Path(folder), python_with(PYMANIP, options))
        found = interleave(commands(__file__, SUBJECTS, options, "outer", folder), options.rounds)
    targets = [
        Target("≤ 2.5 × np.load", "pymanip-run", 2.5, "np.load",
               "The chunk map of HDF5 has to be walked, 4 900 chunks for each array."),
        Target("≥ 50 × faster than pymanip", "pymanip-run", 1 / 50, PYMANIP),
    ]  # fmt: skip
    return [
        Table("reading", "ms", "np.load", values=found["reading"], targets=targets),
        Table("whole process", "ms", "np.load", values=found["whole"]),
    ]


def outer(subject, folder):
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, __file__, subject, "inner", folder], check=True, stdout=subprocess.PIPE
    )
    whole = time.perf_counter() - start
    print(json.dumps({"reading": float(done.stdout.split()[-1]) * 1e3, "whole": whole * 1e3}))


if __name__ == "__main__":
    if sys.argv[2] == "outer":
        outer(sys.argv[1], sys.argv[3])
    else:
        print(SUBJECTS[sys.argv[1]](Path(sys.argv[3]))[1])
