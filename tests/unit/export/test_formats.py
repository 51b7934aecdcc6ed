"""Each format is read back by the library that its users would use, and compared value by value."""

import csv
import io
import json
import math
import sqlite3
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from helpers_export import START, UNITS, dense, same, session, table

from pymanip_run.core.view import SessionView
from pymanip_run.errors import UsageError
from pymanip_run.export import FORMATS
from pymanip_run.export.job import Job
from pymanip_run.export.names import distinct, file_name, identifier, identifiers
from pymanip_run.export.run import export_to, export_to_stream
from pymanip_run.livetable.lines import item_json
from pymanip_run.records import Entry
from pymanip_run.storage.memory import MemoryStore

PARIS = ZoneInfo("Europe/Paris")


@pytest.fixture(scope="module")
def view():
    return session()


@pytest.fixture
def written(view, tmp_path):
    def write(to, view=view, **options):
        target = tmp_path / f"out{FORMATS[to].suffix}"
        export_to(Job(view, **options), to, target)
        left = {p.name for p in tmp_path.iterdir()} - {target.name}
        assert not {name for name in left if "part" in name or name.startswith(".")}
        return target

    return write


def empty():
    return SessionView(MemoryStore("nothing"), "nothing")


def only_texts():
    store = MemoryStore()
    store.put_metadata(START, "sample", "§")
    store.put_parameter(START, "who", "Ada", None)
    return SessionView(store, "texts")


# -- jsonl --------------------------------------------------------------------------------------


def lines(path):
    return [json.loads(line) for line in path.read_text("ascii").splitlines()]


def test_jsonl_has_the_lines_of_a_run_with_json_behind_one_about_the_session(view, written):
    first, *entries = lines(written("jsonl"))
    times, columns = table(view)
    assert first["type"] == "session"
    assert first["variables"]["T"] == {"unit": "°C", "label": "bottom plate"}
    assert first["parameters"]["gain"] == {"value": 2.5, "unit": "dB"}
    assert first["parameters"]["not a number"] == {"value": "nan"}
    assert first["metadata"] == {"sample": "He-4 §", "setup": {"tags": ["a", 1.5, None]}}
    assert [entry["time"] for entry in entries] == times
    for entry in entries:
        there = {
            n: column[entry["time"]] for n, column in columns.items() if entry["time"] in column
        }
        read = {
            name: float(entry["nonfinite"][name]) if value is None else value
            for name, value in entry["values"].items()
        }
        assert repr(read) == repr({name: there[name] for name in read})
        assert read.keys() == there.keys()


def test_an_entry_in_jsonl_is_the_line_that_a_run_prints(written):
    store = MemoryStore()
    entry = Entry(START, ("a", 'b"é\n', "c"), (1.5, math.nan, -math.inf))
    store.append_row(*entry)
    path = written("jsonl", SessionView(store, "s"))
    assert path.read_text().splitlines()[1] == item_json(entry)


# -- sqlite -------------------------------------------------------------------------------------


def query(path, text):
    with sqlite3.connect(path) as connection:
        rows = connection.execute(text).fetchall()
    connection.close()
    return rows


def test_sqlite_has_the_table_and_says_which_column_is_whose(view, written):
    path = written("sqlite")
    times, columns = table(view)
    whose = {name: (t, column, unit) for name, t, column, unit, _ in query(path, "SELECT * FROM variables")}  # fmt: skip
    assert whose.keys() == columns.keys()
    assert whose["T"] == ("data", "T", "°C")
    assert whose["t"][1] == "t_2"  # SQLite does not tell T from t
    assert whose["time"][1] == "time_2"
    assert [t for (t,) in query(path, "SELECT time FROM data")] == times
    for name, (_, column, _) in whose.items():
        cells = query(path, f'SELECT "{column}" FROM data')  # noqa: S608
        read = [math.nan if v is None else v for (v,) in cells]
        # Zero has no sign in SQLite.
        assert np.array_equal(read, dense(times, columns[name]), equal_nan=True), name
    parameters = {
        name: (value, unit) for name, value, unit in query(path, "SELECT * FROM parameters")
    }
    assert parameters == {"gain": (2.5, "dB"), "who": ("Ada é", None), "on/off": (1, None), "not a number": (None, None)}  # fmt: skip
    metadata = dict(query(path, "SELECT * FROM metadata"))
    assert metadata["sample"] == "He-4 §"
    assert json.loads(metadata["setup"]) == {"tags": ["a", 1.5, None]}
    assert metadata["session.title"] == "A cell, §1"
    assert query(path, "SELECT * FROM events") == [
        (START / 1e9, "note", "me", "refilled\nnitrogen")
    ]


def test_sqlite_with_separate_tables_has_one_for_each_variable(view, written):
    path = written("sqlite", names=["T", "rare", "t"], how="separate")
    tables = {name: title for name, title, *_ in query(path, "SELECT * FROM variables")}
    assert tables == {"T": "T", "rare": "rare", "t": "t_2"}
    times, values = view["rare"]
    assert query(path, "SELECT time, value FROM rare") == list(
        zip(times.tolist(), values.tolist(), strict=True)
    )


def test_a_table_too_wide_for_sqlite_is_refused_with_the_option_that_helps(written):
    with pytest.raises(UsageError, match="--how separate"):
        written("sqlite", session([f"v{i}" for i in range(2000)], 1))


# -- npz ----------------------------------------------------------------------------------------


def test_npz_has_arrays_and_their_units(view, written):
    times, columns = table(view)
    with np.load(written("npz")) as arrays:
        about = json.loads(arrays["_about"].item())
        assert same(arrays["time"], times)
        keys = {told["name"]: key for key, told in about["keys"].items()}
        assert keys.keys() == columns.keys()
        assert keys["a/b c"] == "a/b c"
        assert keys["time"] == "time_2"
        for name, column in columns.items():
            assert same(arrays[keys[name]], dense(times, column)), name
        assert about["keys"]["T"]["unit"] == "°C"
        assert about["parameters"]["gain"] == {"value": 2.5, "unit": "dB"}
        assert about["metadata"]["sample"] == "He-4 §"


def test_npz_with_separate_tables_has_a_time_for_each_variable(view, written):
    with np.load(written("npz", how="separate")) as arrays:
        for name in ("T", "rare", "a/b c"):
            assert same(arrays[f"{name}_time"], view[name].timestamps)
            assert same(arrays[name], view[name].values)


def test_npz_needs_no_pickle(written):
    with np.load(written("npz", zone=PARIS), allow_pickle=False) as arrays:
        assert arrays["time"][0] == "2025-11-22T09:26:40.123456+01:00"


# -- parquet ------------------------------------------------------------------------------------


def test_parquet_tells_missing_cells_from_nan(view, written):
    parquet = pytest.importorskip("pyarrow.parquet")
    found = parquet.read_table(written("parquet"))
    times, columns = table(view)
    assert found["time"].to_pylist() == times
    fields = {
        f.metadata[b"name"].decode(): f for f in found.schema if b"name" in (f.metadata or {})
    }
    assert fields.keys() == columns.keys()
    for name, field in fields.items():
        cells = found[field.name].to_pylist()
        assert repr(cells) == repr([columns[name].get(t) for t in times]), name
        assert field.metadata.get(b"unit", b"").decode() == UNITS.get(name, "")
    about = json.loads(found.schema.metadata[b"pymanip_run"])
    assert about["parameters"]["gain"] == {"value": 2.5, "unit": "dB"}
    assert about["metadata"]["sample"] == "He-4 §"


@pytest.mark.parametrize("zone", ["Europe/Paris", "UTC"])
def test_parquet_with_a_zone_has_real_times_in_pandas(view, written, zone):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.read_parquet(written("parquet", names=["T", "rare"], zone=ZoneInfo(zone)))
    assert str(frame["time"].dt.tz) == zone
    assert (frame["time"].astype("int64") // 1000 if frame["time"].dt.unit == "ns" else frame["time"].astype("int64")).tolist() == [round(t * 1e6) for t in table(view, ["T", "rare"])[0]]  # fmt: skip


# -- netcdf, zarr -------------------------------------------------------------------------------


def opened(to, path):
    xarray = pytest.importorskip("xarray")
    if to == "zarr":
        pytest.importorskip("zarr")
        pytest.importorskip("xarray", minversion="2024.10")  # the first that reads format 3
        return xarray.open_zarr(path, consolidated=False)
    pytest.importorskip("h5netcdf")
    return xarray.open_dataset(path, engine="h5netcdf")


@pytest.mark.parametrize("to", ["netcdf", "zarr"])
def test_xarray_finds_decoded_times_units_and_original_names(view, written, to):
    times, columns = table(view)
    with opened(to, written(to)) as found:
        stamps = found["time"].values.astype("datetime64[us]").astype(np.int64)
        assert stamps.tolist() == [round(t * 1e6) for t in times]
        originals = {v.attrs["original_name"]: v for v in found.data_vars.values()}
        assert originals.keys() == columns.keys()
        for name, column in columns.items():
            variable = originals[name]
            assert variable.dims == ("time",)
            assert same(variable.values, dense(times, column)), name
            assert variable.attrs.get("units") == UNITS.get(name)
            assert variable.name == identifier(variable.name)
        assert originals["T"].attrs["long_name"] == "bottom plate"
        assert found.attrs["Conventions"].startswith("CF-")
        assert json.loads(found.attrs["parameters"])["gain"] == {"value": 2.5, "unit": "dB"}
        assert json.loads(found.attrs["metadata"])["sample"] == "He-4 §"
        assert found.attrs["title"] == "A cell, §1"


@pytest.mark.parametrize("to", ["netcdf", "zarr"])
def test_separate_tables_have_times_of_their_own_in_xarray(view, written, to):
    with opened(to, written(to, how="separate", names=["T", "rare"])) as found:
        for name in ("T", "rare"):
            stamps = found[f"{name}_time"].values.astype("datetime64[us]").astype(np.int64)
            assert stamps.tolist() == [round(t * 1e6) for t in view[name].timestamps.tolist()]
            assert same(found[name].values, view[name].values)


@pytest.mark.parametrize("to", ["netcdf", "zarr"])
def test_a_zone_is_noted_where_times_are_always_utc(written, to):
    with opened(to, written(to, zone=PARIS)) as found:
        assert str(found["time"].values[0]).startswith("2025-11-22T08:26:40.123456")
        assert found["time"].attrs["time_zone"] == "Europe/Paris"


def test_a_zarr_folder_is_replaced_and_any_other_folder_is_not(view, tmp_path):
    pytest.importorskip("zarr")
    target = tmp_path / "out.zarr"
    for _ in range(2):
        export_to(Job(view), "zarr", target)
    assert [p.name for p in tmp_path.iterdir()] == ["out.zarr"]
    other = tmp_path / "photos"
    other.mkdir()
    (other / "cat.jpg").touch()
    with pytest.raises(UsageError, match=r"the folder .*photos is not empty"):
        export_to(Job(view), "zarr", other)
    assert [p.name for p in other.iterdir()] == ["cat.jpg"]


# -- mat ----------------------------------------------------------------------------------------


def test_mat_has_columns_units_and_names(view, written):
    scipy = pytest.importorskip("scipy.io")
    found = scipy.loadmat(written("mat"), simplify_cells=True)
    times, columns = table(view)
    assert same(found["time"], times)
    assert set(found["names"].values()) == columns.keys()
    for key, name in found["names"].items():
        assert same(found[key], dense(times, columns[name])), name
        assert "".join(found["units"][key]) == UNITS.get(name, "")
    assert found["parameters"]["gain"] == 2.5
    assert found["parameters"]["who"] == "Ada é"
    assert found["parameters"]["on_off"] == 1
    assert json.loads(found["metadata"])["sample"] == "He-4 §"
    assert scipy.loadmat(written("mat"))["T"].shape == (len(times), 1)


def test_mat_with_separate_tables_has_a_time_for_each_variable(view, written):
    scipy = pytest.importorskip("scipy.io")
    found = scipy.loadmat(written("mat", how="separate", names=["T", "rare"]), simplify_cells=True)
    for name in ("T", "rare"):
        assert same(found[f"{name}_time"], view[name].timestamps)
        assert same(found[name], view[name].values)


def test_mat_with_a_zone_has_times_as_texts(written):
    scipy = pytest.importorskip("scipy.io")
    found = scipy.loadmat(written("mat", zone=PARIS), simplify_cells=True)
    assert found["time"][0] == "2025-11-22T09:26:40.123456+01:00"


# -- csv, as its users read it ------------------------------------------------------------------


def read_csv(path):
    return list(csv.reader(io.StringIO(path.read_text("utf-8"))))


def test_pandas_reads_the_csv_as_it_was(view, written):
    pandas = pytest.importorskip("pandas")
    times, columns = table(view)
    frame = pandas.read_csv(written("csv"))
    assert frame["time"].tolist() == times
    for name, column in columns.items():
        unit = UNITS.get(name)
        heading = f"{name} [{unit}]" if unit else name
        heading = "time_2" if heading == "time" else heading
        assert same(frame[heading], dense(times, column)), name


def test_times_in_a_zone_are_iso_8601_with_its_offset_of_that_day(written):
    store = MemoryStore()
    moments = ["2026-03-29T01:59:59.999999+01:00", "2026-03-29T03:00:00.000000+02:00",
               "2026-10-25T02:59:59.500000+02:00", "2026-10-25T02:00:00.000000+01:00"]  # fmt: skip
    for i, text in enumerate(moments):
        ns = round(datetime.fromisoformat(text).timestamp() * 1e6) * 1000
        store.append_row(ns, ("T",), (float(i),))
    rows = read_csv(written("csv", SessionView(store, "s"), zone=PARIS))
    assert rows == [["time", "T"], *([text, f"{i}.0"] for i, text in enumerate(moments))]


def test_csv_with_separate_tables_is_a_folder_with_an_index(view, tmp_path):
    target = tmp_path / "tables"
    done = export_to(Job(view, ["T", "t", "a/b c"], how="separate"), "csv", target)
    assert (done.columns, done.files) == (3, 3)
    index = json.loads((target / "index.json").read_text())
    files = {one["name"]: one["file"] for one in index["files"]}
    assert files == {"T": "T.csv", "t": "t_2.csv", "a/b c": "a_b c.csv"}
    rows = read_csv(target / "T.csv")
    assert rows[0] == ["time", "value [°C]"]
    assert [float(row[0]) for row in rows[1:]] == view["T"].timestamps.tolist()
    export_to(Job(view, ["T"], how="separate"), "csv", target)  # its own folder is replaced
    assert {p.name for p in target.iterdir()} == {"T.csv", "index.json"}


# -- all of them --------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [empty, only_texts])
@pytest.mark.parametrize("how", ["outer", "separate"])
@pytest.mark.parametrize("to", FORMATS)
def test_a_session_without_values_gives_a_file_that_can_be_read(written, to, how, make):
    for library in {"parquet": "pyarrow", "netcdf": "h5netcdf", "mat": "scipy", "zarr": "zarr"}.get(to, "csv").split():  # fmt: skip
        pytest.importorskip(library)
    path = written(to, make(), how=how)
    assert path.exists()
    if to in {"netcdf", "zarr"}:
        with opened(to, path) as found:
            assert dict(found.data_vars) == {}
    elif to == "npz":
        with np.load(path) as arrays:
            assert all(not a.size or name == "_about" for name, a in arrays.items())
    elif to == "sqlite":
        assert query(path, "SELECT * FROM variables") == []


@pytest.mark.parametrize("to", FORMATS)
def test_a_failure_leaves_the_older_file_and_nothing_else(view, tmp_path, to):
    for library in {"parquet": "pyarrow", "netcdf": "h5netcdf", "mat": "scipy", "zarr": "zarr"}.get(to, "csv").split():  # fmt: skip
        pytest.importorskip(library)
    target = tmp_path / f"a{FORMATS[to].suffix}"
    export_to(Job(view), to, target)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    def full(_):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        export_to(Job(view, progress=full), to, target)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("to", [to for to, f in FORMATS.items() if not f.is_folder])
def test_standard_output_gets_the_same_as_a_file(view, tmp_path, to, monkeypatch):
    for library in {"parquet": "pyarrow", "netcdf": "h5netcdf", "mat": "scipy"}.get(to, "csv").split():  # fmt: skip
        pytest.importorskip(library)
    with (tmp_path / "stream").open("wb") as stream:
        done = export_to_stream(Job(view), to, stream)
    export_to(Job(view), to, tmp_path / "file")
    assert done.rows == len(table(view)[0])
    sizes = [(tmp_path / name).stat().st_size for name in ("stream", "file")]
    assert sizes[0] == sizes[1] > 0
    if to in {"csv", "jsonl"}:
        assert (tmp_path / "stream").read_bytes() == (tmp_path / "file").read_bytes()


def test_a_folder_is_not_written_to_standard_output(view, tmp_path):
    with (tmp_path / "stream").open("wb") as stream:
        with pytest.raises(UsageError, match="zarr makes a folder"):
            export_to_stream(Job(view), "zarr", stream)
        with pytest.raises(UsageError, match="csv with --how separate makes a folder"):
            export_to_stream(Job(view, how="separate"), "csv", stream)


@pytest.mark.parametrize(
    ("to", "library", "extra"),
    [("parquet", "pyarrow", "parquet"), ("netcdf", "h5netcdf", "analysis"), ("mat", "scipy", "matlab"), ("zarr", "zarr", "zarr")],
)  # fmt: skip
def test_a_missing_library_is_named_with_what_to_install(tmp_path, monkeypatch, to, library, extra):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr("pymanip_run.lazily.import_module", missing)
    with pytest.raises(
        UsageError, match=rf"needs {library}; install it: pip install 'pymanip-run\[{extra}\]'"
    ):
        export_to(Job(session()), to, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


# -- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "made"),
    [("T", "T"), ("température", "temperature"), ("a/b c", "a_b_c"), ("9", "x9"), ("end", "xend"), ("_x", "x_x"),
     ("Ærø ß", "AEro_ss"), ("温度", "x__"), ("é" * 100, "e" * 63)],
)  # fmt: skip
def test_an_identifier_is_as_near_to_the_name_as_it_can_be(name, made):
    assert identifier(name) == made


def test_names_that_become_equal_are_numbered():
    assert identifiers(["a b", "a/b", "a_b_2", "a-b"]) == ["a_b", "a_b_2", "a_b_2_2", "a_b_3"]
    assert distinct(["T", "t"], fold=str.lower) == ["T", "t_2"]
    long = identifiers(["x" * 70, "x" * 71])
    assert len(set(long)) == 2
    assert max(map(len, long)) == 63


def test_a_file_name_is_one_on_every_system():
    assert file_name('a/b\\c:*?"<>|d') == "a_b_c_______d"
    assert file_name("..") == "_"
    assert len(file_name("é" * 200).encode()) == 200
