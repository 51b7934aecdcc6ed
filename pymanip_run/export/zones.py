"""Zones and moments as people write them."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING

from pymanip_run.errors import UsageError, did_you_mean
from pymanip_run.records import as_timestamp
from pymanip_run.units import parse_duration

if TYPE_CHECKING:
    from pymanip_run.core.view import SessionView

__all__ = ["moment", "zone_name", "zone_of"]

_OFFSET = re.compile(r"([+-])(\d{2}):?(\d{2})")


class _Local(tzinfo):
    """The zone of this computer, also where it has no name."""

    def fromutc(self, dt: datetime) -> datetime:
        return dt.replace(tzinfo=UTC).astimezone()

    def utcoffset(self, dt: datetime | None) -> timedelta | None:
        return None if dt is None else dt.replace(tzinfo=None).astimezone().utcoffset()

    def dst(self, dt: datetime | None) -> timedelta | None:
        del dt
        return None

    def tzname(self, dt: datetime | None) -> str:
        del dt
        return "local"


def zone_of(text: str) -> tzinfo:
    """Return the zone of a name of the IANA database, ``UTC``, ``local`` or an offset such as ``+01:00``.

    Raises
    ------
    UsageError
        If there is none such; the message offers the nearest.
    """
    from zoneinfo import ZoneInfo, available_timezones  # noqa: PLC0415 - for this only

    if text.upper() in {"UTC", "Z"}:
        return UTC
    if text.lower() == "local":
        return _Local()
    if offset := _OFFSET.fullmatch(text):
        hours, minutes = int(offset[2]), int(offset[3])
        if hours < 24 and minutes < 60:
            delta = timedelta(hours=hours, minutes=minutes)
            return timezone(-delta if offset[1] == "-" else delta)
    try:
        return ZoneInfo(text)
    except (ValueError, OSError, LookupError):
        pass
    known = available_timezones()
    cities = {name.rsplit("/", 1)[-1]: name for name in known}
    hint = did_you_mean(text, known) or (
        f"; did you mean {cities[text]!r}?" if text in cities else ""
    )
    raise UsageError(
        f"{text!r} is no time zone{hint or '; write for example Europe/Paris, +01:00, UTC or local'}"
    )


def zone_name(zone: tzinfo) -> str:
    """Return how other programs call a zone; UTC for one without a name."""
    if isinstance(zone, _Local) or zone is UTC:
        return "UTC"
    return str(zone).removeprefix("UTC") or "UTC"


def moment(text: str, view: SessionView) -> float:
    """Return a moment in Unix seconds: a number, ISO 8601, ``-2h`` before the last value, or ``start+10min``.

    Raises
    ------
    ValueError
        If it is none.
    """
    word = text.strip()
    with suppress(ValueError):
        if not math.isnan(number := float(word)):
            return number
    name, sign, duration = _relative(word)
    if name == "start":
        return _begin(view) + sign * parse_duration(duration or "0")
    if name == "end":
        return _end(view) + sign * parse_duration(duration or "0")
    try:
        return as_timestamp(word, _end(view))
    except ValueError:
        raise ValueError(
            f"{text!r} is not a time; write Unix seconds, 2026-11-22T15:00, -1h before the end, or start+10min"
        ) from None


def _relative(word: str) -> tuple[str, int, str]:
    """Return ``start`` or ``end`` with what is added to it, else an empty name."""
    match = re.fullmatch(r"(start|end)\s*(?:([+-])\s*(.+))?", word)
    return (
        ("", 1, "") if match is None else (match[1], -1 if match[2] == "-" else 1, match[3] or "")
    )


def _begin(view: SessionView) -> float:
    """Return the time of the first value of all."""
    times = [i.statistics.first_time for i in view.variables().values() if i.statistics.n]
    times += [info.first_time for info in view.datasets_info().values()]
    return min(times, default=view.t0)


def _end(view: SessionView) -> float:
    """Return the time of the last value of all."""
    return view.last_timestamp or view.t0
