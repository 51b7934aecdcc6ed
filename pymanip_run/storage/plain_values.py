"""Values of old sessions that a dataset does not take, as near to them as one that it takes."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["as_recordable"]


def as_recordable(name: str, value: Any) -> Any:
    """Return a value in which arrays within lists and dicts are lists.

    Raises
    ------
    TypeError
        If that does not help; the message names the dataset.
    """
    if isinstance(value, np.ndarray) and value.dtype == np.dtype(object):
        return as_recordable(name, value.tolist())
    if isinstance(value, (np.ndarray, np.generic)):
        listed = value.tolist()
        if value.dtype.kind not in "biufU":
            raise TypeError(
                f"{name}: an array of {value.dtype} within a list or dict cannot be stored"
            )
        return listed
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"{name}: a dict with keys that are no texts cannot be stored")
        return {key: as_recordable(name, item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(as_recordable(name, item) for item in value)
    return value
