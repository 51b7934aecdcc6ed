"""Refusals, as every route gives them: ``{"error": {"code", "message", "hint"}}``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from pymanip_run.web.encode import dumps

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Refusal", "refusal"]


class Refusal(Exception):  # noqa: N818 - it is an answer
    """Ends a request with an error that a person can act on."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        hint: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.hint = hint
        self.headers = dict(headers or {})


def refusal(error: Refusal) -> web.Response:
    """Return the answer."""
    content = {"error": {"code": error.code, "message": str(error), "hint": error.hint}}
    return web.Response(
        status=error.status,
        body=dumps(content),
        content_type="application/json",
        charset="utf-8",
        headers=error.headers,
    )
