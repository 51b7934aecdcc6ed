"""Handing a mail over to a server, within a total time.

The time-out of a socket is not enough: a server that sends a byte every two seconds never reaches
it. The conversation is in a thread of its own, whose connection is cut when the time is over.
"""

from __future__ import annotations

import base64
import smtplib
import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pymanip_run.clock import SYSTEM
from pymanip_run.masking import MASK
from pymanip_run.runtime.threads import Worker
from pymanip_run.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping
    from email.message import Message

    from pymanip_run.mail.account import Account

__all__ = ["DEADLINE", "MailError", "deliver"]

DEADLINE = 30.0  # seconds
LASTING = 500  # replies from here on are no use trying again after (RFC 5321 4.2.1)
TOO_LARGE = 552  # RFC 1870 6.1, with 5.3.4 of RFC 3463
MAX_TEXT = 300


class MailError(Exception):
    """A mail could not be handed over; the text says where and why, and has no password in it.

    Attributes
    ----------
    lasting : bool
        Whether trying again is of no use before somebody has changed something.
    limit : int or None
        How many bytes a mail may have that was too large for the server, 0 if it did not say that;
        None if that was not the reason.
    """

    def __init__(self, message: str, *, lasting: bool = False, limit: int | None = None) -> None:
        super().__init__(message)
        self.lasting = lasting
        self.limit = limit

    @property
    def brief(self) -> str:
        """The message alone."""
        return str(self)


def deliver(account: Account, message: Message, deadline: float = DEADLINE) -> list[str]:
    """Hand a mail over to the server of an account; blocks, but not longer than `deadline` seconds.

    Returns
    -------
    list of str
        Recipients that the server did not accept, with its words; the others get the mail.

    Raises
    ------
    MailError
        If nobody gets it.
    """
    attempt = _Attempt(account, message, deadline)
    worker = Worker("smtp")
    future = worker.submit(attempt.run)
    try:
        return future.result(deadline)  # type: ignore[no-any-return]
    except TimeoutError:
        if future.done():
            raise
        place = f"{account.host}:{account.server_port}"
        raise MailError(
            f"{place}: {attempt.step} was not through within {format_duration(deadline)}"
        ) from None
    finally:
        attempt.abort()
        worker.shutdown(wait=False)


class _Client:
    """Makes itself known before it connects, so that it can be cut off."""

    def __init__(self, attempt: _Attempt, *args: Any, **kwargs: Any) -> None:
        attempt.client = self
        super().__init__(*args, **kwargs)


class _Plain(_Client, smtplib.SMTP):
    pass


class _Tls(_Client, smtplib.SMTP_SSL):
    pass


class _Attempt:
    """One conversation with a server."""

    def __init__(self, account: Account, message: Message, deadline: float) -> None:
        self._account = account
        self._message = message
        self._deadline = deadline
        self._until = SYSTEM.monotonic() + deadline
        self.client: Any = None
        #: What is being done, in words.
        self.step = "the connection"

    def run(self) -> list[str]:
        """Hold the conversation; in a thread of its own.

        Raises
        ------
        MailError
            If nobody gets the mail.
        """
        try:
            refused = self._converse()
        except smtplib.SMTPRecipientsRefused as error:
            raise self._error(_refusals(error.recipients), _codes(error.recipients)) from None
        except smtplib.SMTPResponseException as error:
            words = error.smtp_error
            text = words.decode("utf-8", "replace") if isinstance(words, bytes) else str(words)
            code = f"{error.smtp_code} " if error.smtp_code > 0 else "this is no answer: "
            raise self._error(code + text, [error.smtp_code], text) from None
        except ssl.SSLCertVerificationError as error:
            text = f"its certificate is not trusted: {error.verify_message}"
            raise self._error(text, [500]) from None
        except smtplib.SMTPNotSupportedError as error:
            raise self._error(str(error), [500]) from None
        except smtplib.SMTPServerDisconnected:
            raise self._error("the server closed the connection") from None
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise self._error(_reason(error)) from None
        return [self._clean(f"{name}: {text}") for name, text in _each(refused)] if refused else []

    def _converse(self) -> Mapping[str, Any]:
        account = self._account
        # Else smtplib asks the name server for our name, which may take long.
        ours = socket.gethostname().encode("ascii", "ignore").decode() or "localhost"
        options: dict[str, Any] = {"local_hostname": ours, "timeout": self._deadline}
        where = (account.host.strip("[]"), account.server_port)
        if account.security == "tls":
            client: smtplib.SMTP = _Tls(self, *where, context=_context(), **options)
        else:
            client = _Plain(self, *where, **options)
        try:
            if account.security == "starttls":
                self.step = "STARTTLS"
                client.starttls(context=_context())
            if account.user is not None and account.password is not None:
                self.step = "the login"
                client.login(account.user, account.password)
            self.step = "sending the mail"
            refused = client.send_message(self._message, account.sender, account.recipients)
            self.step = "the farewell"
            with suppress(smtplib.SMTPException, OSError):
                client.quit()
            return refused
        finally:
            client.close()

    def _error(self, text: str, codes: list[int] | None = None, words: str = "") -> MailError:
        place = f"{self._account.host}:{self._account.server_port}"
        lasting = bool(codes) and all(code >= LASTING for code in codes or ())
        too_large = codes == [TOO_LARGE] or words.startswith("5.3.4")
        limit = self._announced() if too_large else None
        return MailError(self._clean(f"{place}: {self.step}: {text}"), lasting=lasting, limit=limit)

    def _announced(self) -> int:
        """Return how large the server says that a mail may be (RFC 1870), 0 if it does not."""
        text = getattr(self.client, "esmtp_features", {}).get("size", "")
        return int(text) if text.isdecimal() and len(text) < 20 else 0

    def _clean(self, text: str) -> str:
        """Return a text of the server, which may repeat the password, in one line without it."""
        password, user = self._account.password, self._account.user or ""
        if password:
            forms = [password, f"\0{user}\0{password}", f"{user}\0{user}\0{password}"]
            for form in (password, *map(_base64, forms)):
                text = text.replace(form, MASK)
        return " ".join(text.split())[:MAX_TEXT]

    def abort(self) -> None:
        """Cut the connection, if there still is one; from another thread."""
        sock = getattr(self.client, "sock", None)
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


def _context() -> ssl.SSLContext:
    return ssl.create_default_context()


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _reason(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return f"there is no computer of this name ({error.strerror})"
    if isinstance(error, TimeoutError):
        return "no answer"
    return str(getattr(error, "strerror", None) or error) or type(error).__name__


def _each(refused: Mapping[str, Any]) -> list[tuple[str, str]]:
    texts = []
    for name, (code, words) in refused.items():
        text = words.decode("utf-8", "replace") if isinstance(words, bytes) else str(words)
        texts.append((name, f"{code} {text}"))
    return texts


def _refusals(refused: Mapping[str, Any]) -> str:
    return "; ".join(f"{name}: {text}" for name, text in _each(refused))


def _codes(refused: Mapping[str, Any]) -> list[int]:
    return [code for code, _ in refused.values()]
