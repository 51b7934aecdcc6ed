"""From whom, to whom and through which server mails go."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from pymanip_run import access
from pymanip_run.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Account", "Security", "addresses"]

Security: TypeAlias = Literal["starttls", "tls", "none"]
_PORTS = {"starttls": 587, "tls": 465, "none": 25}
# As in the experiment file; what has a control character in it could bring headers of its own.
_ADDRESS = re.compile(
    r"[^@\s<>,;\"]+@[^@\s<>,;\"]+|[^<>\x00-\x1f\x7f]*<[^@\s<>,;\"]+@[^@\s<>,;\"]+>"
)


@dataclass(frozen=True)
class Account:
    """A mail server and how it is used.

    Parameters
    ----------
    host, port
        The server; port None: the usual one for `security`.
    security
        ``"starttls"`` and ``"tls"`` check the server's certificate; ``"none"`` encrypts nothing.
    user, password
        What to log in with; None: without.
    sender, recipients
        Mail addresses, also as ``Name <address>``.

    Raises
    ------
    UsageError
        If an address is none, or the password would cross the network unencrypted.
    """

    sender: str
    recipients: tuple[str, ...]
    host: str = "localhost"
    port: int | None = None
    security: Security = "starttls"
    user: str | None = None
    #: Never shown: not in representations, not in messages.
    password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for address in (self.sender, *self.recipients):
            if not _ADDRESS.fullmatch(address):
                raise UsageError(f"{address!r} is not an address; write for example me@example.org")
        if not self.recipients:
            raise UsageError("there is nobody to send mails to; give at least one address")
        if (self.user is None) != (self.password is None):
            missing = "password" if self.password is None else "user"
            raise UsageError(f"user and password go together: the {missing} is missing")
        if self.password is not None and self.security == "none" and not self.is_loopback:
            raise UsageError(
                f"the password would cross the network to {self.host} unencrypted; "
                "use STARTTLS (use_starttls=True) or TLS (use_ssl_submission=True)"
            )

    @property
    def server_port(self) -> int:
        """The port of the server."""
        return _PORTS[self.security] if self.port is None else self.port

    @property
    def is_loopback(self) -> bool:
        """Whether the server is this computer."""
        return access.is_loopback(self.host)


def addresses(given: str | Iterable[str]) -> Sequence[str]:
    """Return addresses given as one text, with commas, or as several texts.

    Raises
    ------
    UsageError
        If it is neither.
    """
    texts = given.split(",") if isinstance(given, str) else list(given)
    if not all(isinstance(text, str) for text in texts):
        raise UsageError(f"an address is a text such as 'me@example.org'; got {given!r}")
    return [stripped for text in texts if (stripped := text.strip(" "))]
