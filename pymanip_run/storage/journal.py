"""The journal: what was recorded, as framed records, each written by one system call.

A record is little endian::

    magic (4 bytes) | u32 length | u64 sequence | u32 crc32(length, sequence, body) | body

and its body begins with one byte for its kind:

====  ==========  ==============================================================================
kind  name        payload
====  ==========  ==============================================================================
0     header      JSON: format, version, session_uuid, segment
1     row-set     u32 id, JSON list of names
2     row         u32 row-set id, i64 ns, one f64 for each name
3     parameter   JSON: ns, name, value, unit
4     metadata    JSON: ns, name, value
5     attributes  JSON: ns, name, attributes
6     event       JSON: ns, kind, source, text
7     run         JSON: ns, index, attributes, texts
8     array       u32 n, JSON of n bytes (ns, name, dtype, shape, python_type, id, parts), raw bytes
9     array part  u64 array id, u32 number, raw bytes
10    point       JSON: run, ns, start_ns, sweep, number, state, value, result
====  ==========  ==============================================================================

Large arrays come as parts followed by an array record without raw bytes, so that rows of other
tasks pass between them; an array counts from its array record on. That record has the place of each
part (segment, offset, length of the raw bytes), so a reader that began between them goes back; an
id without parts says that the array was given up.

A row-set is defined again in each block of 1 MiB in which it occurs, so a reader may begin in the
middle of a segment by looking back to the start of the block, and a damaged definition costs little.
"""

from __future__ import annotations

import json
import struct
from binascii import crc32
from typing import Any, Final, NamedTuple

__all__ = [
    "BLOCK",
    "HEAD",
    "MAGIC",
    "MAX_BODY",
    "PART",
    "PART_HEAD",
    "SEGMENT",
    "Kind",
    "Position",
    "dump_json",
    "frame",
    "valid_body",
]

MAGIC: Final = b"\xf1PMJ"
JOURNAL_FORMAT: Final = "pymanip-run journal"
JOURNAL_VERSION: Final = 1

HEAD: Final = struct.Struct("<4sIQI")
CHECKED: Final = struct.Struct("<IQ")
PART_HEAD: Final = struct.Struct("<BQI")

BLOCK: Final = 1 << 20
SEGMENT: Final = 64 << 20
PART: Final = 1 << 20
MAX_BODY: Final = (1 << 32) - 1


class Kind:
    """The first byte of a body."""

    HEADER = 0
    ROW_SET = 1
    ROW = 2
    PARAMETER = 3
    METADATA = 4
    ATTRIBUTES = 5
    EVENT = 6
    RUN = 7
    ARRAY = 8
    ARRAY_PART = 9
    POINT = 10


class Position(NamedTuple):
    """A place in the journal: between two records of a segment."""

    segment: int
    offset: int


def frame(sequence: int, body: bytes) -> bytes:
    """Return `body` as one record."""
    length = len(body)
    check = crc32(body, crc32(CHECKED.pack(length, sequence)))
    return HEAD.pack(MAGIC, length, sequence, check) + body


def frame_head(sequence: int, parts: tuple[bytes | memoryview, ...]) -> bytes:
    """Return the head of a record whose body is `parts`, which are not copied."""
    length = sum(len(part) for part in parts)
    check = crc32(CHECKED.pack(length, sequence))
    for part in parts:
        check = crc32(part, check)
    return HEAD.pack(MAGIC, length, sequence, check)


def valid_body(head: tuple[bytes, int, int, int], body: bytes | memoryview) -> bool:
    """Tell whether a record's magic, length and checksum are right."""
    magic, length, sequence, check = head
    return (
        magic == MAGIC
        and length == len(body)
        and length > 0
        and crc32(body, crc32(CHECKED.pack(length, sequence))) == check
    )


def dump_json(value: Any) -> bytes:
    """Return JSON in UTF-8; NaN and the infinities as Python and ECMAScript spell them."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )


def load_json(data: bytes | memoryview) -> Any:
    """Return what :func:`dump_json` wrote."""
    return json.loads(bytes(data).decode("utf-8", "surrogatepass"))


def json_body(kind: int, **content: Any) -> bytes:
    """Return a body of JSON."""
    return bytes((kind,)) + dump_json(content)


def header_body(uuid: str, segment: int) -> bytes:
    """Return the body of the first record of a segment."""
    return json_body(
        Kind.HEADER,
        format=JOURNAL_FORMAT,
        version=JOURNAL_VERSION,
        session_uuid=uuid,
        segment=segment,
    )


def row_set_body(number: int, names: tuple[str, ...]) -> bytes:
    """Return the definition of a row-set."""
    return bytes((Kind.ROW_SET,)) + struct.pack("<I", number) + dump_json(names)


def row_struct(count: int) -> struct.Struct:
    """Return the layout of a row's body for `count` names: kind, row-set id, ns, values."""
    return struct.Struct(f"<BIq{count}d")


def array_head(content: dict[str, Any]) -> bytes:
    """Return what precedes the raw bytes in the body of an array."""
    described = dump_json(content)
    return bytes((Kind.ARRAY,)) + len(described).to_bytes(4, "little") + described
