"""What the bodies of the journal's records mean: JSON contents, dtypes, arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pymanip_run.errors import DamagedFileError, NewerFormatError
from pymanip_run.records import Event, Parameter
from pymanip_run.storage import journal
from pymanip_run.storage.batch import ArrayRecord
from pymanip_run.storage.journal import HEAD, MAGIC, Kind

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
    "decode_dtype",
    "encode_dtype",
]


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
    dtype = content["dtype"]
    shown = "str" if dtype == "text" else str(decode_dtype(dtype))
    record = ArrayRecord(
        content["ns"], shown, tuple(content["shape"]), content["python_type"], nbytes, load
    )
    batch.arrays.setdefault(content["name"], []).append(record)


def apply_content(batch: Batch, kind: int, content: dict[str, Any], uuid: str = "") -> None:
    """Add a record whose body is JSON to a batch."""
    match kind:
        case Kind.HEADER:
            check_header(content, uuid)
        case Kind.PARAMETER:
            batch.parameters[content["name"]] = Parameter(
                content["value"], content["ns"], content.get("unit")
            )
        case Kind.METADATA:
            batch.metadata[content["name"]] = content["value"]
        case Kind.ATTRIBUTES:
            batch.put_attributes(content["name"], content["attributes"])
        case Kind.EVENT:
            batch.events.append(
                Event(content["ns"], content["kind"], content["source"], content["text"])
            )
        case Kind.RUN:
            batch.put_run(content["index"], content["attributes"], content["texts"])
        case _:
            raise NewerFormatError(
                f"the journal has records of kind {kind}, which this version does not know"
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
    while 0 <= offset <= len(data) - HEAD.size:
        head = HEAD.unpack_from(data, offset)
        stop = offset + HEAD.size + head[1]
        body = view[offset + HEAD.size : stop]
        if stop <= len(data) and journal.valid_body(head, body):
            yield body[0], body
            offset = stop if data.startswith(MAGIC, stop) else data.find(MAGIC, stop)
        else:
            offset = data.find(MAGIC, offset + 1)
