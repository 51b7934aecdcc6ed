"""The server of an experiment: from the file's `server` and `parameters` to its options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymanip_run.session.serving import ServerOptions
from pymanip_run.web.settings import Tunable

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymanip_run.experiment.build.plan import Plan
    from pymanip_run.session.serving import Told

__all__ = ["server_options"]

EVERYWHERE = "0.0.0.0"  # noqa: S104 - where the user shares it
HERE = "127.0.0.1"


def server_options(
    plan: Plan,
    *,
    port: int | None = None,
    share: bool = False,
    tell: Callable[[Told], object] | None = None,
) -> ServerOptions | None:
    """Return how the server of a plan is to be; None: there is none.

    Parameters
    ----------
    plan
        What is run.
    port, share
        Take the place of ``server.port`` and ``server.share``.
    tell
        Is told where it is.
    """
    model, folder = plan.loaded.model, plan.loaded.folder
    server = model.server
    if not server.enabled:
        return None
    chosen = server.port if port is None else port
    return ServerOptions(
        host=EVERYWHERE if share or server.share else HERE,
        port=chosen,
        token=server.token,
        control=server.control,
        allowed_hosts=tuple(server.allowed_hosts),
        tls=(folder / server.tls.cert, folder / server.tls.key) if server.tls else None,
        strict=True,
        tunable={
            name: Tunable(one.tunable.min, one.tunable.max)
            for name, one in model.parameters.items()
            if one.tunable is not None
        },
        tell=tell,
    )
