"""Small tables for notebooks: all texts are escaped, and colours are those of the notebook, light or dark."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["small_table", "wide_table"]

#: Notebooks push all cells to the right, which suits numbers only.
LEFT = ' style="text-align:left"'
#: Without it some notebooks show a table in black on a dark page.
TABLE = '<table style="color:inherit">'


def small_table(title: str, rows: Mapping[str, object]) -> str:
    """Return a title and rows of two columns as HTML; rows with None are left out."""
    cells = "".join(
        f"<tr><th{LEFT}>{_cell(name)}</th><td{LEFT}>{_cell(value)}</td></tr>"
        for name, value in rows.items()
        if value is not None
    )
    return f"<b>{_cell(title)}</b>{TABLE}<tbody>{cells}</tbody></table>"


def wide_table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return rows of many columns as HTML: numbers to the right, texts to the left, None empty."""
    head = "".join(f"<th{LEFT}>{_cell(title)}</th>" for title in titles)
    body = "".join(f"<tr>{''.join(map(_data, row))}</tr>" for row in rows)
    return f"{TABLE}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _data(value: object) -> str:
    if value is None:
        return "<td></td>"
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return f"<td>{_cell(value)}</td>" if is_number else f"<td{LEFT}>{_cell(value)}</td>"


def _cell(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else escape(str(value))
