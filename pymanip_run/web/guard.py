"""Who gets in: tokens, cookies, host names, and where a request may come from.

Rebinding: a page of somebody else can let its own name mean this computer, and its scripts then
ask the server as if they were its own. They cannot change the ``Host`` that the browser sends.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections import OrderedDict, deque
from contextvars import ContextVar
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohttp import web

from pymanip_run.clock import SYSTEM
from pymanip_run.web.failures import Refusal, refusal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from pymanip_run.web.tokens import Role, Tokens

__all__ = [
    "BEGUN",
    "CUSTOM",
    "ROLE",
    "Guard",
    "address_group",
    "client_of",
    "full_names",
    "harden",
]

#: What the sender of the present request may do.
ROLE: ContextVar[Role | None] = ContextVar("role", default=None)
#: The routes of the user: what their pages may do, they say themselves.
CUSTOM: web.AppKey[set[web.AbstractRoute]] = web.AppKey("custom", set)
#: Whether the answer to a request has got a head, for then it can get no other.
BEGUN: web.RequestKey[bool] = web.RequestKey("begun", bool)
WRONG_TOKENS = 10
WRONG_SECONDS = 60.0
#: Of these addresses the wrong tokens are counted; the oldest is forgotten for a new one.
KNOWN_ADDRESSES = 4096
LOOPBACK = {"localhost", "localhost.localdomain", "ip6-localhost"}
#: What holds no data, so that a browser can load it before it has logged in.
PUBLIC = {"/", "/healthz", "/login", "/favicon.ico"}
SAFE = {"GET", "HEAD"}
NO_STORE = "no-store"
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.%]+)\]|([^\s/@\\?#:\[\]]+))(?::\d{1,5})?")
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
CUSTOM_HEADERS = {**HEADERS, "Content-Security-Policy": "frame-ancestors 'none'"}


class Guard:
    """Lets requests in, or not.

    Parameters
    ----------
    tokens
        What is accepted.
    port
        Of the server; cookies ignore ports, so it is in their name.
    allowed_hosts
        Names of this computer besides those that it knows.
    """

    def __init__(self, tokens: Tokens, port: int, allowed_hosts: Iterable[str] = ()) -> None:
        self.tokens = tokens
        self._names: set[str] = set()
        self.add_names([socket.gethostname(), *allowed_hosts])
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()
        self._good_hosts: set[str] = set()
        self._good_bearers: dict[str, tuple[int, Role]] = {}
        self.cookie_name = f"pymanip_run_{port}"

    def add_names(self, names: Iterable[str]) -> None:
        """Accept more names of this computer."""
        for name in names:
            plain = name.lower().strip("[]").rstrip(".")
            self._names |= {plain} if plain else set()

    @web.middleware
    async def middleware(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        """Answer a request, or refuse it."""
        try:
            ROLE.set(self._admitted(request))
            response = await handler(request)
        except (Refusal, web.HTTPException) as error:
            if BEGUN in request:
                raise
            response = refusal(error if isinstance(error, Refusal) else _as_refusal(error))
        if not response.prepared:
            harden(request, response)
        return response

    def _admitted(self, request: web.Request) -> Role | None:
        role = self._bearer(request)
        if role is None:
            self._check_host(request)
            role = self._cookie(request)
        if request.method not in SAFE or "Upgrade" in request.headers:
            check_origin(request)
        if role is None and self.tokens.is_open:
            role = "read"
        if role is None and not is_public(request):
            raise Refusal(
                401, "no_token", "a token is needed",
                "open the link that the run printed, or `pymanip-run open`; programs send "
                "'Authorization: Bearer TOKEN', which `pymanip-run token` tells",
                {"WWW-Authenticate": 'Bearer realm="pymanip-run"'},
            )  # fmt: skip
        return role

    # -- tokens ---------------------------------------------------------------------------------

    def _bearer(self, request: web.Request) -> Role | None:
        header = request.headers.get("Authorization")
        if header is None:
            return None
        changes = self.tokens.changes  # read first: tokens are adopted in another thread meanwhile
        known = self._good_bearers.get(header)
        if known is not None and known[0] == changes:
            return known[1]
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token.strip() or self._is_needless(token):
            return None
        role = self.check_token(token, client_of(request))
        self._good_bearers = {header: (changes, role)}
        return role

    def _is_needless(self, token: str) -> bool:
        """Tell whether a token is none of ours where none is needed: programs send what they have."""
        return self.tokens.is_open and self.tokens.role_of(token) is None

    def check_token(self, token: str, client: str) -> Role:
        """Return what a token is good for.

        Raises
        ------
        Refusal
            If it is wrong.
        """
        role = self.tokens.role_of(token)
        if role is not None:
            return role
        now = SYSTEM.monotonic()
        tries = self._wrong.setdefault(client, deque(maxlen=WRONG_TOKENS))
        self._wrong.move_to_end(client)
        if len(self._wrong) > KNOWN_ADDRESSES:
            self._wrong.popitem(last=False)
        if len(tries) == WRONG_TOKENS and now - tries[0] < WRONG_SECONDS:
            wait = str(int(WRONG_SECONDS - (now - tries[0])) + 1)
            raise Refusal(
                429, "too_many_wrong_tokens", "too many wrong tokens from this address",
                f"wait {wait} s; the right token works at once", {"Retry-After": wait},
            )  # fmt: skip
        tries.append(now)
        raise Refusal(
            401, "wrong_token", "this token is not the one of this run",
            "on its computer, as its user:  pymanip-run token",
            {"WWW-Authenticate": 'Bearer realm="pymanip-run", error="invalid_token"'},
        )  # fmt: skip

    def _cookie(self, request: web.Request) -> Role | None:
        if "Cookie" not in request.headers:
            return None
        value = request.cookies.get(self.cookie_name)
        return None if value is None else self.tokens.role_of_cookie(value, self.cookie_name)

    def log_in(self, request: web.Request, token: str) -> web.Response:
        """Answer with the cookie that stands for a token.

        Raises
        ------
        Refusal
            If it is wrong.
        """
        if self._is_needless(token):
            return web.json_response({"role": "read"})
        role = self.check_token(token, client_of(request))
        response = web.json_response({"role": role})
        response.set_cookie(
            self.cookie_name,
            self.tokens.cookie(role, self.cookie_name),
            httponly=True,
            samesite="Strict",
            secure=request.secure,
            path="/",
        )
        return response

    # -- hosts ----------------------------------------------------------------------------------

    def _check_host(self, request: web.Request) -> None:
        host = request.headers.get("Host", "")
        if host in self._good_hosts:
            return
        name = host_name(host)
        if not self.knows(name):
            shown = name if name and len(name) < 256 else "HOST"
            raise Refusal(
                403, "unknown_host", f"this computer does not know itself as {shown!r}",
                f"if that is its name, add it to the experiment file:  server: {{allowed_hosts: [{shown}]}}",
            )  # fmt: skip
        if len(self._good_hosts) < 100:
            self._good_hosts.add(host)

    def knows(self, name: str | None) -> bool:
        """Tell whether a host name means this computer, as far as others cannot choose it."""
        if not name:
            return False
        name = name.lower().rstrip(".")
        if name in LOOPBACK or name.endswith((".localhost", ".local")) or name in self._names:
            return True
        return _is_literal(name)


def check_origin(request: web.Request) -> None:
    """Refuse what the page of another server asks for.

    Raises
    ------
    Refusal
        If it comes from elsewhere, or is no JSON.
    """
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site is not None and site not in ("same-origin", "none"):
        raise _foreign()
    if origin is not None:
        try:
            parts = urlsplit(origin)
        except ValueError:
            raise _foreign() from None
        scheme = "https" if request.secure else "http"
        if (
            parts.scheme != scheme
            or parts.netloc.lower() != request.headers.get("Host", "").lower()
        ):
            raise _foreign()
    has_cookie = "Cookie" in request.headers and "Authorization" not in request.headers
    if request.method not in SAFE and has_cookie and site is None and origin is None:
        raise _foreign()
    if request.method == "POST" and request.content_type != "application/json":
        raise Refusal(
            415, "not_json", "a post needs the content type application/json",
            "send the header 'Content-Type: application/json'",
        )  # fmt: skip


def _foreign() -> Refusal:
    return Refusal(
        403, "foreign_origin", "this came from the page of another server",
        "open the dashboard itself, by the link that the run printed",
    )  # fmt: skip


def is_public(request: web.Request) -> bool:
    """Tell whether a path holds no data; what the user has mounted below such a one may hold some."""
    if request.match_info.route in request.app[CUSTOM]:
        return False
    return request.path in PUBLIC or request.path.startswith(("/static/", "/plot/"))


def harden(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Tell the browser what it must not do with an answer."""
    headers = response.headers
    if isinstance(request, web.Request) and request.match_info.route in request.app[CUSTOM]:
        for name, value in CUSTOM_HEADERS.items():
            headers.setdefault(name, value)
    else:
        headers.update(HEADERS)
    headers.setdefault("Cache-Control", NO_STORE)


def client_of(request: web.BaseRequest) -> str:
    """Return the address a request comes from; of IPv6 the network, which one person has for themselves."""
    return address_group(request.remote or "")


def address_group(text: str) -> str:
    """Return what counts as one address."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return text
    if address.version == 6:
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        if not address.is_loopback:
            return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def host_name(host: str) -> str | None:
    """Return the name in a ``Host`` header, without port and brackets; None if it is none."""
    found = _HOST.fullmatch(host)
    return None if found is None else found[1] or found[2]


def _is_literal(name: str) -> bool:
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


def full_names() -> set[str]:
    """Return the names of this computer that its network knows. May wait for the network."""
    try:
        found = socket.getaddrinfo(socket.gethostname(), None, flags=socket.AI_CANONNAME)
    except OSError:
        return set()
    return {entry[3] for entry in found if entry[3]}


def _as_refusal(error: web.HTTPException) -> Refusal:
    """Return aiohttp's own refusals (no such path, body too large, …) in our words."""
    code = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}.get(
        error.status, "refused"
    )
    hint = {413: "send less"}.get(error.status, "the routes are described at /api/v1/openapi.json")
    headers = {key: error.headers[key] for key in ("Allow", "Location") if key in error.headers}
    return Refusal(error.status, code, (error.reason or "refused").lower(), hint, headers)
