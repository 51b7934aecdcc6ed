"""What one `add_entry` costs, against the least that is possible, a database, and pymanip."""

import asyncio
import json
import os
import sqlite3
import sys
import time

from measuring import Options, Table, interleave, python_with_pymanip

TITLE = "One entry"
TEXT = """\
The mean time of one call over a few thousand calls in a row. *raw* is one `os.write` of a record of the same
size to a file: what surviving `kill -9` costs at least. *SQLite* commits each entry in WAL mode with
`synchronous=NORMAL`; once with a row for each value, so that variables may come and go, once with a row for
each entry and fixed columns."""
WARM_UP = 50


def mean_time(call, n):
    for _ in range(WARM_UP):
        call()
    start = time.perf_counter_ns()
    for _ in range(n):
        call()
    return (time.perf_counter_ns() - start) / n / 1e3


def raw(values):
    record = bytes(8 * len(values) + 40)
    fd = os.open("raw", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    return mean_time(lambda: os.write(fd, record), 20_000)


def sqlite(values, schema, insert, rows):
    connection = sqlite3.connect("data.db")
    connection.execute("pragma journal_mode=wal")
    connection.execute("pragma synchronous=normal")
    connection.execute(schema)

    def add_entry():
        with connection:
            connection.executemany(insert, rows())

    return mean_time(add_entry, 5_000)


def sqlite_row_per_value(values):
    return sqlite(
        values,
        "create table log (time real, name text, value real)",
        "insert into log values (?, ?, ?)",
        lambda: [(now, *item) for now in [time.time()] for item in values.items()],
    )


def sqlite_row_per_entry(values):
    columns = ", ".join(f"{name} real" for name in values)
    marks = ", ".join("?" for _ in values)
    return sqlite(
        values,
        f"create table log (time real, {columns})",
        f"insert into log values (?, {marks})",
        lambda: [(time.time(), *values.values())],
    )


def pymanip_run(values):
    from pymanip_run import AsyncSession

    with AsyncSession("data", verbose=False) as sesn:
        return mean_time(lambda: sesn.add_entry(values), 20_000)


def pymanip(values):
    from pymanip.asyncsession import AsyncSession

    with AsyncSession("data", verbose=False) as sesn:
        return mean_time(lambda: sesn.add_entry(values), 150)


SUBJECTS = {
    "raw": raw,
    "pymanip-run": pymanip_run,
    "SQLite, row per entry": sqlite_row_per_entry,
    "SQLite, row per value": sqlite_row_per_value,
    "pymanip 0.4.4": pymanip,
}


def measure(options: Options) -> list[Table]:
    peer = python_with_pymanip(options)
    tables = []
    for n in (1, 10):

        def command(subject, n=n):
            python = peer if subject.startswith("pymanip 0") else sys.executable
            return lambda folder: [python, __file__, subject, str(n)]

        found = interleave({subject: command(subject) for subject in SUBJECTS}, options.rounds)
        what = "1 variable" if n == 1 else f"{n} variables"
        tables.append(Table(f"`add_entry` of {what}", "µs", "raw", values=found["time"]))
    return tables


async def one(subject, n):
    """Measure inside a running event loop, where sessions are used."""
    values = {f"variable_{i}": 20.0 + i / 10 for i in range(n)}
    print(json.dumps({"time": SUBJECTS[subject](values)}))


if __name__ == "__main__":
    asyncio.run(one(sys.argv[1], int(sys.argv[2])))
