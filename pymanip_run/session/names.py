"""The names that a session has of its own: what is hung on it must have another one.

Written down, so that an experiment file is checked without the imports of a session.
"""

from __future__ import annotations

__all__ = ["SESSION_NAMES"]

SESSION_NAMES = frozenset(
    {
        "aadd_dataset",
        "add_dataset",
        "add_entry",
        "ask_exit",
        "async_sync",
        "close",
        "dataset",
        "dataset_last_data",
        "dataset_names",
        "dataset_times",
        "datasets",
        "datasets_info",
        "decimated",
        "describe",
        "device_call",
        "events",
        "figures",
        "get_version",
        "has_metadata",
        "has_parameter",
        "info",
        "initial_timestamp",
        "last_timestamp",
        "logged_data",
        "logged_data_fromtimestamp",
        "logged_first_values",
        "logged_last_values",
        "logged_variable",
        "logged_variables",
        "metadata",
        "metadatas",
        "monitor",
        "note",
        "now",
        "parameter",
        "parameter_table",
        "parameters",
        "plot",
        "print_description",
        "print_welcome",
        "run",
        "running",
        "runs",
        "save_metadata",
        "save_parameter",
        "save_remote_data",
        "send_email",
        "session_name",
        "session_path",
        "sleep",
        "sweep",
        "sync",
        "t0",
        "to_dataframe",
        "to_xarray",
        "variables",
    }
)
