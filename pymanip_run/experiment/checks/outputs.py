"""What concerns several keys of mail and server at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymanip_run import access
from pymanip_run.experiment.checks.finding import Finding, mapping, texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["check_email", "check_server", "inactive"]


def check_email(data: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong with `email`."""
    email = data.get("email")
    if not isinstance(email, dict):
        return
    missing = [key for key in ("from", "to") if not email.get(key)]
    for key in missing:
        example = {"from": "from: lab@example.org", "to": "to: [me@example.org]"}[key]
        yield Finding(("email",), f"{key!r} is missing; for example  {example}")
    host, user, password = (email.get(key) for key in ("host", "user", "password"))
    if password and not user:
        yield Finding(("email", "password"), "'user', whose password it is, is missing")
    if user and not password:
        yield Finding(("email", "user"), "the 'password' of this user is missing")
    if (
        password
        and email.get("security") == "none"
        and not access.is_loopback(str(host or "localhost"))
    ):
        text = "the password would cross the network unencrypted; use starttls or tls"
        yield Finding(("email", "security"), text, value=True)
    if "every" not in email and email.get("on") == []:
        alarms = mapping(data, "alarms")
        if not any("mail" in texts(mapping(alarms, name), "do") for name in alarms):
            text = "no mail will ever be sent: give 'every', or leave 'on' out"
            yield Finding(("email", "on"), text, value=True, warning=True)
    ends = {"finish", "error"} & set(texts(email, "on")) if "on" in email else {"finish"}
    if email.get("attach_report") is True and not ends:
        text = "the report goes with the mail about the end: add 'finish' to 'on'"
        yield Finding(("email", "attach_report"), text, value=True, warning=True)


def check_server(data: Mapping[str, Any], folder: Path) -> Iterator[Finding]:
    """Yield what is wrong with `server`; its files are relative to `folder`."""
    server = mapping(data, "server")
    if server.get("enabled") is False:
        return
    for key in ("cert", "key"):
        name = mapping(server, "tls").get(key)
        if isinstance(name, str) and name and not (folder / name).is_file():
            text = f"there is no file {name!r}"
            yield Finding(("server", "tls", key), text, value=True)
    if server.get("share") is True and server.get("token") == "none":
        text = "with 'share: true' everybody on the network can look in, without a token"
        yield Finding(("server", "token"), text, value=True, warning=True)


def inactive(data: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is valid but has no effect as things are, so that nobody relies on it."""
    if data.get("plots") and mapping(data, "server").get("enabled") is False:
        text = "without the dashboard, plots are drawn in windows only, where there is a screen, or with --offscreen"
        yield Finding(("plots",), text, warning=True)
