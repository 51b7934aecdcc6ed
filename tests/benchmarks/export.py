"""How long it takes to export ten million points, to convert them from pymanip's database, and in how much memory."""

import json
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

from measuring import Options, Table, Target, commands, interleave, peak, scaled

TITLE = "Exporting and converting"
TEXT = """\
10⁶ entries of 10 variables, 10⁷ values, from a session file to a file of each format, in a process that did nothing
before. *pandas* has the same table in memory as a DataFrame (*xarray* as a Dataset), and only writes it:
`to_csv`, `to_parquet`, `to_netcdf`; its memory has the table too. *long* is one variable of 10⁷ points. *from pymanip* is
the conversion of a database of pymanip 0.4.4 (10⁶ values), compared when it is written; its time is multiplied by ten.
*report* is the page of HTML about the ten variables.
The memory is the largest of the whole process, with all imports."""
ENTRIES, VARIABLES = 1_000_000, 10
FORMATS = {"csv": ".csv", "jsonl": ".jsonl", "parquet": ".parquet", "netcdf": ".nc", "mat": ".mat", "npz": ".npz",
           "sqlite": ".sqlite", "zarr": ".zarr"}  # fmt: skip
LONG, OLD, REPORT = "long csv", "from pymanip", "report"
PEERS = ("pandas csv", "pandas long csv", "pandas parquet", "xarray netcdf")


def export(to, source):
    from pymanip_run.core.view import SessionView
    from pymanip_run.export.job import Job
    from pymanip_run.export.run import export_to
    from pymanip_run.storage.reading import open_store

    start = time.perf_counter()
    store = open_store(source)
    export_to(Job(SessionView(store, "data")), to, Path(f"out{FORMATS[to]}"))
    store.close()
    return time.perf_counter() - start


def report(source):
    from pymanip_run.core.view import SessionView
    from pymanip_run.export.report.page import Report, write_report
    from pymanip_run.storage.reading import open_store

    start = time.perf_counter()
    store = open_store(source)
    with Path("report.html").open("wb") as file:
        write_report(Report(SessionView(store, "data")), file)
    store.close()
    return time.perf_counter() - start


def convert(source):
    from pymanip_run.storage.convert import convert as make

    start = time.perf_counter()
    make(source, Path("new.h5").absolute())
    return 10 * (time.perf_counter() - start)


def peer(subject, source):
    from pymanip_run import SavedAsyncSession

    with SavedAsyncSession(source, verbose=False) as sesn:
        names = sorted(sesn.logged_variables())
        table = {"time": sesn[names[0]].timestamps} | {name: sesn[name].values for name in names}
    if subject.startswith("xarray"):
        import numpy as np
        import xarray

        time_ = np.round(table.pop("time") * 1e6).astype("M8[us]").astype("M8[ns]")
        data = xarray.Dataset(
            {name: ("time", values) for name, values in table.items()}, {"time": time_}
        )
        start = time.perf_counter()
        data.to_netcdf("peer.nc", engine="h5netcdf")
        return time.perf_counter() - start
    import pandas

    frame = pandas.DataFrame(table)
    start = time.perf_counter()
    if subject.endswith("csv"):
        frame.to_csv("peer.csv", index=False)
    else:
        frame.to_parquet("peer.parquet", index=False)
    return time.perf_counter() - start


def prepare(folder):
    import sessions

    entries = scaled(ENTRIES, 20_000)
    sessions.make(folder / "data.h5", entries, VARIABLES)
    sessions.make(folder / "long.h5", entries * VARIABLES, 1)
    fill_old(folder / "old.db", entries)


def fill_old(path, values):
    """Make the tables of pymanip 0.4.4, and put rows in directly, for `add_entry` would take hours."""
    with sqlite3.connect(path) as connection:
        connection.executescript("""
            create table log_names (name text not null primary key);
            create table log (rowid integer not null primary key, timestamp double, name text, value double, unique (name, timestamp));
            create index ix_log_timestamp on log (timestamp);
            create index ix_log_name on log (name);
            create table dataset_names (name text not null primary key);
            create table dataset (rowid integer not null primary key, timestamp double, name text, data blob);
            create table metadata (name text not null primary key, value text);
            create table figure (fignum integer not null primary key, maxvalues integer, yscale text, ymin double, ymax double);
            create table figure_variable (rowid integer not null primary key, fignum integer, varnum integer, name text);
            create table parameters (name text not null primary key, value double);
            insert into parameters values ('_database_version', 4.1), ('_session_creation_timestamp', 1.7e9);
        """)
        names = [f"variable_{i}" for i in range(VARIABLES)]
        connection.executemany("insert into log_names values (?)", ((name,) for name in names))
        connection.executemany(
            "insert into log (timestamp, name, value) values (?, ?, ?)",
            ((1.7e9 + i / 100, names[i % VARIABLES], i / 7) for i in range(values)),
        )
    connection.close()


def measure(options: Options) -> list[Table]:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        prepare(Path(folder))
        subjects = [*FORMATS, LONG, OLD, REPORT, *PEERS]
        found = interleave(commands(__file__, subjects, options, folder), options.rounds)
    targets = [
        Target("CSV ≥ 3 × faster than pandas", "csv", 1 / 3, "pandas csv"),
        Target("CSV of one variable ≥ 3 × faster than pandas", LONG, 1 / 3, "pandas long csv"),
    ]  # fmt: skip
    memory = [Target(f"{name} ≤ 200 MB", name, 200) for name in [*FORMATS, LONG, OLD, REPORT]]
    return [
        Table("exporting", "s", values=found["seconds"], targets=targets),
        Table("memory", "MB", values=found["memory"], targets=memory),
    ]


def main(subject, folder):
    if subject == OLD:
        seconds = convert(folder / "old.db")
    elif subject == REPORT:
        seconds = report(folder / "data.h5")
    elif subject in PEERS:
        seconds = peer(subject, folder / ("long.h5" if "long" in subject else "data.h5"))
    elif subject == LONG:
        seconds = export("csv", folder / "long.h5")
    else:
        seconds = export(subject, folder / "data.h5")
    print(json.dumps({"seconds": seconds, "memory": peak()}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
