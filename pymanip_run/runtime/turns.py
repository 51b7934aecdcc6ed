"""How soon a thread that computes gives others a turn."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SHORT", "short_turns"]

#: Seconds. Beside a thread that computes, Python lets a loop of tasks wait for up to 5 ms.
SHORT = 0.001

_lock = threading.Lock()
_users = 0
_usual = 0.0


@contextmanager
def short_turns() -> Iterator[None]:
    """Let the threads of this process change turns after 1 ms; the last one to leave finds what the first found.

    It is a setting of the whole interpreter (`sys.setswitchinterval`). One that is shorter already stays.
    """
    global _users, _usual  # noqa: PLW0603 - as the setting is
    with _lock:
        if not _users:
            _usual = sys.getswitchinterval()
            sys.setswitchinterval(min(SHORT, _usual))
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                sys.setswitchinterval(_usual)
