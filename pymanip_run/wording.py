"""Words that every surface shows alike: how a run ended, numbers in groups, texts that act on nothing."""

from __future__ import annotations

import unicodedata

__all__ = [
    "STOP_REASON",
    "WITHOUT_A_WORD",
    "end_in_words",
    "grouped",
    "inert",
    "is_by_hand",
    "quoted",
]

#: The reason of a run that was ended by the command ``stop``.
STOP_REASON = "pymanip-run stop"
FORCED = 128  # exit codes from here on are 128 + the number of a signal
WITHOUT_A_WORD = "ended without a word (killed, a third Ctrl-C, or power lost)"

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# Format characters (Cf) hold the bidirectional overrides that reorder a whole line.
_ACTIVE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def is_by_hand(reason: str) -> bool:
    """Tell whether somebody asked for the stop, and no task or limit."""
    return reason in ("Ctrl-C", "key q", STOP_REASON) or reason.startswith("SIG")


def end_in_words(exit_code: int | None, reason: str | None) -> str:
    """Return how a run ended, from what was recorded of it."""
    text = reason or ""
    if exit_code and exit_code >= FORCED:
        return f"stopped by {text} ({exit_code})"
    if exit_code:
        return f"failed ({exit_code}): {text}"
    return f"stopped by {text}" if is_by_hand(text) else text


def grouped(number: int) -> str:
    """Return ``48 210``."""
    return f"{number:,}".replace(",", " ")


def inert(text: object, keep: str = "") -> str:
    r"""Return a text without any character that acts on a terminal; they are shown as ``\x1b``.

    Parameters
    ----------
    text
        Anything that has a text.
    keep
        Characters that stay as they are, such as the ends of lines.
    """
    plain = str(text)
    if plain.isascii() and plain.isprintable():
        return plain
    return "".join(
        _escaped(c) if unicodedata.category(c) in _ACTIVE and c not in keep else c for c in plain
    )


def _escaped(character: str) -> str:
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    return (
        f"\\x{code:02x}"
        if code < 0x100
        else f"\\u{code:04x}"
        if code < 0x10000
        else f"\\U{code:08x}"
    )


def quoted(path: str) -> str:
    """Return a path as a shell takes it, and a command does not take it for an option."""
    path = f"./{path}" if path.startswith("-") else path
    plain = all(c.isalnum() or c in "/._-+=,@%:" for c in path)
    return path if plain else "'" + path.replace("'", "'\\''") + "'"
