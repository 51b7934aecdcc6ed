"""Every format, made by the command and read back by the library of its users, compared value by value.

PYMANIP_RUN_TEST_POINTS=10000000 pytest -s tests/system/test_export_read_back.py
"""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from helpers_storage import finish, quiet_store

import pymanip_run

POINTS = int(os.environ.get("PYMANIP_RUN_TEST_POINTS", "200000"))
pytestmark = pytest.mark.timeout(120 + POINTS // 10_000)
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(pymanip_run.__file__).parent.parent)}
COMMAND = (
    "import sys; sys.argv[0] = 'pymanip-export'; from pymanip_run.cli import main_export as m; m()"
)
#: Runs it: the peak memory of a process counts that of its parent before it, so the parent is a small one.
LAUNCHER = """
import json, os, subprocess, sys, time
begin = time.perf_counter()
process = subprocess.Popen([sys.executable, "-c", *sys.argv[1:]])
_, status, usage = os.wait4(process.pid, 0)
process.returncode = os.waitstatus_to_exitcode(status)
print(json.dumps([process.returncode, time.perf_counter() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024]))
"""
START, STEP = 1_763_800_000_123_456_000, 10_000_000
NAMES = ["T", "température", "a/b c", "温度", "p", "flow", "v1", "v2", "v3"]
UNITS = {"T": "°C", "température": "µm/s²", "rare": "Ω"}
ROWS = POINTS // len(NAMES) + 1
#: How often `rare` has a value, at times of its own.
SELDOM = 9
HARD = [np.nan, np.inf, -np.inf, -0.0, 5e-324, -1.7976931348623157e308, 1 / 3, 2.0**53 + 2]
#: The most that an export may take, in bytes.
MOST_MEMORY = 200e6


class Measured:
    """What was recorded: times of shape (n,), and a column of shape (n,) for each name, NaN where it has nothing."""

    def __init__(self):
        ns = START + STEP * np.arange(ROWS)
        late = ns[::SELDOM] + STEP // 2
        both = np.concatenate([ns, late])
        self.order = np.argsort(both)
        self.times = np.round(both[self.order] / 1e3) / 1e6
        generator = np.random.default_rng(7)
        columns = generator.standard_normal((len(NAMES), ROWS)) * 10.0 ** generator.integers(
            -9, 9, (len(NAMES), ROWS)
        )
        places = generator.integers(0, ROWS, (len(NAMES), 200))
        for column, chosen in zip(columns, places, strict=True):
            column[chosen] = np.resize(HARD, len(chosen))
        self.columns = columns
        self.rare = generator.standard_normal(len(late))
        self.ns = ns

    def table(self, name):
        """A column of the whole table, and where it has a value."""
        nothing = np.full(ROWS if name == "rare" else len(self.rare), np.nan)
        own = self.rare if name == "rare" else self.columns[NAMES.index(name)]
        pair = (nothing, own) if name == "rare" else (own, nothing)
        there = [np.full(len(part), part is own) for part in pair]
        return np.concatenate(pair)[self.order], np.concatenate(there)[self.order]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    made = Measured()
    made.folder = tmp_path_factory.mktemp("read_back")
    store = quiet_store(made.folder / "cell.h5")
    rare = iter(made.rare.tolist())
    for i, row in enumerate(zip(made.ns.tolist(), made.columns.T, strict=True)):
        store.append_row(row[0], tuple(NAMES), row[1].tolist())
        if i % SELDOM == 0:
            store.append_row(row[0] + STEP // 2, ("rare",), (next(rare),))
    for name, unit in UNITS.items():
        store.put_attributes(START, name, {"unit": unit})
    finish(store)
    yield made
    (made.folder / "cell.h5").unlink()


@pytest.fixture
def exported(measured):
    """Export to a format; return the file, which is removed at the end."""
    made = []

    def export(to, suffix):
        target = measured.folder / f"out{suffix}"
        made.append(target)
        arguments = [str(measured.folder / "cell.h5"), "--to", to, "-o", str(target)]
        done = subprocess.run(
            [sys.executable, "-c", LAUNCHER, COMMAND, *arguments], env=ENVIRONMENT,
            stdout=subprocess.PIPE, check=True,
        )  # fmt: skip
        code, seconds, processor, memory = json.loads(done.stdout)
        assert code == 0
        print(f"{to}: {POINTS} points in {seconds:.1f} s, {processor:.1f} s of the processor, {memory / 1e6:.0f} MB, {size_of(target) / POINTS:.1f} bytes a point")  # fmt: skip
        assert memory <= MOST_MEMORY, f"{to} took {memory / 1e6:.0f} MB"
        return target

    yield export
    for target in made:
        if target.is_file():
            target.unlink()


def size_of(path):
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def check(measured, name, found, *, missing=None, signed=True):
    """Compare a column of the table to the last bit, all NaN alike."""
    expected, there = measured.table(name)
    found = np.asarray(found, np.float64)
    assert found.shape == expected.shape, name
    assert np.array_equal(found, expected, equal_nan=True), name
    if signed:
        numbers = ~np.isnan(expected)
        assert np.array_equal(np.signbit(found[numbers]), np.signbit(expected[numbers])), name
    if missing is not None:
        assert np.array_equal(missing, ~there), name


def microseconds(times):
    return np.round(np.asarray(times, np.float64) * 1e6).astype(np.int64)


ALL = [*NAMES, "rare"]


def test_csv_in_pandas(measured, exported):
    pandas = pytest.importorskip("pandas")
    path = exported("csv", ".csv")
    with path.open(encoding="utf-8") as file:
        head = file.readline().strip().split(",")
    # Older releases are exact to the last bit when they are asked to be, newer ones always.
    exact = (
        {} if int(pandas.__version__.split(".", 1)[0]) >= 3 else {"float_precision": "round_trip"}
    )
    assert head == ["time", *(f"{n} [{UNITS[n]}]" if n in UNITS else n for n in ALL)]
    times = pandas.read_csv(path, usecols=["time"], **exact)["time"]
    assert np.array_equal(times, measured.times)
    for name, title in zip(ALL, head[1:], strict=True):
        cells = pandas.read_csv(path, usecols=[title], skip_blank_lines=False, keep_default_na=False, dtype=str)  # fmt: skip
        numbers = pandas.read_csv(path, usecols=[title], skip_blank_lines=False, **exact)[title]
        check(measured, name, numbers, missing=(cells[title] == "").to_numpy())


def test_jsonl_line_by_line(measured, exported):
    values = {name: [] for name in ALL}
    times = []
    with exported("jsonl", ".jsonl").open(encoding="ascii") as file:
        first = json.loads(next(file))
        assert {n: v["unit"] for n, v in first["variables"].items() if "unit" in v} == UNITS
        for line in file:
            entry = json.loads(line)
            times.append(entry["time"])
            read = entry["values"]
            for name in entry.get("nonfinite", ()):
                read[name] = float(entry["nonfinite"][name])
            for name, value in read.items():
                values[name].append(value)
    assert np.array_equal(times, measured.times)
    for name in ALL:
        column, there = measured.table(name)
        assert repr(values[name]) == repr(column[there].tolist()), name


def test_npz_in_numpy(measured, exported):
    with np.load(exported("npz", ".npz")) as arrays:
        assert np.array_equal(arrays["time"], measured.times)
        for name in ALL:
            check(measured, name, arrays[name])
        about = json.loads(arrays["_about"].item())
        assert {k["name"]: k["unit"] for k in about["keys"].values() if k["unit"]} == UNITS


def test_sqlite_in_sql(measured, exported):
    with closing(sqlite3.connect(exported("sqlite", ".sqlite"))) as connection:
        times = [t for (t,) in connection.execute("SELECT time FROM data ORDER BY rowid")]
        assert np.array_equal(times, measured.times)
        listed = connection.execute("SELECT name, column_name, unit FROM variables").fetchall()
        assert {name: unit for name, _, unit in listed if unit} == UNITS
        for name, column, _ in listed:
            rows = connection.execute(f'SELECT "{column}" FROM data ORDER BY rowid')  # noqa: S608
            found = np.fromiter((np.nan if v is None else v for (v,) in rows), np.float64)
            check(measured, name, found, signed=False)  # zero has no sign in SQLite


def test_parquet_in_pandas(measured, exported):
    parquet = pytest.importorskip("pyarrow.parquet")
    path = exported("parquet", ".parquet")
    schema = parquet.read_schema(path)
    for name in ALL:
        field = schema.field(name)
        assert (field.metadata or {}).get(b"unit", b"").decode() == UNITS.get(name, "")
        column = parquet.read_table(path, columns=[name])[name]
        missing = column.is_null().to_numpy()
        check(measured, name, column.to_numpy(), missing=missing)
    times = pytest.importorskip("pandas").read_parquet(path, columns=["time"])["time"]
    assert np.array_equal(times, measured.times)


@pytest.mark.parametrize("to", ["netcdf", "zarr"])
def test_netcdf_and_zarr_in_xarray(measured, exported, to):
    xarray = pytest.importorskip("xarray", minversion="2024.10")
    pytest.importorskip("h5netcdf" if to == "netcdf" else "zarr")
    path = exported(to, ".nc" if to == "netcdf" else ".zarr")
    options = {"engine": "h5netcdf"} if to == "netcdf" else {"engine": "zarr", "consolidated": False}  # fmt: skip
    with xarray.open_dataset(path, **options) as data:
        stamps = data["time"].values.astype("datetime64[us]").astype(np.int64)
        assert np.array_equal(stamps, microseconds(measured.times))
        found = {v.attrs["original_name"]: v for v in data.data_vars.values()}
        for name in ALL:
            assert found[name].attrs.get("units") == UNITS.get(name)
            check(measured, name, found[name].values)


def test_mat_in_scipy(measured, exported):
    scipy = pytest.importorskip("scipy.io")
    path = exported("mat", ".mat")
    about = scipy.loadmat(path, simplify_cells=True, variable_names=["names", "units", "time"])
    assert np.array_equal(about["time"], measured.times)
    assert sorted(about["names"].values()) == sorted(ALL)
    for key, name in about["names"].items():
        assert "".join(about["units"][key]) == UNITS.get(name, "")
        check(measured, name, scipy.loadmat(path, variable_names=[key])[key].ravel())
