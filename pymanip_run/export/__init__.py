"""Sessions in the formats of other programs."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["DATASET_FORMATS", "FORMATS", "HOWS", "Format"]


class Format(NamedTuple):
    """What is to be known of a format before anything of it is imported."""

    suffix: str
    #: Can be written to a pipe as it is made.
    streams: bool = False
    #: One file holds the tables of several variables.
    holds_tables: bool = True
    is_folder: bool = False


#: By the word after ``--to``; the module of the same name writes it.
FORMATS = {
    "csv": Format(".csv", streams=True, holds_tables=False),
    "jsonl": Format(".jsonl", streams=True, holds_tables=False),
    "parquet": Format(".parquet", holds_tables=False),
    "netcdf": Format(".nc"),
    "mat": Format(".mat"),
    "npz": Format(".npz"),
    "sqlite": Format(".sqlite"),
    "zarr": Format(".zarr", is_folder=True),
}
#: For the records of datasets.
DATASET_FORMATS = ("npy", "npz", "png", "tiff")
HOWS = ("outer", "ffill", "separate")
