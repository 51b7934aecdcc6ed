"""What goes with a mail besides its text: as much of it as a server takes, and what is said of the rest."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pymanip_run.errors import PymanipError
from pymanip_run.mail.letter import one_line
from pymanip_run.units import format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymanip_run.mail.facts import Occasion, Sources
    from pymanip_run.mail.letter import Attachment, Figure

__all__ = ["MOST_BYTES", "Enclosed", "enclosed", "room_within"]

logger = logging.getLogger(__name__)

#: Many servers refuse mails above 10 MB, which is 7.5 MB before base64; the text needs its part.
MOST_BYTES = 7_000_000
#: What a server that tells its limit must have left for text and headers.
FOR_TEXT = 200_000
MOST_NAMED = 10


@dataclass(frozen=True)
class Enclosed:
    """Plots and files of a mail.

    Attributes
    ----------
    without : str
        Which plots are left out, and why; "" where none is.
    attached : str
        What is attached, or why it is not; "" where nothing was to be.
    """

    figures: Sequence[Figure]
    without: str
    attachments: Sequence[Attachment]
    attached: str

    @property
    def remarks(self) -> list[str]:
        """What the mail says of them."""
        return [text for text in (self.without, self.attached) if text]


def room_within(limit: int) -> int:
    """Return how many bytes of figures and files fit into a mail of at most `limit` bytes."""
    # Base64 makes lines of 57 bytes into 78 (RFC 2045 6.8).
    return max(0, (limit - FOR_TEXT) * 57 // 78)


def enclosed(occasions: Sequence[Occasion], sources: Sources, most: int = MOST_BYTES) -> Enclosed:
    """Return what goes with a mail about some occasions, at most as many bytes in all."""
    figures, without = _figures(sources, most)
    rest = most - sum(len(figure.png) for figure in figures)
    return Enclosed(figures, without, *_report(occasions, sources, rest))


def _figures(sources: Sources, most: int) -> tuple[list[Figure], str]:
    """Return the plots that go with the mail, each that still fits, and why others do not."""
    try:
        figures = list(sources.figures())
    except PymanipError as error:
        return [], one_line(f"Without its plots: {error}")
    except Exception:
        # A mail without its plots is better than none.
        logger.exception("the figures of a mail could not be drawn")
        return [], "Without its plots, which could not be drawn; the log of the run says why"
    kept, left = [], []
    for figure in figures:
        if len(figure.png) <= most:
            kept.append(figure)
            most -= len(figure.png)
        else:
            left.append(_sized(figure.title, figure.png))
    return kept, _left_out(left)


def _left_out(left: list[str]) -> str:
    if not left:
        return ""
    more = f" and {len(left) - MOST_NAMED} more" if len(left) > MOST_NAMED else ""
    what = "the plot" if len(left) == 1 else f"{len(left)} plots"
    names = "; ".join(left[:MOST_NAMED])
    return f"Without {what} {names}{more}: the mail would be too large"


def _sized(name: str, content: bytes) -> str:
    return f"{one_line(name)} ({format_size(len(content))})"


def _report(
    occasions: Sequence[Occasion], sources: Sources, most: int
) -> tuple[list[Attachment], str]:
    """Return the report that goes with the mail about the end, and what the mail says of it."""
    ending = next((one for one in occasions if one.kind == "finish"), None)
    if ending is None or sources.report is None:
        return [], ""
    try:
        found = sources.report(ending)
    except PymanipError as error:
        return [], one_line(f"Without the report of the session: {error}")
    except Exception:
        logger.exception("the report for a mail could not be made")
        return (
            [],
            "Without the report of the session, which could not be made; the log of the run says why",
        )
    if len(found.html) > most:
        what = _sized(found.name, found.html)
        return [], f"Without the report of the session {what}: the mail would be too large"
    return [found], one_line(f"The report of the session is attached: {found.name}")
