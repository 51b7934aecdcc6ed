"""Variables of many sessions one after the other, as dask arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymanip_run.lazily import need

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr

    from pymanip_run.session.saved import SavedAsyncSession

__all__ = ["to_dask", "to_xarray"]


def to_dask(sessions: Sequence[SavedAsyncSession], name: str, chunks: int | str) -> tuple[Any, Any]:
    """Return times and values of a variable of all sessions."""
    dask = need("dask.array", "analysis")
    pairs = [one.to_dask(name, chunks) for one in sessions]
    times, values = zip(*pairs, strict=True)
    return dask.concatenate(times), dask.concatenate(values)


def to_xarray(
    sessions: Sequence[SavedAsyncSession], names: Sequence[str], chunks: int | str
) -> xr.Dataset:
    """Return variables of all sessions over their samples, with the number of the session."""
    xarray, dask = need("xarray", "analysis"), need("dask.array", "analysis")
    parts = [one.to_xarray(*names, chunks=chunks) for one in sessions]
    variables = {
        name: (
            "sample",
            dask.concatenate([part[name].data for part in parts]),
            parts[-1][name].attrs,
        )
        for name in names
    }
    numbers = [
        dask.full(
            part.sizes["sample"], number, dtype="int32", chunks=(part[names[0]].data.chunks[0],)
        )
        for number, part in enumerate(parts)
    ]
    coordinates = {
        "time": ("sample", dask.concatenate([part["time"].data for part in parts])),
        "session": ("sample", dask.concatenate(numbers)),
    }
    attributes = {"sessions": [str(one.session_name) for one in sessions]}
    result: xr.Dataset = xarray.Dataset(variables, coordinates, attributes)
    return result
