"""How long `logged_last_values` of a hundred variables takes, for short and long sessions."""

import json
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path

from measuring import PYMANIP, Options, Table, Target, commands, interleave, python_with, scaled

TITLE = "The last values"
TEXT = """\
The median time of `logged_last_values` of 100 variables over 50 calls in an open session: one that was *saved*, one
that is *live*, each after 10³ and after 10⁶ entries; *new* opens the saved session anew each time. *SQLite* has a row
for each value and an index over name and time, and asks once for each variable; it and pymanip hold 10³ entries."""
VARIABLES = 100
SHORT, LONG = 1_000, 1_000_000


def median_time(call):
    assert len(call()) == VARIABLES
    times = []
    for _ in range(50):
        start = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - start)
    return statistics.median(times) / 1e3


def saved(path):
    from pymanip_run import SavedAsyncSession

    with SavedAsyncSession(path, verbose=False) as sesn:
        return median_time(sesn.logged_last_values)


def new(path):
    from pymanip_run import SavedAsyncSession

    def call():
        with SavedAsyncSession(path, verbose=False) as sesn:
            return sesn.logged_last_values()

    return median_time(call)


def live(path):
    from pymanip_run import AsyncSession

    with AsyncSession(path, verbose=False) as sesn:
        sesn.add_entry({f"variable_{i}": 1.0 for i in range(VARIABLES)})
        return median_time(sesn.logged_last_values)


def sqlite(path):
    connection = sqlite3.connect(path)
    ask = "select time, value from log where name = ? order by time desc limit 1"
    names = [f"variable_{i}" for i in range(VARIABLES)]
    return median_time(
        lambda: {name: connection.execute(ask, (name,)).fetchone() for name in names}
    )


def pymanip(path):
    from pymanip.asyncsession import AsyncSession

    with AsyncSession(path, verbose=False, readonly=True) as sesn:
        return median_time(sesn.logged_last_values)


SUBJECTS = {
    "saved, 10³": (saved, "short.h5"),
    "saved, 10⁶": (saved, "long.h5"),
    "new, 10³": (new, "short.h5"),
    "new, 10⁶": (new, "long.h5"),
    "live, 10³": (live, "live.h5"),
    "live, 10⁶": (live, "live_long.h5"),
    "SQLite": (sqlite, "sqlite.db"),
    PYMANIP: (pymanip, "pymanip.db"),
}


def prepare(folder, python):
    import sessions
    from reading import fill_pymanip

    sessions.make(folder / "short.h5", SHORT, VARIABLES)
    sessions.make(folder / "long.h5", scaled(LONG, 10 * SHORT), VARIABLES)
    (folder / "live.h5").write_bytes((folder / "short.h5").read_bytes())
    (folder / "live_long.h5").symlink_to(folder / "long.h5")
    if python is not None:
        fill_pymanip(python, folder / "pymanip.db", VARIABLES, SHORT)
    with sqlite3.connect(folder / "sqlite.db") as connection:
        connection.execute("create table log (time real, name text, value real)")
        connection.executemany(
            "insert into log values (?, ?, ?)",
            ((i / 100, f"variable_{k}", i / 7) for i in range(SHORT) for k in range(VARIABLES)),
        )
        connection.execute("create index latest on log (name, time)")
    connection.close()


def measure(options: Options) -> list[Table]:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        prepare(Path(folder), python_with(PYMANIP, options))
        found = interleave(commands(__file__, SUBJECTS, options, folder), options.rounds)
    targets = [
        Target("saved ≤ 1 ms", "saved, 10⁶", 1000),
        Target("saved, independent of length: ≤ 1.2 ×", "saved, 10⁶", 1.2, "saved, 10³"),
        Target("live ≤ 50 µs", "live, 10⁶", 50),
        Target("live, independent of length: ≤ 1.2 ×", "live, 10⁶", 1.2, "live, 10³"),
    ]
    return [Table("`logged_last_values`", "µs", "SQLite", values=found["time"], targets=targets)]


if __name__ == "__main__":
    call, name = SUBJECTS[sys.argv[1]]
    print(json.dumps({"time": call(str(Path(sys.argv[2]) / name))}))
