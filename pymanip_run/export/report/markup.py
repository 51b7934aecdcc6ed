"""HTML in small pieces. All that comes from a session goes through `text` or is an attribute's value."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from pymanip_run.wording import inert

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["element", "folded", "pairs", "section", "table", "text"]

#: Elements without content; those of SVG must be closed.
VOID = frozenset({"br", "img", "meta", "line", "path", "rect"})
LINES = "\n\t"
#: Characters of a long text, and lines up to which it is open.
LONGEST, OPEN_LINES = 200_000, 80


def text(value: object) -> str:
    """Return anything as text within markup: nothing of it acts as markup, or on the line around it."""
    return html.escape(inert(value, keep=LINES))


def element(name: str, /, *content: str, **attributes: object) -> str:
    """Return an element around `content`, which is markup already.

    Attributes with None are left out; ``class_`` is ``class``, an underscore a hyphen.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{given}/>" if name in VOID else f"<{name}{given}>{''.join(content)}</{name}>"


def section(title: str, *content: str, name: str) -> str:
    """Return a part of the page under a heading; nothing where it is empty."""
    if not any(content):
        return ""
    heading = element("h2", text(title), id=name)
    return element("section", heading, *content, aria_labelledby=name) + "\n"


def pairs(rows: Iterable[tuple[str, str]]) -> str:
    """Return names and values as a list; values are markup, empty ones are left out."""
    cells = [
        element("div", element("dt", text(name)), element("dd", value))
        for name, value in rows
        if value
    ]
    return element("dl", *cells) if cells else ""


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    name: str,
    numbers: Iterable[int] = (),
    stacks: bool = False,
) -> str:
    """Return a table whose first column names the rows; cells are markup.

    Parameters
    ----------
    name
        What the table is, for those who cannot see it.
    numbers
        The columns with numbers, which stand to the right.
    stacks
        Whether on a narrow screen the last column is below the others.
    """
    if not rows:
        return ""
    kinds = dict.fromkeys(numbers, "number")
    titles = [
        element("th", text(title), scope="col", class_=kinds.get(i)) for i, title in enumerate(head)
    ]
    lines = [element("tr", *_cells(row, kinds)) + "\n" for row in rows]
    whole = element("table", element("thead", element("tr", *titles)), element("tbody", *lines))
    # A table wider than a telephone is moved within its own frame.
    return element(
        "div",
        whole,
        class_="wide stack" if stacks else "wide",
        tabindex="0",
        role="region",
        aria_label=name,
    )


def _cells(row: Sequence[str], kinds: dict[int, str]) -> list[str]:
    first = element("th", row[0], scope="row", class_=kinds.get(0))
    return [first, *(element("td", cell, class_=kinds.get(i)) for i, cell in enumerate(row[1:], 1))]


def folded(title: str, words: str, *, is_diff: bool) -> str:
    """Return a long text under its title, open where it is short; lines of a diff are marked."""
    shown = words[:LONGEST].rstrip("\n")
    lines = shown.split("\n")
    summary = element("summary", element("h3", text(title)), f" {len(lines)} lines")
    content = "\n".join(map(_diff_line, lines)) if is_diff else text(shown)
    rest = ""
    if len(words) > LONGEST:
        rest = element("p", "cut here; all of it: pymanip-inspect --config", class_="quiet")
    is_open = "open" if len(lines) <= OPEN_LINES else None
    return element("details", summary, element("pre", content), rest, open=is_open) + "\n"


def _diff_line(line: str) -> str:
    if line.startswith(("+++", "---", "diff ", "index ")):
        return element("b", text(line))
    if line.startswith("+"):
        return element("ins", text(line))
    return element("del", text(line)) if line.startswith("-") else text(line)
