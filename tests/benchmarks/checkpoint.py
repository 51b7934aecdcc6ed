"""How long a checkpoint and the close of a session take, for small and large files."""

import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import sessions
from measuring import Options, Table, Target, commands, interleave, scaled

TITLE = "Checkpoint and close"
TEXT = """\
*checkpoint* brings 10 rows of 300 variables from the journal into the file and commits, with all syncs; the median of 10,
in a file of a few rows and in one of 1 GB. *first* is the first one after the file was opened. *copy and replace* is
what would have to be done without transactions in the file. *close* is `close()` with 10 such rows since the last checkpoint."""
VARIABLES, ROWS = 300, 10
NAMES = tuple(sessions.name(i) for i in range(VARIABLES))


def record(store, start):
    for i in range(ROWS):
        store.append_row(start + i * 1000, NAMES, [20.0 + i] * VARIABLES)


def checkpoint(path):
    from pymanip_run.storage.checkpoint import Checkpoint
    from pymanip_run.storage.files import SYSTEM_FILES, SessionPaths
    from pymanip_run.storage.store import FileStore

    store = FileStore(Path(path), checkpoint_period=float("inf"))
    checkpoint = Checkpoint(SYSTEM_FILES, SessionPaths(Path(path)))
    times = []
    for _ in range(11):
        record(store, time.time_ns())
        start = time.perf_counter()
        checkpoint.advance()
        times.append((time.perf_counter() - start) * 1e3)
    checkpoint.close()
    store.close()
    return {"checkpoint": statistics.median(times[1:]), "first": times[0]}


def close(path):
    from pymanip_run.storage.store import FileStore

    store = FileStore(Path(path), checkpoint_period=1.0)
    record(store, time.time_ns())
    time.sleep(2.5)  # the checkpointer has started and made one
    record(store, time.time_ns())
    start = time.perf_counter()
    store.close()
    return {"close": (time.perf_counter() - start) * 1e3}


def copy_and_replace(path):
    start = time.perf_counter()
    shutil.copyfile(path, path + ".new")
    fd = os.open(path + ".new", os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    Path(path + ".new").replace(path)
    return {"checkpoint": (time.perf_counter() - start) * 1e3}


SUBJECTS = {
    "small file": lambda folder: checkpoint(f"{folder}/small.h5"),
    "1 GB file": lambda folder: checkpoint(f"{folder}/large.h5"),
    "copy and replace, 1 GB": lambda folder: copy_and_replace(f"{folder}/large.h5"),
    "close, small file": lambda folder: close(f"{folder}/small.h5"),
    "close, 1 GB file": lambda folder: close(f"{folder}/large.h5"),
}


def measure(options: Options) -> list[Table]:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        sessions.make(Path(folder) / "small.h5", 10, VARIABLES)
        sessions.make(Path(folder) / "large.h5", scaled(208_000, 2_000), VARIABLES)
        found = interleave(commands(__file__, SUBJECTS, options, folder), options.rounds)
    return [
        Table("checkpoint of 300 variables, 10 rows", "ms", "small file", values=found["checkpoint"], targets=[
            Target("1 GB: ≤ 300 ms", "1 GB file", 300),
            Target("independent of size: ≤ 1.5 ×", "1 GB file", 1.5, "small file"),
        ]),
        Table("first checkpoint", "ms", "small file", values=found["first"]),
        Table("close", "ms", "close, small file", values=found["close"], targets=[
            Target("≤ one checkpoint + 0.3 s (600 ms)", "close, 1 GB file", 600),
        ]),
    ]  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(SUBJECTS[sys.argv[1]](sys.argv[2])))
