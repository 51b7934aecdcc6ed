"""What an experiment shows and sends: plots, mail and the server, in the experiment file."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from pymanip_run.experiment.model.fields import (
    ALSO_ONE,
    FREE_KEYS,
    ONE_OR_MANY,
    AlsoAccepts,
    Name,
    OtherPort,
    Period,
    Port,
    Strict,
)

__all__ = ["AnyPlot", "Email", "Plot", "Server", "Tls"]


class Plot(Strict):
    """A figure: variables over time, or one over another."""

    model_config = ConfigDict(
        json_schema_extra={
            **FREE_KEYS,
            "oneOf": [{"required": ["variables"]}, {"required": ["x", "y"]}],
            "dependentRequired": {"x": ["y"], "y": ["x"]},
        }
    )

    title: str | None = Field(default=None, description="What stands above it.")
    variables: Annotated[list[Name], Field(min_length=1), ONE_OR_MANY, ALSO_ONE] | None = Field(
        default=None, description="Logged variables that are drawn over time."
    )
    x: Name | None = Field(default=None, description="What is drawn along the horizontal axis.")
    y: Name | None = Field(default=None, description="What is drawn over `x`.")
    scale: Literal["linear", "log"] = Field(default="linear", description="The vertical axis.")
    window: Period | None = Field(
        default=None, description="How much of the past is shown. Left out: all."
    )


def _plot(value: Any) -> Any:
    if isinstance(value, str):
        text = f"a plot is a list of variables in the list of plots: write [[{value}]]"
        raise ValueError(text)  # noqa: TRY004 - pydantic's contract
    return {"variables": value} if isinstance(value, list) else value


_NAMES = {"type": "array", "minItems": 1, "items": {"type": "string"}}
AnyPlot = Annotated[Plot, BeforeValidator(_plot), AlsoAccepts(_NAMES)]

_ADDRESS = re.compile(r"[^@\s<>,;\"]+@[^@\s<>,;\"]+|[^<>\r\n]*<[^@\s<>,;\"]+@[^@\s<>,;\"]+>")
_HOST = re.compile(r"[^\s/@,;\"']+")


def _address(value: str) -> str:
    if not _ADDRESS.fullmatch(value.strip()):
        raise ValueError(f"{value!r} is not an address; write for example me@example.org")
    return value.strip()


def _host(value: str) -> str:
    if "://" in value:
        raise ValueError(f"a host name is needed, without 'https://' and the like: not {value!r}")
    if not _HOST.fullmatch(value) or (value.count(":") == 1 and not value.startswith("[")):
        raise ValueError(
            f"a host name alone is needed, for example labpc.example.org: not {value!r}"
        )
    return value


#: A mail address, also as ``Name <address>``.
Address = Annotated[str, AfterValidator(_address), Field(json_schema_extra={"pattern": "@"})]
#: The name or the number of a computer.
Host = Annotated[str, AfterValidator(_host)]
Occasion = Literal["alarm", "error", "finish"]


class Email(Strict):
    """Mails about the run. What is left out may stand in the user's own configuration."""

    host: Host = Field(default="localhost", description="The mail server.")
    port: OtherPort | None = Field(
        default=None,
        description="Its port. Left out: 587 with starttls, 465 with tls, 25 with none.",
    )
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="How the connection is encrypted."
    )
    user: str | None = Field(default=None, min_length=1, description="The name to log in with.")
    password: str | None = Field(
        default=None,
        min_length=1,
        description="The password to log in with; better a reference to the environment.",
        examples=["${LAB_SMTP_PASSWORD:?set LAB_SMTP_PASSWORD to the mailbox password}"],
    )
    from_: Address | None = Field(
        default=None, alias="from", description="The sender; needed for mails."
    )
    to: Annotated[list[Address], ONE_OR_MANY, ALSO_ONE] = Field(
        default=[], description="The receivers: one or a list; needed for mails."
    )
    every: Period | None = Field(
        default=None, description="Time between two reports. Left out: no reports."
    )
    on: Annotated[list[Occasion], ONE_OR_MANY, ALSO_ONE] = Field(
        default=["alarm", "error", "finish"], description="What a mail is sent on besides."
    )
    min_interval: Period = Field(
        default=900.0, description="The shortest time between two mails of the same kind."
    )
    attach_report: bool = Field(
        default=False,
        description="Whether the report of the session goes with the mail about the end of the run.",
    )


class Tls(Strict):
    """Certificate and key of the server, as files beside the experiment file."""

    cert: str = Field(min_length=1, description="File of the certificate, PEM.")
    key: str = Field(min_length=1, description="File of its private key, PEM.")


class Server(Strict):
    """The dashboard in the browser."""

    enabled: bool = Field(default=True, description="Whether there is a server.")
    port: Port | None = Field(
        default=None,
        description="Its port; 0: any free one. Left out: 6913 or the next free one.",
        examples=[6913],
    )
    share: bool = Field(
        default=False, description="Whether other computers can reach it; else this one only."
    )
    token: Literal["user", "run", "none"] = Field(
        default="user",
        description="What lets a browser in: one token per user, made once; a new one for each run; or nothing.",
    )
    allowed_hosts: Annotated[list[Host], ONE_OR_MANY, ALSO_ONE] = Field(
        default=[], description="More names under which browsers may ask for this computer."
    )
    tls: Tls | None = Field(
        default=None, description="Certificate and key; left out: no encryption."
    )
    control: bool = Field(
        default=False,
        description="Whether holders of the control token may stop the run and change tunable parameters.",
    )
