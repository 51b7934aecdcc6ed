"""Types of the values of an experiment file: each accepts what people write and says what is wrong."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from pymanip_run.experiment.text.scalars import as_written
from pymanip_run.units import DURATION_PATTERN, SIZE_PATTERN, parse_duration, parse_size

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic.config import JsonDict
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

__all__ = [
    "ALSO_ONE",
    "FREE_KEYS",
    "MAX_POINTS",
    "ONE_OR_MANY",
    "PLACED",
    "AlsoAccepts",
    "Count",
    "Duration",
    "Name",
    "NaturalNumber",
    "Number",
    "NumberFormat",
    "OtherPort",
    "Period",
    "PlainScalar",
    "PointCount",
    "Port",
    "Size",
    "Strict",
    "Structured",
]

#: The type of errors that know their place within a text: `column` in their context, from 0.
PLACED = "placed"
_EXAMPLES = "write for example 250ms, 10s, 2h30m or 1.5d"
#: Seconds: what is shorter no computer keeps, what is longer no experiment lasts.
SHORTEST, LONGEST = 1e-6, 100 * 365.25 * 86400


#: Of a sweep.
MAX_POINTS = 10_000_000
#: In the JSON schema of each mapping.
FREE_KEYS: JsonDict = {"patternProperties": {"^x-": {}}}


class Strict(BaseModel):
    """A mapping with known keys; those that begin with ``x-`` are free, for anchors."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        json_schema_extra=FREE_KEYS,
    )

    @model_validator(mode="before")
    @classmethod
    def _without_free_keys(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return {key: value for key, value in data.items() if not str(key).startswith("x-")}
        return data


@dataclass(frozen=True, eq=False)
class AlsoAccepts:
    """Adds a short form to the JSON schema of a field; a validator before it makes the long form."""

    schema: dict[str, Any]
    #: Put the long form's schema under this key of a copy of `schema`, for a list of it.
    long_form_under: str | None = None

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return a schema that takes both forms."""
        long_form = handler(core)
        short = dict(self.schema)
        if self.long_form_under is not None:
            one = {**long_form, "maxProperties": 1}
            short[self.long_form_under] = {"anyOf": [{"type": "string"}, one]}
        return {"anyOf": [short, long_form]}


@dataclass(frozen=True, eq=False)
class _AlsoOne:
    """Adds an item by itself to the JSON schema of a list."""

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return a schema that takes both forms."""
        many = handler(core)
        return {"anyOf": [many["items"], many]}


def _listed(value: Any) -> Any:
    return value if value is None or isinstance(value, list) else [value]


#: Together before a list: one item by itself stands for a list of it.
ONE_OR_MANY = BeforeValidator(_listed)
ALSO_ONE = _AlsoOne()


def _duration(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"{as_written(value)} is not a duration; {_EXAMPLES}")  # noqa: TRY004 - pydantic's contract
    if isinstance(value, str) and not value.strip():
        raise ValueError(f"a duration is missing; {_EXAMPLES}")
    seconds = parse_duration(value)
    if seconds > LONGEST:
        raise ValueError(f"{value} is more than a hundred years")
    return seconds


def _more_than_zero(value: float) -> float:
    if value <= 0:
        raise ValueError("must be more than 0")
    if value < SHORTEST:
        raise ValueError("must be at least 1us")
    return value


def _duration_schema(**limit: int) -> WithJsonSchema:
    pattern = DURATION_PATTERN
    if "exclusiveMinimum" in limit:
        pattern = f"^(?=.*[1-9]){pattern.removeprefix('^')}"
    text = {"type": "string", "pattern": pattern}
    examples = ["250ms", "10s", "2h30m", "1.5d", "PT10S", 10]
    return WithJsonSchema({"anyOf": [{"type": "number", **limit}, text], "examples": examples})


#: Seconds, written as a number or as a text such as 2h30m.
Duration = Annotated[float, BeforeValidator(_duration), _duration_schema(minimum=0)]
#: A duration that is not 0.
Period = Annotated[
    float,
    BeforeValidator(_duration),
    AfterValidator(_more_than_zero),
    _duration_schema(exclusiveMinimum=0),
]


def _count(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"\+?[0-9]+(_[0-9]+)*", value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"a whole number is needed, not {as_written(value)}")  # noqa: TRY004 - pydantic's contract
    return value


_WHOLE = {"type": "string", "pattern": "^[+]?[0-9]+(_[0-9]+)*$"}
#: How many: 1 or more, also written as 10_000.
Count = Annotated[
    int,
    BeforeValidator(_count),
    Field(ge=1),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 1}, _WHOLE], "examples": [11, "10_000"]}
    ),
]
#: How many points along an axis: nobody waits for more.
PointCount = Annotated[Count, Field(le=MAX_POINTS)]
#: How many: 0 or more.
NaturalNumber = Annotated[
    int,
    BeforeValidator(_count),
    Field(ge=0),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, _WHOLE]}),
]


def _port_schema(minimum: int) -> WithJsonSchema:
    number = {"type": "integer", "minimum": minimum, "maximum": 65535}
    return WithJsonSchema({"anyOf": [number, _WHOLE]})


#: A TCP port of our own; 0 is any free one.
Port = Annotated[int, BeforeValidator(_count), Field(ge=0, le=65535), _port_schema(0)]
#: A TCP port of another program.
OtherPort = Annotated[int, BeforeValidator(_count), Field(ge=1, le=65535), _port_schema(1)]


def _size(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise ValueError(f"{as_written(value)} is not a size; write for example 2GB or 512MiB")  # noqa: TRY004 - pydantic's contract
    return parse_size(value)


#: Bytes, written as a number or as a text such as 2GB or 512MiB.
Size = Annotated[
    int,
    BeforeValidator(_size),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": SIZE_PATTERN}],
         "examples": ["2GB", "512MiB"]}
    ),
]  # fmt: skip


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"a finite number is needed, not {as_written(value)}")
    return value


#: A finite number.
Number = Annotated[float, AfterValidator(_finite)]


def _plain_scalar(value: Any) -> Any:
    if value is None or isinstance(value, (dict, list)):
        raise ValueError(f"a number, true, false or a text is needed, not {as_written(value)}")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(f"{as_written(value)} does not fit into 64 bits")
    return value


#: What a parameter can be.
PlainScalar = Annotated[
    Any, AfterValidator(_plain_scalar), WithJsonSchema({"type": ["number", "boolean", "string"]})
]


def _without_nan(value: Any) -> Any:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        _without_nan(one)
    if isinstance(value, float) and math.isnan(value):
        raise ValueError(".nan cannot be stored here")
    return value


#: Whatever JSON holds.
Structured = Annotated[Any, AfterValidator(_without_nan)]


def _name(value: str) -> str:
    if value.isascii() and value.isidentifier() and len(value) < 100:
        return value
    # Imports numpy, which is more than a quick check of a file needs.
    from pymanip_run.records import check_name  # noqa: PLC0415

    return check_name(value, "stored")


#: A name that a session can store.
Name = Annotated[str, AfterValidator(_name)]


def _number_format(value: str) -> str:
    try:
        format(1.0, value)
    except ValueError:
        raise ValueError(
            f"{value!r} is not a format of numbers; write for example .3f, .2e or g"
        ) from None
    return value


#: How a number is shown, as in Python's format().
NumberFormat = Annotated[str, AfterValidator(_number_format)]
