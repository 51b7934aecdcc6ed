"""What one `add_entry` costs, against the least that is possible, databases, and pymanip."""

import asyncio
import json
import os
import sqlite3
import sys
import time
from pathlib import Path

from measuring import PYMANIP, QCODES, Options, Table, Target, commands, interleave, scaled

TITLE = "One entry"
TEXT = """\
The mean time of one call over a few thousand calls in a row. *raw* is one `os.write` of a record of the same
size to a file: what surviving `kill -9` costs at least. *SQLite* commits each entry in WAL mode with
`synchronous=NORMAL`; once with a row for each value, so that variables may come and go, once with a row for
each entry and fixed columns. *h5py* appends to one resizable dataset a variable and flushes the file, which
a kill in the middle still may destroy. *QCoDeS* is `add_result`, once as it is by default, which keeps up to 5 s
in memory, once with `flush_data_to_database`. The last table has a million entries in the file before."""
WARM_UP = 50
MILLION = 1_000_000
REMARK = (
    "`os.write` alone is cheap on this machine, and the rest is Python: packing, checksum and the call into the system "
    "take about half of the time; names, types, lock and time stamp the other half. A writer compiled for "
    "each set of names would save a fifth, one with a reused buffer a third, but then a signal handler that records could spoil "
    "the record that it interrupts; neither reaches the target, so the simple code stays."
)


def mean_time(call, n):
    n = scaled(n, max(20, n // 10))
    for _ in range(min(n, WARM_UP)):
        call()
    start = time.perf_counter_ns()
    for _ in range(n):
        call()
    return (time.perf_counter_ns() - start) / n / 1e3


def raw(values, _before):
    record = bytes(8 * len(values) + 33)
    fd = os.open("raw", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    return mean_time(lambda: os.write(fd, record), 20_000)


def sqlite(values, before, schema, insert, rows):
    connection = sqlite3.connect("data.db")
    connection.execute("pragma journal_mode=wal")
    connection.execute("pragma synchronous=normal")
    connection.execute(schema)
    if before:
        with connection:
            for _ in range(before):
                connection.executemany(insert, rows())

    def add_entry():
        with connection:
            connection.executemany(insert, rows())

    return mean_time(add_entry, 5_000)


def sqlite_row_per_value(values, before):
    return sqlite(
        values,
        before // 10,  # as many rows, in a tenth of the time to make them
        "create table log (time real, name text, value real)",
        "insert into log values (?, ?, ?)",
        lambda: [(now, *item) for now in [time.time()] for item in values.items()],
    )


def sqlite_row_per_entry(values, before):
    columns = ", ".join(f"{name} real" for name in values)
    marks = ", ".join("?" for _ in values)
    return sqlite(
        values,
        before,
        f"create table log (time real, {columns})",
        f"insert into log values (?, {marks})",
        lambda: [(time.time(), *values.values())],
    )


def h5py_flush(values, before):
    import h5py

    with h5py.File("data.h5", "w", libver="latest") as h5:
        columns = [
            h5.create_dataset(name, (before,), "f8", maxshape=(None,), chunks=(2048,))
            for name in ("time", *values)
        ]

        def add_entry():
            for column, value in zip(columns, (time.time(), *values.values()), strict=True):
                size = column.shape[0]
                column.resize((size + 1,))
                column[size] = value
            h5.flush()

        return mean_time(add_entry, 500)


def pymanip_run(values, before):
    from pymanip_run import AsyncSession

    if before:
        import sessions

        sessions.make(Path("data.h5"), before, len(values))
    with AsyncSession("data", verbose=False) as sesn:
        return mean_time(lambda: sesn.add_entry(values), 20_000)


def qcodes(values, flush):
    from qcodes.dataset import (
        Measurement,
        initialise_or_create_database_at,
        load_or_create_experiment,
    )

    initialise_or_create_database_at("data.db")
    load_or_create_experiment("benchmark", "none")
    measurement = Measurement()
    measurement.register_custom_parameter("time")
    for name in values:
        measurement.register_custom_parameter(name, setpoints=("time",))
    with measurement.run() as saver:

        def add_entry():
            saver.add_result(("time", time.time()), *values.items())
            if flush:
                saver.flush_data_to_database()

        return mean_time(add_entry, 400 if flush else 3_000)


def pymanip(values, _before):
    from pymanip.asyncsession import AsyncSession

    with AsyncSession("data", verbose=False) as sesn:
        return mean_time(lambda: sesn.add_entry(values), 150)


SUBJECTS = {
    "raw": raw,
    "pymanip-run": pymanip_run,
    "SQLite, row per entry": sqlite_row_per_entry,
    "SQLite, row per value": sqlite_row_per_value,
    "h5py, flush": h5py_flush,
    f"{QCODES}, default": lambda values, _before: qcodes(values, flush=False),
    f"{QCODES}, flush": lambda values, _before: qcodes(values, flush=True),
    PYMANIP: pymanip,
}
TARGETS = [
    Target("≤ 4 × raw", "pymanip-run", 4, "raw", REMARK),
    Target("≥ 6 × faster than SQLite, row per value", "pymanip-run", 1 / 6, "SQLite, row per value",
           "SQLite's own commit without a sync takes only some 10 µs on this machine."),
    Target("≥ 400 × faster than pymanip", "pymanip-run", 1 / 400, PYMANIP),
]  # fmt: skip


def measure(options: Options) -> list[Table]:
    few = {
        name: SUBJECTS[name] for name in ("raw", "pymanip-run", "SQLite, row per value", PYMANIP)
    }
    large = {name: SUBJECTS[name] for name in SUBJECTS if not name.startswith((PYMANIP, QCODES))}
    tables = []
    for subjects, n, before, what in (
        (few, 1, 0, "`add_entry` of 1 variable"),
        (SUBJECTS, 10, 0, "`add_entry` of 10 variables"),
        (large, 10, scaled(MILLION, 10_000), "`add_entry` of 10 variables after 10⁶"),
    ):
        found = interleave(commands(__file__, subjects, options, n, before), options.rounds)
        targets = TARGETS if n == 10 else []
        tables.append(Table(what, "µs", "raw", values=found["time"], targets=targets))
    return tables


async def one(subject, n, before):
    """Measure inside a running event loop, where sessions are used."""
    values = {f"variable_{i}": 20.0 + i / 10 for i in range(n)}
    print(json.dumps({"time": SUBJECTS[subject](values, before)}))


if __name__ == "__main__":
    asyncio.run(one(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
