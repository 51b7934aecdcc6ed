"""The tokens that a server accepts, and the cookies made from them."""

from __future__ import annotations

import hashlib
import hmac
import logging
from typing import TYPE_CHECKING, Literal

from pymanip_run import access
from pymanip_run.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymanip_run.web.settings import Policy

__all__ = ["Role", "Tokens"]

logger = logging.getLogger(__name__)

Role = Literal["read", "control"]


class Tokens:
    """What gets in, and as what.

    Parameters
    ----------
    policy
        Which tokens there are.
    session
        What the cookies are good for besides: those of another session's server are none.

    Attributes
    ----------
    is_open : bool
        Whether no token is needed to read.
    shown : str or None
        The token to read that is no file's: it must be told to the user.
    """

    def __init__(self, policy: Policy, session: str = "") -> None:
        self._policy = policy
        self._session = session
        self.is_open = policy.token == "none"  # noqa: S105 - it says that there is none
        self.shown: str | None = None
        self.changes = 0
        self._tokens: dict[Role, str] = {}
        self._from_files: dict[Role, str] = {}
        if policy.token == "user":  # noqa: S105
            self._load("read")
        elif not self.is_open:
            self.shown = policy.token
            access.check_chosen(policy.token)
            self._tokens["read"] = access.normalised(policy.token)
        if policy.control:
            self._load("control")

    def _load(self, role: Role) -> None:
        """Take the user's token, or one for this run where it cannot be kept."""
        try:
            token = access.user_token(control=role == "control")
        except UsageError as error:  # before the others: it is a RuntimeError, too
            token = self._meanwhile(role, f"{error}\nmeanwhile one for this run")
            self._from_files[role] = ""  # until one was made
        except (OSError, RuntimeError) as error:
            folder = "your configuration folder"
            token = self._meanwhile(
                role, f"no token can be kept in {folder} ({error}); one for this run"
            )
        else:
            self._from_files[role] = token
        self._tokens[role] = access.normalised(token)

    def _meanwhile(self, role: Role, why: str) -> str:
        """Return a token that is kept nowhere, and tell it."""
        token = access.new_token()
        logger.warning("%s: %s", why, token)
        if role == "read":
            self.shown = token
        return token

    @property
    def link_token(self) -> str | None:
        """The token that the link carries: only ever the one that reads."""
        return self.shown or self._from_files.get("read")

    def refresh(self) -> bool:
        """Adopt tokens that were rotated; return whether there were any. Reads files."""
        changed = False
        for role in tuple(self._from_files):
            try:
                token = access.read_token(access.token_path(control=role == "control"))
            except (OSError, RuntimeError, UsageError) as error:
                logger.debug("the token cannot be read again: %s", error)
                continue
            # A file that was removed lets nobody in who was not in before.
            if token is not None and access.normalised(token) != self._tokens[role]:
                self._from_files[role] = token
                self._tokens[role] = access.normalised(token)
                if role == "read":
                    self.shown = None
                self.changes += 1
                changed = True
        return changed

    def role_of(self, token: str) -> Role | None:
        """Return what a token is good for; None for a wrong one. Takes the same time for each."""
        return self._matching(access.normalised(token), lambda own: own)

    def cookie(self, role: Role, name: str) -> str:
        """Return the value of the cookie that stands for a token. It ends with the token and the session."""
        return self._seal(self._tokens[role], name)

    def role_of_cookie(self, value: str, name: str) -> Role | None:
        """Return what a cookie is good for."""
        return self._matching(value, lambda own: self._seal(own, name))

    def _seal(self, token: str, name: str) -> str:
        sealed = f"cookie {name} {self._session}".encode()
        return hmac.new(token.encode(), sealed, hashlib.sha256).hexdigest()

    def _matching(self, given: str, wanted: Callable[[str], str]) -> Role | None:
        found: Role | None = None
        text = given.encode("utf-8", "replace")
        for role in ("read", "control"):
            own = self._tokens.get(role)
            if own is not None and hmac.compare_digest(text, wanted(own).encode()):
                found = role
        return found
