"""What is to be exported: which variables, of which time, joined how; as tables that come in blocks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from pymanip_run.clock import iso_utc
from pymanip_run.export.resample import resampled
from pymanip_run.export.table import Block, blocks, columns_of, filled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import tzinfo

    from pymanip_run.core.view import SessionView
    from pymanip_run.records import VariableInfo

__all__ = ["Field", "Job", "Table"]

SUMMARIES = ("mean", "min", "max", "count")


class Field(NamedTuple):
    """A column beside the time."""

    name: str
    unit: str | None = None
    label: str | None = None
    #: Whether it counts, so that every row has it.
    is_count: bool = False


class Table(NamedTuple):
    """Rows of a time and some values."""

    #: The variable, where each has a table of its own.
    title: str | None
    fields: tuple[Field, ...]
    #: Begins the rows from the start, each time when it is called.
    blocks: Callable[[], Iterator[Block]]


@dataclass(frozen=True)
class Job:
    """An export.

    Parameters
    ----------
    view
        The session. Of one that is being written, what is there at the beginning is exported.
    names
        The variables, in this order; all public ones when empty.
    since, until
        Only rows with ``since <= time < until``, in Unix seconds.
    how
        ``outer``: one row for each distinct time, missing cells empty; ``ffill``: these filled with the
        last value before; ``separate``: one table for each variable.
    step
        Seconds of a stretch of which mean, minimum, maximum and count are exported; None for all values.
    zone
        Where given, times are ISO 8601 (or what the format has for it) in this zone, else Unix seconds.
    progress
        Is called with the share that is done, 0 to 1.
    """

    view: SessionView
    names: Sequence[str] = ()
    since: float = -math.inf
    until: float = math.inf
    how: str = "outer"
    step: float | None = None
    zone: tzinfo | None = None
    progress: Callable[[float], None] | None = None

    def tables(self) -> list[Table]:
        """Return the tables to be written: one, or with ``separate`` one for each variable.

        Raises
        ------
        NotFoundError
            If the session does not have one of the names.
        """
        columns = columns_of(self.view, self.names)
        if self.how != "separate":
            return [self._table(None, columns, 0, 1)]
        return [
            self._table(column.name, [column], i, len(columns)) for i, column in enumerate(columns)
        ]

    def _table(
        self, title: str | None, columns: Sequence[VariableInfo], number: int, count: int
    ) -> Table:
        fields = tuple(f for c in columns for f in self._fields(c, single=title is not None))

        def begin() -> Iterator[Block]:
            found = blocks(self.view, columns, self.since, self.until)
            if self.step is not None:
                found = resampled(found, len(columns), self.step)
            if self.how == "ffill":
                found = filled(found, self._before(columns), [f.is_count for f in fields])
            for block in found:
                yield block
                if self.progress is not None:
                    self.progress((number + block.done) / count)

        return Table(title, fields, begin)

    def _fields(self, column: VariableInfo, *, single: bool) -> list[Field]:
        unit, label = column.description.unit, column.description.label
        if self.step is None:
            return [Field("value" if single else column.name, unit, label)]
        prefix = "" if single else f"{column.name}_"
        return [
            Field(prefix + what, None if what == "count" else unit, label, what == "count")
            for what in SUMMARIES
        ]

    def _before(self, columns: Sequence[VariableInfo]) -> list[float | None]:
        """Return the last values before the first row, with which it is filled."""
        if self.step is not None:
            return [None] * (len(SUMMARIES) * len(columns))
        if not math.isfinite(self.since):
            return [None] * len(columns)
        before = [
            self.view.logged_variable(c.name).between(-math.inf, self.since).tail(1).values
            for c in columns
        ]
        return [float(values[0]) if len(values) else None for values in before]

    def about(self) -> dict[str, Any]:
        """Return what a format can carry beside the numbers, as plain values for JSON."""
        view, info = self.view, self.view.info()
        return {
            "session": view.session_name or "session in memory",
            "uuid": info.uuid,
            "created": iso_utc(info.created),
            "title": info.title,
            "variables": {c.name: _described(c) for c in columns_of(view, self.names)},
            "parameters": {
                name: {"value": p.value} | ({"unit": p.unit} if p.unit else {})
                for name, p in view.parameter_table().items()
            },
            "metadata": view.metadatas(),
        }


def _described(info: VariableInfo) -> dict[str, Any]:
    told = {"unit": info.description.unit, "label": info.description.label}
    return {key: value for key, value in told.items() if value}
