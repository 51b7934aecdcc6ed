"""Makes the old sessions of this folder. Runs under a release of pymanip, see README.md; Python 3.8 or later.

Beside each session a JSON file is written of what pymanip itself reads back from it: the tests compare with that.
"""
# ruff: noqa: B905, C901, F841, PLC2401, PTH123 - for old releases, and for pymanip, which looks at local variables

import asyncio
import importlib
import json
import math
import sqlite3
import sys

import numpy as np

FRAME = np.arange(12, dtype=np.uint16).reshape(3, 4)
DATASETS = [
    {"frame": FRAME, "scan": np.array([0.5, math.nan, -math.inf])},
    {"frame": FRAME + 1, "scan": np.array([1.5])},
    {"fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "big_endian": np.arange(3, dtype=">i4")},
    {"table": np.array([(1, 2.5, b"ab")], dtype=[("n", "<i4"), ("x", "<f8"), ("s", "S3")])},
    {"empty": np.empty((0, 3)), "zero_d": np.array(3.5), "scalar": np.float32(0.1), "flags": np.array([True, False])},
    {"text": "grün 🌡", "number": 2.5, "integer": 2**70, "nothing": None, "list": [1, 2.5, "x"], "pair": (1, 2)},
    {"mapping": {"gain": 2, "names": ["a", "b"], "tuple": (1, (2, 3))}, "raw": b"\0\xff", "complex": 1 - 2j},
    {"words": np.array(["ä", "bcd"]), "when": np.array(["2026-11-22T15:00"], "M8[s]"), "objects": np.array(["a", "bc"], object)},
]  # fmt: skip


def described(value):
    """A value as JSON that tells values apart exactly."""
    if isinstance(value, (np.ndarray, np.generic)):
        array = np.asarray(value)
        return {
            "dtype": array.dtype.str,
            "shape": list(array.shape),
            "values": repr(array.tolist()),
        }
    return {"type": type(value).__name__, "repr": repr(value)}


def fill(sesn, *, metadata, numpy_values, duplicates):
    """Record what sessions of laboratories have, in the ways that this release takes."""
    for i in range(40):
        sesn.add_entry(T_bottom=20 + 0.1 * i, **{"température": -i})
        if i % 8 == 0:
            sesn.add_entry({"rare": [math.nan, math.inf, -math.inf, 1e-300, True][i // 8]})
    if numpy_values:
        for value in (np.float64(0.1), np.int64(-3), np.float32(0.5), np.int32(7), np.bool_(True)):
            sesn.add_entry(from_numpy=value)
    if duplicates:
        with sesn.conn as connection:  # a clock that stood still, and one that was set back
            last = connection.execute("SELECT max(timestamp) FROM log").fetchone()[0]
            connection.execute("INSERT INTO log_names VALUES ('clock')")
            for shift, value in ((0, 1.0), (0, 2.0), (-10, 3.0), (5, 4.0)):
                connection.execute("INSERT INTO log VALUES (?, 'clock', ?)", (last + shift, value))
    for data in DATASETS:
        if hasattr(sesn.db if hasattr(sesn, "db") else None, "Dataset") or not hasattr(sesn, "db"):
            sesn.add_dataset(**data)
    sesn.save_parameter(gain=2.5, n=3, on=True)
    sesn.save_parameter(gain=3.5)
    sesn.save_parameter(**{"bad value": math.nan})
    if not hasattr(sesn, "db"):
        sesn.save_parameter(operator="Ada é")
    if metadata:
        sesn.save_metadata(sample="He-4 §", notes="two\nlines", _internal="hidden")


def read_back(sesn):
    """What this release itself reads from the session."""
    variables = {}
    for name in sorted(sesn.logged_variables()):
        if name == "from_numpy":
            continue  # which pymanip cannot read back
        times, values = sesn.logged_variable(name)
        variables[name] = [
            [float(t), repr(float("nan") if v is None else float(v))] for t, v in zip(times, values)
        ]
    datasets = {}
    has_datasets = not hasattr(sesn, "db") or hasattr(sesn.db, "Dataset")
    for name in sorted(sesn.dataset_names()) if has_datasets else ():
        datasets[name] = [[t, described(data)] for t, data in sesn.datasets(name)]
    version = sesn.get_version()
    figures = list(sesn.figures()) if version > 4 else []
    with_metadata = hasattr(getattr(sesn, "db", None), "Metadata")
    return {
        "version": version, "t0": created(sesn, variables), "variables": variables, "datasets": datasets,
        "parameters": {k: repr(v) for k, v in sesn.parameters().items()},
        "metadata": dict(sesn.metadatas()) if with_metadata else {}, "figures": figures,
    }  # fmt: skip


def created(sesn, variables):
    """When the session was created; the earliest value where it was not noted yet, as in pymanip."""
    noted = sesn.parameter("_session_creation_timestamp")
    return min(pairs[0][0] for pairs in variables.values()) if noted is None else noted


def before_sqlalchemy(path):
    """Make a session of schema 3 with a release before 0.4.4."""
    from pymanip.asyncsession import AsyncSession

    with AsyncSession(path, verbose=False) as sesn:
        fill(sesn, metadata=False, numpy_values=True, duplicates=True)
        return read_back(sesn)


def with_sqlalchemy(path, schema):
    """Make a session with release 0.4.4, which has the tables of all schemas."""
    from pymanip.asyncsession import AsyncSession

    sesn = AsyncSession(path, verbose=False, database_version=3 if schema < 4 else -1)
    if schema == 1:
        sesn.db = importlib.import_module("pymanip.asyncsession.database_v1")
    with sesn:
        fill(sesn, metadata=schema >= 4, numpy_values=False, duplicates=False)
        if schema >= 4:
            add_figures(sesn)
    if schema in (1, 2, 4):
        downgrade(path, schema)
    sesn = AsyncSession(path, verbose=False, readonly=True)
    return read_back(sesn)


def add_figures(sesn):
    """Let `plot` record two figures; it draws only when the session is monitored."""
    import matplotlib

    matplotlib.use("agg")
    sesn.offscreen_figures = True
    sesn.running = False

    async def plot():
        for arguments in (
            {"varnames": ["T_bottom", "rare"]},
            {"varnames": ["rare"], "yscale": "log", "fixed_ylim": (0.5, 2)},
        ):
            try:
                await asyncio.wait_for(sesn.plot(**arguments, backend="python"), 5)
            except Exception as error:  # noqa: BLE001
                print("plot:", repr(error), file=sys.stderr)

    asyncio.run(plot())


def downgrade(path, schema):
    """Take away what this schema did not have yet: no release on PyPI wrote 1, 2 and 4."""
    with sqlite3.connect(path) as connection:
        if schema == 1:
            connection.execute("DELETE FROM parameters WHERE substr(name, 1, 1) = '_'")
        elif schema == 2:
            connection.execute("DELETE FROM parameters WHERE name = '_session_creation_timestamp'")
            connection.execute("UPDATE parameters SET value = 2 WHERE name = '_database_version'")
        else:
            connection.execute("DROP TABLE figure_variable")
            connection.execute("DROP TABLE figure")
            connection.execute("UPDATE parameters SET value = 4 WHERE name = '_database_version'")
    connection.close()


def synchronous(path):
    """Make a session of the class Session: PATH.hdf5, PATH.dat and PATH.log."""
    from pymanip.session import Session

    sesn = Session(path, ("T", "P", "température"))
    for i in range(30):
        T, P, température = 20 + 0.1 * i, [1e5, math.nan, -math.inf][i % 3], -i  # noqa: N806
        sesn.log_addline()  # which takes the local variables
    sesn.disp("the pump was switched on")
    profile, scan, gain, who = FRAME.ravel(), np.array([0.5, math.nan]), 2.5, "Ada é"
    sesn.save_dataset("profile")
    sesn.save_dataset("scan")
    sesn.save_parameter("gain")
    sesn.save_parameter("who")
    sesn.Stop()


def read_synchronous(path):
    """What pymanip 0.4.4 reads from it; older releases need an h5py of before 3.0."""
    from pymanip.session import SavedSession

    sesn = SavedSession(path)
    sesn.__enter__()
    times = sesn.log("t")
    return {
        "variables": {
            name: [[t, repr(v)] for t, v in zip(times.tolist(), sesn.log(name).tolist())]
            for name in sesn.log_variable_list()
        },
        "datasets": {name: described(sesn.dataset(name)) for name in sesn.dataset_names()},
        "parameters": {k: repr(v if isinstance(v, str) else v.item()) for k, v in sesn.parameters.items()},
        "timestamp": float(sesn.grp_datasets.attrs["timestamp"]),
    }  # fmt: skip


if __name__ == "__main__":
    target, kind = sys.argv[1:]
    if kind == "sync":
        synchronous(target)
        sys.exit()
    if kind == "read":
        found = read_synchronous(target)
    elif kind == "3":
        found = before_sqlalchemy(target)
    else:
        found = with_sqlalchemy(target, float(kind))
    with open(target + ".json", "w", encoding="utf-8") as file:
        json.dump(found, file, ensure_ascii=False, indent=1)
