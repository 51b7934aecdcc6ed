"""What clients send, read strictly: whatever it is, the answer is a refusal that helps, never a fault."""

from __future__ import annotations

import asyncio
import json
import math
from typing import TYPE_CHECKING, Any, TypeGuard

from aiohttp import web

from pymanip_run.web.failures import Refusal
from pymanip_run.web.history import PAGE, Asked

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = [
    "BODY",
    "asked",
    "is_number",
    "json_body",
    "known_names",
    "one_float",
    "text_item",
    "whole_body",
]

#: Bytes of a body.
BODY = 64 * 1024
#: Seconds for a body to come.
BODY_SECONDS = 10.0
MAX_POINTS = 10_000
MAX_NAMES = 1_000
AGGREGATES = ("minmax", "mean", "none")


async def whole_body(request: web.Request) -> bytes:
    """Return the body of a request.

    Raises
    ------
    Refusal
        If it is too large, or too slow.
    """
    if (request.content_length or 0) > BODY:
        raise _too_large()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError:
        raise Refusal(
            408, "too_slow", f"the body did not come within {BODY_SECONDS:.0f} s",
            "send it again", {"Connection": "close"},
        ) from None  # fmt: skip
    except web.HTTPRequestEntityTooLarge:
        raise _too_large() from None


async def json_body(request: web.Request) -> dict[str, Any]:
    """Return the JSON object in a request.

    Raises
    ------
    Refusal
        If it is none, too large, or too slow.
    """
    text = await whole_body(request)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise Refusal(
            400, "bad_json", "the body is no JSON", 'send an object, {"text": "…"}'
        ) from None
    if not isinstance(content, dict):
        raise Refusal(
            400, "bad_json", "the body is no JSON object", 'send an object, {"text": "…"}'
        )
    return content


def _too_large() -> Refusal:
    return Refusal(
        413, "too_large", f"a body may have {BODY // 1024} KiB", "send less",
        {"Connection": "close"},
    )  # fmt: skip


def text_item(content: dict[str, Any], key: str, limit: int, *, needed: bool = True) -> str | None:
    """Return a text of a body; None where it is missing and may be.

    Raises
    ------
    Refusal
        If it is none, or too long.
    """
    value = content.get(key)
    if value is None and not needed:
        return None
    if not isinstance(value, str) or not value.strip():
        raise Refusal(400, "bad_value", f"{key!r} must be a text", f'send {{"{key}": "…"}}')
    if len(value) > limit:
        raise Refusal(400, "bad_value", f"{key!r} has more than {limit} characters", "shorten it")
    return value


def is_number(value: object) -> TypeGuard[float]:
    """Tell whether an item of a body is a number; JSON also has integers beyond all floats."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    try:
        float(value)
    except OverflowError:
        return False
    return True


def one_float(
    request: web.Request, key: str, default: float, example: str = "1795359617.5"
) -> float:
    """Return a number of the query, finite or not; an example of one is told with a refusal.

    Raises
    ------
    Refusal
        If it is none.
    """
    text = request.query.get(key)
    if text is None or text == "":
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise Refusal(400, "bad_value", f"{key} must be a number", f"for example {key}={example}")
    return value


def asked(request: web.Request) -> Asked:
    """Return which series are asked for, and how.

    Raises
    ------
    Refusal
        If that makes no sense.
    """
    query = request.query
    names = tuple(dict.fromkeys(query.getall("name", [])))
    if len(names) > MAX_NAMES:
        raise Refusal(400, "too_many_names", f"at most {MAX_NAMES} names", "ask several times")
    agg = query.get("agg", "none")
    if agg not in AGGREGATES:
        raise Refusal(400, "bad_value", "agg must be minmax, mean or none", "agg=minmax")
    points = _count(query.get("points", "1000"), "points", MAX_POINTS)
    tail = query.get("tail")
    return Asked(
        names, one_float(request, "since", -math.inf), one_float(request, "until", math.inf),
        points, agg, None if tail is None else _count(tail, "tail", PAGE),
    )  # fmt: skip


def _count(text: str, key: str, most: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if not 1 <= value <= most:
        raise Refusal(400, "bad_value", f"{key} must be 1 to {most}", f"{key}=1000")
    return value


def known_names(names: Collection[str], there: Collection[str]) -> tuple[str, ...]:
    """Return the names that are asked for, all public ones where none is.

    Raises
    ------
    Refusal
        If one of them is not there.
    """
    from pymanip_run.errors import did_you_mean  # noqa: PLC0415

    if not names:
        return tuple(sorted(name for name in there if name[:1] != "_"))
    for name in names:
        if name not in there:
            raise Refusal(
                404, "no_such_variable", f"there is no variable {name[:100]!r}",
                did_you_mean(name[:100], there).removeprefix("; ") or "GET /api/v1/variables lists them",
            )  # fmt: skip
    return tuple(names)
