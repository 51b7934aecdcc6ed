"""What the code that is running now belongs to, for those who record what it does."""

from __future__ import annotations

from contextvars import ContextVar

__all__ = ["current_point"]

#: Name of the sweep and index (from 0) of the point whose step is running, or None outside one.
#: Tasks and threads started by a step inherit it; sweeps that run side by side do not mix.
current_point: ContextVar[tuple[str, int] | None] = ContextVar("current_point", default=None)
