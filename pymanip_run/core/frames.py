"""A session as pandas, xarray, text and HTML. The libraries are imported where they are used."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pymanip_run.clock import iso_local
from pymanip_run.errors import UsageError
from pymanip_run.lazily import need

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from pymanip_run.records import FloatArray, Parameter, Series, VariableInfo


def to_dataframe(
    series: Sequence[Series], how: Literal["outer", "ffill"], tz: str | None
) -> pd.DataFrame:
    """Return series as the columns of a DataFrame over time."""
    pandas = need("pandas", "analysis")
    if how not in {"outer", "ffill"}:
        raise UsageError(f"how is 'outer' or 'ffill', not {how!r}")
    axis, columns = _joined(series, filled=how == "ffill")
    index = pandas.to_datetime(axis, unit="us", utc=True)
    names = [one.name for one in series]
    result: pd.DataFrame = pandas.DataFrame(
        dict(zip(names, columns, strict=True)), index=index, columns=names
    )
    result.index.name = "time"
    return result if tz is None else result.tz_convert(tz)


def to_xarray(series: Sequence[Series]) -> xr.Dataset:
    """Return series as the variables of a Dataset over time; missing values are NaN."""
    xarray = need("xarray", "analysis")
    axis, columns = _joined(series)
    variables = {}
    for one, column in zip(series, columns, strict=True):
        attributes = {"units": one.unit, "long_name": one.label}
        variables[one.name] = ("time", column, {k: v for k, v in attributes.items() if v})
    stamps = axis.astype("datetime64[us]").astype("datetime64[ns]")
    result: xr.Dataset = xarray.Dataset(variables, coords={"time": stamps})
    return result


def _joined(
    series: Sequence[Series], *, filled: bool = False
) -> tuple[NDArray[np.int64], list[FloatArray]]:
    """Return all times in microseconds, shape (n,), and a column of shape (n,) for each series.

    Missing cells are NaN, or with `filled` the last value before: a NaN that was measured stays one.
    """
    pairs = [(_increasing(times), values) for times, values in series]
    axis = np.unique(np.concatenate([times for times, _ in pairs] or [np.empty(0, np.int64)]))
    columns = []
    for times, values in pairs:
        column = np.full(len(axis), np.nan)
        if filled:
            place = np.searchsorted(times, axis, "right") - 1
            column[place >= 0] = values[place[place >= 0]]
        else:
            column[np.searchsorted(axis, times)] = values
        columns.append(column)
    return axis, columns


def _increasing(times: FloatArray) -> NDArray[np.int64]:
    """Return whole microseconds that increase: of two equal times, which old sessions have, the second is later."""
    number = np.arange(len(times))
    whole = np.round(times * 1e6).astype(np.int64)
    result: NDArray[np.int64] = np.maximum.accumulate(whole - number) + number
    return result


def to_text(heading: str, sections: Mapping[str, Mapping[str, Any]]) -> str:
    """Return names and values under underlined titles; empty sections are left out."""
    blocks = [heading]
    for title, items in sections.items():
        if items:
            lines = [f"{name}: {value}" for name, value in items.items()]
            blocks.append("\n".join([title, "=" * len(title), *lines]))
    return "\n\n".join(blocks) + "\n"


def to_html(
    name: str, variables: Iterable[VariableInfo], parameters: Mapping[str, Parameter]
) -> str:
    """Return a small table of a session for a notebook; all names and units are escaped."""
    rows = "".join(
        f"<tr><td>{escape(v.name)}</td><td>{v.statistics.n}</td><td>{v.statistics.last_value:g}</td>"
        f"<td>{escape(v.description.unit or '')}</td><td>{escape(iso_local(v.statistics.last_time))}</td></tr>"
        for v in variables
    )
    settings = ", ".join(
        f"{escape(key)} = {escape(str(p.value))} {escape(p.unit or '')}".strip()
        for key, p in parameters.items()
    )
    return (
        f"<b>{escape(name)}</b>{f'<p>{settings}</p>' if settings else ''}"
        "<table><thead><tr><th>variable</th><th>n</th><th>last</th><th>unit</th><th>at</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )
