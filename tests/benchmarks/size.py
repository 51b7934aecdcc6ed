"""How large the file is and becomes, and whether memory grows."""

import json
import sqlite3
import sys
import time
from pathlib import Path

from measuring import PYMANIP, Options, Table, Target, commands, interleave, resident, scaled

TITLE = "Size and memory"
TEXT = """\
Bytes per value of 10 variables with one time stamp for each entry, of slow drifts with noise as an instrument
sends them, with three decimals. *growing* is the HDF5 file after its last checkpoint, *compacted* after `pymanip-run
compact`; *raw* is the time and ten values as they are in memory, SQLite has a row for each value. *all digits noise* is the
same with noise in every bit of the mantissa, which no compression can take away. The last table is how far the
resident memory of the process grew between 10⁴ and 10⁷ entries of one variable, with checkpoints (one round)."""
VARIABLES = 10
MB = 1e6


def rows(entries, digits=3):
    import numpy as np

    index, random = np.arange(entries), np.random.default_rng(0)
    slow = 20 + np.sin(index / 5000)
    for i in range(entries):
        noisy = slow[i] + 0.01 * random.standard_normal(VARIABLES)
        yield (np.round(noisy, digits) if digits else noisy).tolist()


def per_value(path, entries):
    return Path(path).stat().st_size / entries / VARIABLES


def raw(_):
    return {"growing": 8 + 8 / VARIABLES}


def pymanip_run(entries, digits=3):
    from pymanip_run import AsyncSession
    from pymanip_run.storage.compact import compact

    names = [f"variable_{i}" for i in range(VARIABLES)]
    with AsyncSession("data", verbose=False, checkpoint_period=1.0) as sesn:
        for row in rows(entries, digits):
            sesn.add_entry(dict(zip(names, row, strict=True)))
    growing = per_value("data.h5", entries)
    compact(Path("data.h5").absolute())
    return {"growing": growing, "compacted": per_value("data.h5", entries)}


def sqlite(entries):
    with sqlite3.connect("data.db") as connection:
        connection.execute("create table log (time real, name text, value real)")
        connection.executemany(
            "insert into log values (?, ?, ?)",
            (
                (time.time(), f"variable_{i}", value)
                for row in rows(entries)
                for i, value in enumerate(row)
            ),
        )
    return {"growing": per_value("data.db", entries)}


def pymanip(_):
    from pymanip.asyncsession import AsyncSession

    entries = 300
    with AsyncSession("data", verbose=False) as sesn:
        before = Path("data.db").stat().st_size
        for row in rows(entries):
            sesn.add_entry({f"variable_{i}": value for i, value in enumerate(row)})
    return {"growing": (Path("data.db").stat().st_size - before) / entries / VARIABLES}


def memory(entries):
    from pymanip_run import AsyncSession

    with AsyncSession("data", verbose=False) as sesn:
        add_entry = sesn.add_entry
        for i in range(10_000):
            add_entry(variable=i)
        before = resident()
        for i in range(entries):
            add_entry(variable=i)
        return {"memory": resident() - before}


SUBJECTS = {
    "raw": raw,
    "pymanip-run": pymanip_run,
    "pymanip-run, all digits noise": lambda entries: pymanip_run(entries, digits=None),
    "SQLite": sqlite,
    PYMANIP: pymanip,
}


def measure(options: Options) -> list[Table]:
    found = interleave(
        commands(__file__, SUBJECTS, options, scaled(100_000, 10_000)), options.rounds
    )
    grown = interleave(commands(__file__, ["memory"], options, scaled(10_000_000, 100_000)), 1)
    return [
        Table("growing", "B per value", "raw", values=found["growing"], targets=[
            Target("≤ 17 B per value", "pymanip-run", 17),
        ]),
        Table("compacted", "B per value", values=found["compacted"], targets=[
            Target("≤ 6 B per value", "pymanip-run", 6),
        ]),
        Table("memory after 10⁷ entries", "MB", values={"pymanip-run": grown["memory"]["memory"]}, targets=[
            Target("≤ 10 MB", "pymanip-run", 10),
        ]),
    ]  # fmt: skip


if __name__ == "__main__":
    function = memory if sys.argv[1] == "memory" else SUBJECTS[sys.argv[1]]
    print(json.dumps(function(int(sys.argv[2]))))
