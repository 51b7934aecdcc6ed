"""The tokens with which a user gets into the servers of their runs, and the links that carry them.

A token is 80 random bits in Crockford's base 32 (https://www.crockford.com/base32.html), in groups
of four: it can be read over the phone. It is kept in the user's configuration folder, for them alone.
"""

from __future__ import annotations

import ipaddress
import json
import os
import secrets
import socket
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from pymanip_run.errors import UsageError

__all__ = [
    "DEFAULT_PORT",
    "Address",
    "check_chosen",
    "config_folder",
    "is_encrypted",
    "is_here",
    "is_loopback",
    "keep_token",
    "kept_token",
    "link",
    "new_token",
    "normalised",
    "parse_address",
    "read_token",
    "rotate_token",
    "token_path",
    "user_token",
]

DEFAULT_PORT = 6913
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 16
GROUP = 4
#: What people write for what they read, and what they put between.
_READ = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None, "\u2013": None})
MAX_BYTES = 4096
#: Signs of a token that somebody has thought up: fewer are soon guessed.
LEAST = 8


class Address(NamedTuple):
    """Where a server is, and what gets in."""

    host: str
    port: int = DEFAULT_PORT
    token: str | None = None
    tls: bool = False

    @property
    def url(self) -> str:
        """The address of its page, without the token."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Tell whether what is sent to a host stays on this computer."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_here(host: str) -> bool:
    """Tell whether a host is this computer, by any of the names that people write."""
    name = host.lower().rstrip(".")
    return name in ("localhost", "::1", socket.gethostname().lower()) or name.startswith("127.")


def new_token() -> str:
    """Return a new token, ``7K2M-9XQ4-0TBN-V5HC``."""
    signs = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    return "-".join(signs[i : i + GROUP] for i in range(0, LENGTH, GROUP))


def normalised(text: str) -> str:
    """Return a token as it is compared: case, dashes and signs that look alike do not count."""
    return text.strip().upper().translate(_READ)


def check_chosen(token: str) -> None:
    """Refuse a token that somebody has thought up and that would keep nobody out.

    Raises
    ------
    UsageError
        If it has fewer than 8 signs that count.
    """
    count = len(normalised(token))
    if count < LEAST:
        raise UsageError(
            f"a server's token of {count} {'sign' if count == 1 else 'signs'} is soon guessed; give {LEAST} letters "
            "and digits or more, or leave it out: then it is that of `pymanip-run token`"
        )


def config_folder() -> Path:
    """Return the user's configuration folder (XDG Base Directory Specification 0.8).

    Raises
    ------
    RuntimeError
        If the user has no home.
    """
    base = os.environ.get("XDG_CONFIG_HOME", "")
    root = Path(base) if Path(base).is_absolute() else Path.home() / ".config"
    return root / "pymanip-run"


def token_path(*, control: bool = False) -> Path:
    """Return the file of the user's token, or of the one that may control runs."""
    return config_folder() / ("control-token" if control else "token")


def read_token(path: Path) -> str | None:
    """Return the token in a file; None where there is no file.

    Raises
    ------
    UsageError
        If the file holds none.
    OSError
        If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES).decode("ascii", "replace").strip()
    except FileNotFoundError:
        return None
    plain = normalised(text)
    if len(plain) != LENGTH or not set(plain) <= set(ALPHABET):
        control = " --control" if path.name.startswith("control") else ""
        raise UsageError(
            f"{path} holds no token; make a new one:\n  pymanip-run token --rotate{control}"
        )
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)  # others could read it: copied by hand, or by a backup
    return text


def user_token(*, control: bool = False) -> str:
    """Return the user's token; it is made when it is asked for the first time.

    Raises
    ------
    UsageError
        If the file holds no token.
    OSError, RuntimeError
        If the configuration folder cannot be written.
    """
    path = token_path(control=control)
    token = read_token(path)
    if token is not None:
        return token
    part = _written(path, new_token() + "\n")
    try:
        with suppress(FileExistsError):  # another process was quicker
            path.hardlink_to(part)
    finally:
        part.unlink()
    return read_token(path) or ""


def rotate_token(*, control: bool = False) -> str:
    """Make a new token in the place of the old one, and return it.

    Raises
    ------
    OSError, RuntimeError
        If the configuration folder cannot be written.
    """
    token, path = new_token(), token_path(control=control)
    _written(path, token + "\n").replace(path)
    return token


def _written(path: Path, text: str) -> Path:
    """Write a file that only the user can read beside `path`, and return where."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)
    return part


# -- servers elsewhere --------------------------------------------------------------------------


def link(url: str, token: str | None) -> str:
    """Return the link that logs a browser in; what stands behind # is not sent to anybody."""
    return f"{url}/#t={token}" if token else f"{url}/"


def parse_address(text: str, port: int | None = None, *, tls: bool = False) -> Address:
    """Return what ``labpc``, ``labpc:7000``, ``[::1]:7000`` or a printed link means.

    Raises
    ------
    UsageError
        If it is none of these.
    """
    written = text.strip()
    is_link = "://" in written
    if not is_link and written.count(":") > 1 and not written.startswith("["):
        written = f"[{written}]"  # an IPv6 address alone
    try:
        parts = urlsplit(written if is_link else f"//{written}")
        given = parts.port
    except ValueError:
        raise _no_address(text) from None
    if not parts.hostname or (is_link and parts.scheme not in ("http", "https")) or parts.username:
        raise _no_address(text)
    if given is None and is_link:
        given = 443 if parts.scheme == "https" else 80
    token = parse_qs(parts.fragment).get("t", [None])[0]
    chosen = port if port is not None and given is None else given
    return Address(
        parts.hostname,
        DEFAULT_PORT if chosen is None else chosen,
        token,
        tls=tls or parts.scheme == "https",
    )


def _no_address(text: str) -> UsageError:
    return UsageError(
        f"{text!r} is no address; write labpc, labpc:6913, or the link that the run printed"
    )


def kept_token(address: Address) -> str | None:
    """Return the token that was kept for a server elsewhere, None where there is none.

    What was kept for an encrypted connection is for encrypted ones alone: otherwise somebody between
    the two would only have to answer in the place of the server to read it.
    """
    kept = _kept(address)
    return None if kept is None or (kept.tls and not address.tls) else kept.token


def is_encrypted(address: Address) -> bool:
    """Tell whether a server elsewhere was spoken to over an encrypted connection when its token was kept."""
    kept = _kept(address)
    return kept is not None and kept.tls


def keep_token(address: Address, token: str) -> None:
    """Keep the token of a server elsewhere, for the user alone.

    Raises
    ------
    OSError, RuntimeError
        If the configuration folder cannot be written.
    """
    path = config_folder() / "hosts.json"
    one = {"token": token, "tls": address.tls}
    content = json.dumps({**_hosts(), _key(address): one}, indent=1)
    _written(path, content + "\n").replace(path)


def _kept(address: Address) -> Address | None:
    found = _hosts().get(_key(address))
    if isinstance(found, dict) and isinstance(found.get("token"), str):
        return address._replace(token=found["token"], tls=found.get("tls") is not False)
    return None


def _key(address: Address) -> str:
    return f"{address.host}:{address.port}"


def _hosts() -> dict[str, object]:
    with suppress(OSError, RuntimeError, ValueError):
        found = json.loads((config_folder() / "hosts.json").read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
    return {}
