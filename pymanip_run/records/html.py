"""Small tables for notebooks."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["small_table"]


def small_table(title: str, rows: Mapping[str, object]) -> str:
    """Return a title and rows of two columns as HTML; all texts are escaped, rows with None are left out."""
    cells = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>"
        for name, value in rows.items()
        if value is not None
    )
    return f"<b>{escape(title)}</b><table><tbody>{cells}</tbody></table>"
