"""A session as pandas, xarray, text and HTML. The libraries are imported where they are used."""

from __future__ import annotations

import importlib
from html import escape
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pymanip_run.clock import iso_local
from pymanip_run.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd
    import xarray as xr

    from pymanip_run.records import Parameter, Series, VariableInfo


def _need(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise UsageError(
            f"this needs {module}; install it: pip install 'pymanip-run[{extra}]'"
        ) from None


def to_dataframe(
    series: Sequence[Series], how: Literal["outer", "ffill"], tz: str | None
) -> pd.DataFrame:
    """Return series as the columns of a DataFrame over time."""
    pandas = _need("pandas", "analysis")
    if how not in {"outer", "ffill"}:
        raise UsageError(f"how is 'outer' or 'ffill', not {how!r}")
    columns = {}
    for one in series:
        times, values = one
        index = pandas.to_datetime(np.round(times * 1e6).astype(np.int64), unit="us", utc=True)
        columns[one.name] = pandas.Series(values, index=index)
    frame = pandas.DataFrame(columns)
    frame.index.name = "time"
    if tz is not None:
        frame = frame.tz_convert(tz)
    result: pd.DataFrame = frame.ffill() if how == "ffill" else frame
    return result


def to_xarray(series: Sequence[Series]) -> xr.Dataset:
    """Return series as the variables of a Dataset over time; missing values are NaN."""
    xarray = _need("xarray", "analysis")
    pairs = [tuple(one) for one in series]
    axis = np.unique(np.concatenate([times for times, _ in pairs])) if pairs else np.empty(0)
    stamps = np.round(axis * 1e6).astype("datetime64[us]").astype("datetime64[ns]")
    variables = {}
    for one, (times, values) in zip(series, pairs, strict=True):
        column = np.full(len(axis), np.nan)
        column[np.searchsorted(axis, times)] = values
        attributes = {"units": one.unit, "long_name": one.label}
        variables[one.name] = ("time", column, {k: v for k, v in attributes.items() if v})
    result: xr.Dataset = xarray.Dataset(variables, coords={"time": stamps})
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
