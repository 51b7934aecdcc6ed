"""The records of datasets as files in a folder, with an index that says which is which."""

from __future__ import annotations

import csv
import json
import zipfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pymanip_run.clock import iso_utc
from pymanip_run.errors import UsageError
from pymanip_run.export import png
from pymanip_run.export.names import distinct, file_name
from pymanip_run.export.npz import add_array
from pymanip_run.export.stamps import texts
from pymanip_run.export.targets import appearing_folder
from pymanip_run.lazily import need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from pymanip_run.export.job import Job

__all__ = ["INDEX", "ExportedRecords", "export_datasets"]

INDEX = "index.csv"
HEAD = (
    "dataset", "number", "time", "date", "file", "shape", "dtype", "unit", "black", "white", "remark",
)  # fmt: skip
EXTRA = "images"


class ExportedRecords(NamedTuple):
    """What was written."""

    records: int
    datasets: int
    #: Records that the format does not take; the index says why.
    left_out: int


class _Saved(NamedTuple):
    """Where a record is; no file where it was left out."""

    file: str
    scale: png.Scale = png.Scale()
    remark: str = ""


def export_datasets(job: Job, target: Path, to: str) -> ExportedRecords:
    """Write the records of datasets into the folder `target`, which appears when it is complete.

    Parameters
    ----------
    job
        The session, names of datasets (all when there are none), and a window in time; its zone is that
        of the column `date` of the index, UTC when there is none.
    to
        ``npy``: a file for each record; ``npz``: one for each dataset; ``png``, ``tiff``: an image for each
        record that is one. Plain values, such as texts and dicts, become JSON files.

    Raises
    ------
    NotFoundError
        If the session does not have one of the names.
    UsageError
        If there is nothing to export, the folder is not empty, or a library is missing.
    """
    names = list(dict.fromkeys(job.names)) or sorted(job.view.dataset_names())
    chosen = {name: _numbers(job, name) for name in names}
    total = sum(map(len, chosen.values()))
    if not total:
        raise UsageError(
            "the session has no records of datasets" + (" of that time" if names else "")
        )
    if to == "tiff":
        need("tifffile", EXTRA)
    done = left_out = 0
    with appearing_folder(target, replaces=INDEX) as part:
        for saved in _save(job, part, to, chosen):
            done, left_out = done + 1, left_out + (not saved.file)
            if job.progress is not None:
                job.progress(done / total)
        if left_out == done:
            raise UsageError(
                "none of the records is an image; --datasets npy writes arrays of any shape"
            )
    return ExportedRecords(done - left_out, len(names), left_out)


def _save(job: Job, part: Path, to: str, chosen: Mapping[str, list[int]]) -> Iterator[_Saved]:
    """Write records and index, and yield where each is."""
    stems = distinct(map(file_name, chosen), [INDEX], str.casefold)
    infos = job.view.datasets_info()
    with (part / INDEX).open("w", encoding="utf-8", newline="") as file:
        index = csv.writer(file, lineterminator="\n")
        index.writerow(HEAD)
        for (name, numbers), stem in zip(chosen.items(), stems, strict=True):
            # Of a run that goes on there may be more meanwhile.
            found = zip(numbers, job.view.datasets(name, job.since, job.until), strict=False)
            unit = infos[name].unit if name in infos else None
            with _saving(part, stem, to) as save:
                for number, (time, value) in found:
                    saved = save(number, time, value)
                    index.writerow([name, number, *_dates(time, job), *_row(value, saved, unit)])
                    yield saved


def _numbers(job: Job, name: str) -> list[int]:
    times = job.view.dataset_times(name)
    found: list[int] = np.flatnonzero((times >= job.since) & (times < job.until)).tolist()
    return found


def _dates(time: float, job: Job) -> tuple[str, str]:
    return repr(time), iso_utc(time) if job.zone is None else texts(np.array([time]), job.zone)[0]


def _row(value: Any, saved: _Saved, unit: str | None) -> list[str]:
    shape, dtype = "", type(value).__name__
    if isinstance(value, (np.ndarray, np.generic)):
        shape, dtype = "x".join(map(str, value.shape)), str(value.dtype)
    levels = ["" if level is None else repr(level) for level in saved.scale]
    return [saved.file, shape, dtype, unit or "", *levels, saved.remark]


@contextmanager
def _saving(part: Path, stem: str, to: str) -> Iterator[Callable[[int, float, Any], _Saved]]:
    """Give what saves a record of one dataset."""
    if to != "npz":
        folder = part / stem
        folder.mkdir()

        def save(number: int, _: float, value: Any) -> _Saved:
            saved = _WRITERS[to](value, folder / f"{number:06}")
            return saved._replace(file=f"{stem}/{saved.file}" if saved.file else "")

        yield save
        return
    times: list[float] = []
    path = part / f"{stem}.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:

        def add(number: int, time: float, value: Any) -> _Saved:
            key = f"{number:06}"
            if not _is_array(value):
                archive.writestr(f"{key}.json", _plain(value))
                return _Saved(f"{path.name}:{key}.json")
            add_array(archive, key, np.asarray(value))
            times.append(time)
            return _Saved(f"{path.name}:{key}")

        yield add
        add_array(archive, "time", np.array(times))


def _is_array(value: Any) -> bool:
    return isinstance(value, (np.ndarray, np.generic)) and not value.dtype.hasobject


def _plain(value: Any) -> str:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return json.dumps(value, ensure_ascii=False, default=repr) + "\n"


def _other(value: Any, path: Path) -> _Saved:
    """Save what is no array."""
    made = path.with_suffix(".json")
    made.write_text(_plain(value), "utf-8", "backslashreplace")
    return _Saved(made.name)


def _npy(value: Any, path: Path) -> _Saved:
    if not _is_array(value):
        return _other(value, path)
    made = path.with_suffix(".npy")
    np.save(made, np.asarray(value), allow_pickle=False)
    return _Saved(made.name)


def _png(value: Any, path: Path) -> _Saved:
    if not _is_array(value):
        return _other(value, path)
    made = path.with_suffix(".png")
    try:
        return _Saved(made.name, png.write(np.asarray(value), made))
    except png.NotAnImageError as error:
        return _Saved("", remark=str(error))


def _tiff(value: Any, path: Path) -> _Saved:
    if not _is_array(value):
        return _other(value, path)
    array: NDArray[Any] = np.asarray(value)
    if array.ndim < 2 or not array.size or array.dtype.kind not in "biuf":
        shape = "x".join(map(str, array.shape))
        return _Saved("", remark=f"an array of shape ({shape}) of {array.dtype} is no image")
    made = path.with_suffix(".tiff")
    kind = "rgb" if array.ndim == 3 and array.shape[2] in {3, 4} else "minisblack"
    need("tifffile", EXTRA).imwrite(made, np.ascontiguousarray(array), photometric=kind)
    return _Saved(made.name)


_WRITERS: dict[str, Callable[[Any, Path], _Saved]] = {"npy": _npy, "png": _png, "tiff": _tiff}
