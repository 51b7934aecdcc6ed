"""The port of the dashboard: which it will be, and who has it now."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pymanip_run.experiment.model.outputs import Server
    from pymanip_run.registry import RegisteredRun

__all__ = ["DEFAULT_PORT", "PortForecast", "forecast_port"]

DEFAULT_PORT = 6913


@dataclass(frozen=True)
class PortForecast:
    """Where the dashboard will be."""

    enabled: bool
    #: None: any free one, or none at all.
    port: int | None
    share: bool
    free: bool | None
    #: Who has the port, as far as that is known.
    taken_by: str | None = None


def forecast_port(server: Server, runs: Iterable[RegisteredRun]) -> PortForecast:
    """Return where the dashboard of a run would be, and whether that is free."""
    if not server.enabled or server.port == 0:
        return PortForecast(server.enabled, None, server.share, None)
    port = server.port or DEFAULT_PORT
    free = _is_free(port)
    owner = next((run for run in runs if run.port == port and run.is_running), None)
    taken = None
    if not free and owner is not None:
        name = Path(owner.session).name if owner.session else "a session in memory"
        taken = f"{name} (process {owner.pid})"
    return PortForecast(server.enabled, port, server.share, free, taken)


def _is_free(port: int) -> bool:
    """Tell whether the port could be opened now. It is not listened on: nobody notices."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return error.errno not in (errno.EADDRINUSE, errno.EACCES)
    return True
