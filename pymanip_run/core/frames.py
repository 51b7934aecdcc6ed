"""A session as pandas, xarray and text. The libraries are imported where they are used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pymanip_run.core.chunked import as_datetimes, stamps, whole_microseconds
from pymanip_run.errors import UsageError
from pymanip_run.lazily import need

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from pymanip_run.records import DatasetInfo, FloatArray, Series


def to_dataframe(
    series: Sequence[Series], how: Literal["outer", "ffill"], tz: str | None
) -> pd.DataFrame:
    """Return series as the columns of a DataFrame over time."""
    pandas = need("pandas", "analysis")
    if how not in {"outer", "ffill"}:
        raise UsageError(f"how is 'outer' or 'ffill', not {how!r}")
    axis, columns = _joined(series, filled=how == "ffill")
    try:
        index = pandas.to_datetime(axis, unit="us", utc=True)
    except ValueError as error:  # beyond what this release of pandas holds
        raise UsageError(f"pandas cannot hold the times of these values: {error}") from None
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
        variables[one.name] = ("time", column, _attributes(one))
    result: xr.Dataset = xarray.Dataset(variables, coords={"time": as_datetimes(axis)})
    return result


def chunked_dataset(series: Sequence[Series], pairs: Sequence[tuple[Any, Any]]) -> xr.Dataset:
    """Return dask arrays of equal times as the variables of a Dataset over samples.

    The times are a coordinate without an index, which would have to be in memory.
    """
    xarray = need("xarray", "analysis")
    variables = {
        one.name: ("sample", values, _attributes(one))
        for one, (_, values) in zip(series, pairs, strict=True)
    }
    result: xr.Dataset = xarray.Dataset(variables, coords={"time": ("sample", stamps(pairs[0][0]))})
    return result


def records_dataset(info: DatasetInfo, times: FloatArray, records: Any) -> xr.Dataset:
    """Return the records of a dataset, of shape (n, *shape), as a Dataset over their times."""
    xarray = need("xarray", "analysis")
    axes = ("time", *(f"{info.name}_{i}" for i in range(len(info.shape))))
    attributes = {"units": info.unit} if info.unit else {}
    result: xr.Dataset = xarray.Dataset(
        {info.name: (axes, records, attributes)}, coords={"time": stamps(times)}
    )
    return result


def _attributes(one: Series) -> dict[str, str]:
    return {k: v for k, v in (("units", one.unit), ("long_name", one.label)) if v}


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
    whole = whole_microseconds(times)
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
