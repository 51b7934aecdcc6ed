"""Records of datasets as files: what they hold is what was recorded, and the index says which is which."""

import csv
import io
import json

import numpy as np
import pytest
from helpers_export import START, add_record, session

from pymanip_run.core.view import SessionView
from pymanip_run.errors import NotFoundError, UsageError
from pymanip_run.export import png
from pymanip_run.export.datasets import export_datasets
from pymanip_run.export.job import Job
from pymanip_run.storage.memory import MemoryStore

RANDOM = np.random.default_rng(0)
IMAGES = {
    "gray 8": RANDOM.integers(0, 256, (5, 7), np.uint8),
    "gray 16": RANDOM.integers(0, 65536, (300, 2100), np.uint16),
    "big-endian": RANDOM.integers(0, 65536, (3, 4)).astype(">u2"),
    "colours": RANDOM.integers(0, 256, (4, 5, 3), np.uint8),
    "with alpha": RANDOM.integers(0, 65536, (4, 5, 4), np.uint16),
    "fortran": np.asfortranarray(RANDOM.integers(0, 256, (5, 7), np.uint8)),
}


@pytest.fixture
def view():
    made = session(["T"], 2)
    for i in range(3):
        add_record(made, i, "frame", np.full((2, 3), i, np.uint16))
    add_record(made, 0.5, "a/b", np.array([1.5, np.nan]))
    add_record(made, 1.5, "a/b", {"gain": 2, "who": "Ada é"})
    return made


def index(folder):
    text = (folder / "index.csv").read_text("utf-8")
    return list(csv.DictReader(io.StringIO(text)))


def test_npy_has_a_file_for_each_record_and_json_for_plain_values(view, tmp_path):
    done = export_datasets(Job(view), tmp_path / "out", "npy")
    assert done == (5, 2, 0)
    rows = index(tmp_path / "out")
    assert [(r["dataset"], r["number"], r["file"], r["shape"], r["dtype"]) for r in rows] == [
        ("a/b", "0", "a_b/000000.npy", "2", "float64"),
        ("a/b", "1", "a_b/000001.json", "", "dict"),
        *(("frame", str(i), f"frame/{i:06}.npy", "2x3", "uint16") for i in range(3)),
    ]
    assert [float(r["time"]) for r in rows if r["dataset"] == "frame"] == [
        (START + i * 10**9) / 1e9 for i in range(3)
    ]
    assert rows[0]["date"] == "2025-11-22T08:26:40.623456+00:00"
    for row in rows[2:]:
        assert np.load(tmp_path / "out" / row["file"]).tolist() == [[int(row["number"])] * 3] * 2
    assert json.loads((tmp_path / "out" / "a_b" / "000001.json").read_text("utf-8")) == {"gain": 2, "who": "Ada é"}  # fmt: skip


class Counting(MemoryStore):
    """Counts how often all times of a dataset are read."""

    looks = 0

    def dataset_times(self, name):
        self.looks += 1
        return super().dataset_times(name)


def test_many_records_are_not_looked_for_again_for_each(tmp_path):
    store = Counting()
    for i in range(50):
        store.append_array(START + i, "tiny", np.arange(3), None)
    assert export_datasets(Job(SessionView(store, "s")), tmp_path / "out", "npz").records == 50
    assert store.looks <= 3


def test_npz_has_a_file_for_each_dataset(view, tmp_path):
    export_datasets(Job(view), tmp_path / "out", "npz")
    with np.load(tmp_path / "out" / "frame.npz") as arrays:
        assert arrays["time"].tolist() == view.dataset_times("frame").tolist()
        assert arrays["000002"].dtype == np.uint16
        assert arrays["000002"].tolist() == [[2] * 3] * 2
    with np.load(tmp_path / "out" / "a_b.npz") as arrays:
        assert set(arrays.files) == {"000000", "000001.json", "time"}
    assert [r["file"] for r in index(tmp_path / "out")][:2] == ["a_b.npz:000000", "a_b.npz:000001.json"]  # fmt: skip


def test_names_and_a_window_restrict(view, tmp_path):
    since = (START + 10**9) / 1e9
    done = export_datasets(Job(view, ["frame"], since, since + 1), tmp_path / "out", "npy")
    assert done == (1, 1, 0)
    assert [p.name for p in (tmp_path / "out" / "frame").iterdir()] == ["000001.npy"]


@pytest.mark.parametrize("name", IMAGES)
def test_png_reads_back_as_it_was_with_pillow(tmp_path, name):
    image = pytest.importorskip("PIL.Image")
    array = IMAGES[name]
    path = tmp_path / "a.png"
    assert png.write(array, path) == (None, None)
    with image.open(path) as read:
        read.load()  # checks the checksums
        back = np.asarray(read)
    if array.ndim == 3 and array.dtype == np.uint16:
        back = back.astype(np.uint16) * 257  # Pillow has eight bits a colour only
        assert np.max(np.abs(back.astype(int) - array.astype(int))) <= 257
    else:
        assert back.tolist() == array.tolist()


def test_other_numbers_are_spread_from_black_to_white(tmp_path):
    image = pytest.importorskip("PIL.Image")
    array = np.array([[-1.5, 0.0], [np.nan, 2.5], [np.inf, -np.inf]])
    assert png.write(array, tmp_path / "a.png") == (-1.5, 2.5)
    with image.open(tmp_path / "a.png") as read:
        assert np.asarray(read).tolist() == [[0, round(1.5 / 4 * 65535)], [0, 65535], [65535, 0]]
    assert png.write(np.array([[True, False]]), tmp_path / "b.png") == (0.0, 1.0)
    assert png.write(np.full((2, 2), 7.0), tmp_path / "c.png") == (7.0, 8.0)


@pytest.mark.parametrize(
    "array", [np.zeros(3), np.zeros((2, 2, 5)), np.zeros((0, 3)), np.array([["a"]]), np.array(1.0), np.ones((2, 2), complex)]
)  # fmt: skip
def test_what_is_no_image_is_told(tmp_path, array):
    with pytest.raises(png.NotAnImageError, match="is no image"):
        png.write(array, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_records_that_are_no_images_stand_in_the_index_with_the_reason(view, tmp_path):
    done = export_datasets(Job(view), tmp_path / "out", "png")
    assert done == (4, 2, 1)
    (row,) = [r for r in index(tmp_path / "out") if not r["file"]]
    assert (row["dataset"], row["remark"]) == ("a/b", "an array of shape 2 is no image")


def test_tiff_keeps_every_number(view, tmp_path):
    tifffile = pytest.importorskip("tifffile")
    field = np.array([[1.5, np.nan], [-np.inf, 1e-300]])
    add_record(view, 5, "field", field)
    add_record(view, 6, "field", IMAGES["colours"])
    export_datasets(Job(view, ["field", "frame"]), tmp_path / "out", "tiff")
    assert repr(tifffile.imread(tmp_path / "out" / "field" / "000000.tiff").tolist()) == repr(field.tolist())  # fmt: skip
    assert tifffile.imread(tmp_path / "out" / "field" / "000001.tiff").tolist() == IMAGES["colours"].tolist()  # fmt: skip
    assert tifffile.imread(tmp_path / "out" / "frame" / "000001.tiff").dtype == np.uint16


def test_nothing_to_export_is_said_and_makes_no_folder(view, tmp_path):
    with pytest.raises(UsageError, match="no records of datasets"):
        export_datasets(Job(session(["T"], 1)), tmp_path / "out", "npy")
    with pytest.raises(NotFoundError, match="frame"):
        export_datasets(Job(view, ["frme"]), tmp_path / "out", "npy")
    with pytest.raises(UsageError, match="none of the records is an image"):
        export_datasets(Job(view, ["a/b"], until=(START + 10**9) / 1e9), tmp_path / "out", "png")
    assert list(tmp_path.iterdir()) == []
