"""Attributes by which programs know times, units and names: the CF Conventions, https://cfconventions.org."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pymanip_run.clock import SYSTEM, iso_utc
from pymanip_run.export.jsonl import to_json
from pymanip_run.export.names import identifiers
from pymanip_run.export.zones import zone_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymanip_run.export.job import Field, Job, Table

__all__ = [
    "Layout",
    "global_attributes",
    "layouts",
    "time_attributes",
    "value_attributes",
]


class Layout(NamedTuple):
    """Names of a table in the file: its dimension, which is its time too, and its values."""

    table: Table
    time: str
    values: list[str]


def layouts(tables: Sequence[Table], taken: Sequence[str] = ()) -> list[Layout]:
    """Return valid names for tables that share a file, distinct and none of them `taken`."""
    wanted: list[str] = []
    for table in tables:
        if table.title is None:
            wanted += ["time", *(f.name for f in table.fields)]
        else:
            ends = ["" if f.name == "value" else f"_{f.name}" for f in table.fields]
            wanted += [f"{table.title}_time", *(f"{table.title}{end}" for end in ends)]
    made = iter(identifiers(wanted, taken))
    return [Layout(table, next(made), [next(made) for _ in table.fields]) for table in tables]


def time_attributes(job: Job) -> dict[str, Any]:
    """Return what tells a program how to read whole microseconds, which it decodes exactly.

    Such times are UTC; a zone is only noted.
    """
    told = {
        "standard_name": "time",
        "long_name": "time",
        "axis": "T",
        "units": "microseconds since 1970-01-01 00:00:00",
        "calendar": "proleptic_gregorian",
    }
    return told if job.zone is None else told | {"time_zone": zone_name(job.zone)}


def value_attributes(table: Table, field: Field) -> dict[str, Any]:
    """Return unit, label and original name of a variable."""
    name = field.name if table.title is None else table.title
    told = {"units": field.unit, "long_name": field.label or name, "original_name": name}
    return {key: value for key, value in told.items() if value}


def global_attributes(job: Job) -> dict[str, Any]:
    """Return what is known of the whole: parameters and metadata as JSON."""
    about = job.about()
    return {
        "Conventions": "CF-1.11",
        "title": about["title"] or about["session"],
        "source": "measured with pymanip-run",
        "history": f"{iso_utc(SYSTEM.time())} exported from {about['session']}",
        "session_uuid": about["uuid"],
        "date_created": about["created"],
        "parameters": to_json(about["parameters"]),
        "metadata": to_json(about["metadata"]),
    }
