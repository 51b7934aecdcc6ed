"""What is checked before a session file is read, for it may come from anywhere.

HDF5 believes what a file says of itself: where data are, how large they are, which filter undoes
which. Nothing here limits what a session may hold; a file only must have the bytes that it promises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from pymanip_run.errors import DamagedFileError

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = [
    "Budget",
    "attribute",
    "check_dataset",
    "check_nesting",
    "check_scalar",
    "check_series",
    "check_stored",
    "check_table",
    "check_texts",
    "plain_attributes",
]

#: The filters of a compacted session. Any other one HDF5 would look for among plugins.
FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
#: Deflate makes at most 1032 bytes of one (zlib technical details); rounded up for the checksums.
RATIO = 1040
#: A chunk comes out of its filters as a whole. Ours are at most 1 MiB.
FILTERED_CHUNK = 16 << 20
#: So much may be read without counting a dataset's chunks, which takes long where there are millions.
FREE = 256 << 20
SMALL = 1 << 20
#: Of metadata; half of what Python's recursion allows to the functions that show it.
NESTING = 200


def check_dataset(item: Any, name: str) -> None:
    """Refuse a dataset whose data are not in the file, or come out of it by unknown means.

    Raises
    ------
    DamagedFileError
        If it is so.
    """
    settings = item.id.get_create_plist()
    if settings.get_external_count() or settings.get_layout() == h5py.h5d.VIRTUAL:
        raise DamagedFileError(
            f"the data of {name!r} are outside the file; a session has none such"
        )
    count = settings.get_nfilters()
    if not count:
        return
    filters = [settings.get_filter(i)[0] for i in range(count)] if count <= len(FILTERS) else []
    if len(set(filters) & FILTERS) != count:
        raise DamagedFileError(f"{name!r} has a filter that a session has not")
    chunk = int(np.prod(settings.get_chunk(), dtype=object)) * item.id.get_type().get_size()
    if chunk > FILTERED_CHUNK:
        raise DamagedFileError(f"{name!r} has compressed chunks of {chunk} bytes")


def check_stored(item: Any, size: int, free: int = FREE) -> None:
    """Refuse to read `size` bytes from a dataset that cannot have so many; up to `free` is not looked at.

    Raises
    ------
    DamagedFileError
        If the file promises more than it has.
    """
    if size <= free:
        return
    there = min(int(item.id.get_storage_size()), _file_size(item))
    if item.id.get_create_plist().get_nfilters():
        there *= RATIO
    if size > there:
        raise DamagedFileError(
            f"{item.name!r} promises {size} bytes, and the file has {there} of them at most"
        )


def _file_size(item: Any) -> int:
    return int(h5py.h5i.get_file_id(item.id).get_filesize())


def check_series(item: Any) -> None:
    """Refuse what is not one column of numbers.

    Raises
    ------
    DamagedFileError
        If it is not.
    """
    if item.id.rank != 1 or item.dtype.kind != "f":
        raise DamagedFileError(f"{item.name!r} is no column of numbers")


def check_table(item: Any, dtype: np.dtype[Any]) -> None:
    """Refuse what is not a table with these columns, or is longer than what is stored of it.

    Raises
    ------
    DamagedFileError
        If it is so.
    """
    if item.id.rank != 1 or item.dtype != dtype:
        raise DamagedFileError(f"{item.name!r} is not the table that a session has")
    settings = item.id.get_create_plist()
    if settings.get_nfilters() or settings.get_layout() != h5py.h5d.CHUNKED:
        raise DamagedFileError(f"{item.name!r} is not stored as in a session")
    columns = _stored_columns(dtype)
    check_stored(item, item.shape[0] * columns.itemsize, SMALL)
    _count_texts(item, columns)


def check_texts(item: Any) -> None:
    """Refuse a column of texts that together are longer than the file.

    Raises
    ------
    DamagedFileError
        If they are.
    """
    columns = np.dtype([("text", _TEXT)])
    settings = item.id.get_create_plist()
    if item.id.rank != 1 or settings.get_nfilters() or not item.chunks:
        raise DamagedFileError(f"{item.name!r} is not stored as in a session")
    check_stored(item, item.shape[0] * columns.itemsize, SMALL)
    _count_texts(item, columns)


#: A text of any length, as it is in the file: length, address, index (HDF5 File Format 3.0, VIII.A).
_TEXT = np.dtype([("length", "<u4"), ("address", "<u8"), ("index", "<u4")])


def _stored_columns(dtype: np.dtype[Any]) -> np.dtype[Any]:
    columns = {name: kind for name, (kind, *_) in (dtype.fields or {}).items()}
    return np.dtype([(n, _TEXT if kind.hasobject else kind.str) for n, kind in columns.items()])


def _count_texts(item: Any, columns: np.dtype[Any]) -> None:
    texts = [name for name in columns.names or () if columns[name] == _TEXT]
    if not texts:
        return
    total, limit, rows = 0, _file_size(item), item.chunks[0]
    for start in range(0, item.shape[0], rows):
        _, raw = item.id.read_direct_chunk((start,))
        if len(raw) != rows * columns.itemsize:
            raise DamagedFileError(f"{item.name!r} is not stored as in a session")
        part = np.frombuffer(raw, columns, min(rows, item.shape[0] - start))
        total += sum(int(part[name]["length"].sum(dtype=np.uint64)) for name in texts)
        if total > limit:
            raise DamagedFileError(f"the texts of {item.name!r} are longer than the file")


def check_scalar(item: Any) -> None:
    """Refuse what is not one number or one text.

    Raises
    ------
    DamagedFileError
        If it is not.
    """
    if item.id.rank or item.id.get_space().get_simple_extent_type() != h5py.h5s.SCALAR:
        raise DamagedFileError(f"{item.name!r} is not a single value")
    _check_plain(item.name, item.dtype)
    check_stored(item, item.id.get_type().get_size(), SMALL)


def _check_plain(name: str, dtype: np.dtype[Any]) -> None:
    if h5py.check_string_dtype(dtype) is None and dtype.kind not in "biufcS":
        raise DamagedFileError(f"{name!r} is neither a number nor a text")


def attribute(item: Any, name: str, default: Any = None, *, length: int | None = None) -> Any:
    """Return an attribute that is one number or text, or an array of `length` numbers.

    Raises
    ------
    DamagedFileError
        If it is anything else.
    """
    key = name.encode()
    if not h5py.h5a.exists(item.id, key):
        return default
    found = h5py.h5a.open(item.id, key)
    if found.shape != (() if length is None else (length,)):
        raise DamagedFileError(f"the attribute {name!r} of {item.name!r} is not a single value")
    dtype = found.dtype
    _check_plain(name, dtype)
    value = np.zeros(found.shape, dtype)
    found.read(value)
    return value if length else value[()]


def plain_attributes(item: Any, but: Collection[str] = ()) -> dict[str, Any]:
    """Return all attributes `but` some, which are numbers and texts, one or many.

    Raises
    ------
    DamagedFileError
        If there are others, such as references.
    """
    found = {}
    for name in set(item.attrs) - set(but):
        one = h5py.h5a.open(item.id, name.encode())
        _check_plain(name, one.dtype.base)
        if one.dtype.hasobject and one.shape not in ((), (1,)):
            raise DamagedFileError(f"the attribute {name!r} of {item.name!r} is not a single text")
        found[name] = item.attrs[name]
    return found


def check_nesting(value: Any) -> Any:
    """Return what JSON said, if it can be walked through by recursion.

    Raises
    ------
    DamagedFileError
        If it is nested deeper than that.
    """
    level = [value]
    for _ in range(NESTING):
        level = [
            item
            for one in level
            if isinstance(one, (dict, list))
            for item in (one.values() if isinstance(one, dict) else one)
            if isinstance(item, (dict, list))
        ]
        if not level:
            return value
    raise DamagedFileError(f"a metadata item is nested more than {NESTING} deep")


class Budget:
    """Counts texts that are read, which together cannot be longer than the file they are in."""

    def __init__(self, item: Any) -> None:
        self._left = _file_size(item)

    def take(self, value: Any) -> Any:
        """Return `value`, counted.

        Raises
        ------
        DamagedFileError
            If texts of the file are longer than the file.
        """
        if isinstance(value, (str, bytes)):
            self._left -= len(value)
            if self._left < 0:
                raise DamagedFileError("its texts are longer than the file: many names share one")
        return value
