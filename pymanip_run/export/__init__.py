"""Sessions in the formats of other programs."""

from __future__ import annotations

__all__ = ["FORMATS", "PLANNED"]

#: What can be written.
FORMATS = ("csv",)
#: What cannot be written yet.
PLANNED = ("jsonl", "parquet", "netcdf", "mat", "npz", "sqlite", "zarr")
