"""What the bodies of the journal's records mean: JSON contents, dtypes, arrays."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from pymanip_run.errors import DamagedFileError, NewerFormatError
from pymanip_run.records import POINT_STATES, Event, Parameter, SweepPoint
from pymanip_run.storage import journal
from pymanip_run.storage.batch import ArrayRecord
from pymanip_run.storage.journal import HEAD, MAGIC, Kind
from pymanip_run.storage.untrusted import check_nesting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from pymanip_run.storage.batch import Batch

__all__ = [
    "add_array",
    "apply_content",
    "array_content",
    "as_array",
    "bodies",
    "check_header",
    "check_kind",
    "check_row_set",
    "decode_dtype",
    "encode_dtype",
]


MAX_NAME_BYTES = 255
MAX_RUNS = 1_000_000
#: Bytes that are checked in the search for the next record after damage, for each byte there is.
RESYNC = 4


def encode_dtype(dtype: np.dtype[Any]) -> Any:
    """Return a dtype as JSON can hold it."""
    return np.lib.format.dtype_to_descr(dtype)


def decode_dtype(description: Any) -> np.dtype[Any]:
    """Return what :func:`encode_dtype` wrote."""

    def with_tuples(item: Any) -> Any:
        if isinstance(item, list):
            return [
                tuple(tuple(x) if i == 2 else with_tuples(x) for i, x in enumerate(f)) for f in item
            ]
        return item

    return np.lib.format.descr_to_dtype(with_tuples(description))


def add_array(
    batch: Batch, content: dict[str, Any], load: Callable[[], NDArray[Any] | str], nbytes: int
) -> None:
    """Add a dataset's record to a batch."""
    dtype, shape, python_type = content["dtype"], content["shape"], content["python_type"]
    _check(_is_name(content["name"]) and _is_time(content["ns"]), "name or time")
    _check(python_type is None or type(python_type) is str, "type")
    _check(all(type(n) is int and n >= 0 for n in shape), "shape")
    if dtype == "text":
        shown = "str"
        _check(not shape, "shape")
    else:
        decoded = decode_dtype(dtype)
        _check(not decoded.hasobject and decoded.itemsize > 0, "dtype")
        # In Python's integers, which do not overflow.
        _check(math.prod(shape) * decoded.itemsize == nbytes, "size")
        shown = str(decoded)
    record = ArrayRecord(content["ns"], shown, tuple(shape), python_type, nbytes, load)
    batch.arrays.setdefault(content["name"], []).append(record)


def apply_content(batch: Batch, kind: int, content: dict[str, Any], uuid: str = "") -> None:
    """Add a record whose body is JSON to a batch."""
    match kind:
        case Kind.HEADER:
            check_header(content, uuid)
        case Kind.PARAMETER:
            _check(_is_name(content["name"]) and _is_time(content["ns"]), "name or time")
            _check(isinstance(content["value"], (int, float, str)), "value")
            _check(_is_text_or_none(content.get("unit")), "unit")
            batch.parameters[content["name"]] = Parameter(
                content["value"], content["ns"], content.get("unit")
            )
        case Kind.METADATA:
            _check(_is_name(content["name"]), "name")
            _check(_is_shallow(content["value"]), "depth")
            batch.metadata[content["name"]] = content["value"]
        case Kind.ATTRIBUTES:
            _check(_is_name(content["name"]), "name")
            _check(_are_attributes(content["attributes"]), "attribute")
            batch.put_attributes(content["name"], content["attributes"])
        case Kind.EVENT:
            texts = content["kind"], content["source"], content["text"]
            _check(_is_time(content["ns"]) and all(type(t) is str for t in texts), "event")
            batch.events.append(
                Event(content["ns"], content["kind"], content["source"], content["text"])
            )
        case Kind.RUN:
            _check(type(content["index"]) is int and 0 <= content["index"] < MAX_RUNS, "index")
            _check(_are_attributes(content["attributes"]), "attribute")
            _check(all(type(text) is str for text in content["texts"].values()), "text")
            batch.put_run(content["index"], content["attributes"], content["texts"])
        case Kind.POINT:
            run = content.pop("run")
            _check(type(run) is int and 0 <= run < MAX_RUNS, "run")
            batch.points.setdefault(run, []).append(_checked_point(SweepPoint(**content)))
        case _:
            check_kind(kind)


def check_kind(kind: int) -> None:
    """Refuse a record of a kind that is not known, whatever its body is.

    Raises
    ------
    NewerFormatError
        If it is so.
    """
    if not Kind.HEADER <= kind <= Kind.POINT:
        raise NewerFormatError(
            f"the journal has records of kind {kind}, which this version does not know: "
            "install a newer one (pip install -U pymanip-run)"
        )


def _checked_point(point: SweepPoint) -> SweepPoint:
    _check(_is_name(point.sweep) and _is_time(point.number) and point.number >= 0, "point")
    _check(_is_time(point.ns) and _is_time(point.start_ns), "time")
    _check(point.state in POINT_STATES, "state")
    _check(type(point.value) is str and type(point.result) is str, "value or result")
    return point


def check_row_set(names: Any) -> tuple[str, ...]:
    """Return the names of a row-set.

    Raises
    ------
    ValueError
        If they are none.
    """
    _check(isinstance(names, list) and all(map(_is_name, names)), "name")
    _check(len(set(names)) == len(names), "name")
    return tuple(names)


def _check(right: bool, what: str) -> None:
    if not right:
        raise ValueError(f"a record with a wrong {what}")


def _is_name(name: Any) -> bool:
    return type(name) is str and 0 < len(name.encode()) <= MAX_NAME_BYTES


def _is_shallow(value: Any) -> bool:
    try:
        check_nesting(value)
    except DamagedFileError:
        return False
    return True


def _is_time(ns: Any) -> bool:
    return type(ns) is int and -(2**63) <= ns < 2**63


def _is_text_or_none(value: Any) -> bool:
    return value is None or type(value) is str


def _are_attributes(attributes: Any) -> bool:
    return isinstance(attributes, dict) and all(
        value is None
        or isinstance(value, (str, bool))
        or (isinstance(value, (int, float)) and -(2**63) <= value < 2**63)
        or value != value  # noqa: PLR0124 - NaN
        for value in attributes.values()
    )


def check_header(content: dict[str, Any], uuid: str) -> None:
    """Refuse a segment of a newer format.

    Raises
    ------
    NewerFormatError
        If a newer version wrote it.
    DamagedFileError
        If it belongs to another session.
    """
    if content.get("version", 0) > journal.JOURNAL_VERSION:
        raise NewerFormatError(
            f"the journal was written in format {content['version']}, this version reads up to {journal.JOURNAL_VERSION}"
        )
    if uuid and content.get("session_uuid") != uuid:
        raise DamagedFileError(
            "the journal beside the file belongs to another session; move it elsewhere"
        )


def as_array(raw: bytearray, dtype: Any, shape: list[int]) -> NDArray[Any] | str:
    """Return the bytes of a record as the array or text that they are."""
    if dtype == "text":
        return raw.decode("utf-8", "surrogatepass")
    if not raw:
        return np.empty(shape, decode_dtype(dtype))
    return np.frombuffer(raw, decode_dtype(dtype)).reshape(shape)


def array_content(body: memoryview) -> tuple[dict[str, Any], int]:
    """Return the description in an array record, and its length."""
    size = int.from_bytes(body[1:5], "little")
    return journal.load_json(body[5 : 5 + size]), size


def bodies(data: bytes) -> Iterator[tuple[int, memoryview]]:
    """Iterate over kind and body of the valid records in a stretch of a segment, whatever is between them."""
    view, offset = memoryview(data), data.find(MAGIC)
    # Where everything looks like the head of a long record, checking them all would never end.
    budget = RESYNC * len(data)
    while 0 <= offset <= len(data) - HEAD.size and budget > 0:
        head = HEAD.unpack_from(data, offset)
        stop = offset + HEAD.size + head[1]
        body = view[offset + HEAD.size : stop]
        if stop <= len(data) and journal.valid_body(head, body):
            yield body[0], body
            offset = stop if data.startswith(MAGIC, stop) else data.find(MAGIC, stop)
        else:
            budget -= len(body)
            offset = data.find(MAGIC, offset + 1)
