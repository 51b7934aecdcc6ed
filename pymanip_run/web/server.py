"""The server, in a thread of its own with an event loop of its own.

With the tasks it shares the interpreter and nothing else: no request waits for a task, and no task
for a request.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import threading
from concurrent.futures import Future
from contextlib import ExitStack
from typing import TYPE_CHECKING

from aiohttp import web

from pymanip_run import access
from pymanip_run.runtime.threads import Worker, call_in
from pymanip_run.runtime.turns import short_turns
from pymanip_run.web.app import Site
from pymanip_run.web.gate import Gate
from pymanip_run.web.guard import Guard, full_names
from pymanip_run.web.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymanip_run.web.ports import Listening
    from pymanip_run.web.settings import Policy, Watched

__all__ = ["Server"]

logger = logging.getLogger(__name__)

KEEPALIVE_SECONDS = 15.0
#: For the rest of a body that was refused, so that its sender hears why.
LINGER_SECONDS = 0.5
TICK_SECONDS = 0.2
TOKEN_SECONDS = 2.0
CLOSE_SECONDS = 1.0
#: For the clients' last answer: how the run ended.
FAREWELL_SECONDS = 0.1


class Server:
    """Serves a session until it is closed.

    Parameters
    ----------
    watched
        What is shown.
    listening
        The sockets; closed with the server.
    policy
        Who gets in.
    on_fault
        Is called, in the server's thread, with what ended it too early.
    """

    def __init__(
        self,
        watched: Watched,
        listening: Listening,
        policy: Policy,
        on_fault: Callable[[BaseException], object] | None = None,
    ) -> None:
        self._watched = watched
        self._listening = listening
        self._policy = policy
        self._on_fault = on_fault
        self.tokens = Tokens(policy, watched.view.info().uuid)
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._turns = ExitStack()
        self._ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._work, name="dashboard", daemon=True)

    @property
    def port(self) -> int:
        """The port."""
        return self._listening.port

    @property
    def url(self) -> str:
        """The address of the page: as this computer reaches it, or others where it is shared."""
        listening = self._listening
        host = listening.at or (socket.gethostname() if listening.shared else "localhost")
        return access.Address(host, self.port, tls=self._policy.tls is not None).url

    @property
    def link(self) -> str:
        """The address with the token."""
        return access.link(self.url, self.tokens.link_token)

    def start(self) -> None:
        """Begin to serve."""
        self._turns.enter_context(short_turns())
        self._thread.start()

    def wait_until_ready(self, seconds: float = 10.0) -> None:
        """Return when it answers."""
        self._ready.result(seconds)

    def close(self) -> None:
        """End it. Waits for last words to the clients, but not for the clients."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join(CLOSE_SECONDS)
        self._listening.close()
        self._turns.close()

    # -- the thread -----------------------------------------------------------------------------

    def _work(self) -> None:
        # A signal must end what the main thread waits for; here it would end nothing.
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        except BaseException as error:
            logger.exception("the server failed; the run goes on without it")
            if not self._ready.done():
                self._ready.set_exception(error)
            if self._on_fault is not None:
                self._on_fault(error)
        finally:
            self._listening.close()

    async def _serve(self) -> None:
        guard = Guard(
            self.tokens, self.port, [*self._policy.allowed_hosts, self._listening.at or ""]
        )
        gate: Gate | None = None
        site = Site(
            self._watched, guard, lambda transport: gate.served(transport) if gate else None
        )
        runner = web.AppRunner(
            site.app, handle_signals=False, access_log=None, logger=_QUIET,
            keepalive_timeout=KEEPALIVE_SECONDS, lingering_time=LINGER_SECONDS, shutdown_timeout=0.2,
        )  # fmt: skip
        await runner.setup()
        assert runner.server is not None  # noqa: S101 - it was set up
        gate = Gate(self._listening.sockets, runner.server, self._policy.tls)
        gate.start()
        self._ready.set_result(None)
        chores = [
            asyncio.create_task(chore)
            for chore in (self._keep_up(site), self._adopt_tokens(), _learn_names(guard))
        ]
        try:
            await self._over.wait()
        finally:
            for chore in chores:
                chore.cancel()
            await asyncio.gather(*chores, return_exceptions=True)
            site.api.finish()
            if gate.connections:
                await asyncio.sleep(FAREWELL_SECONDS)
            await gate.close()
            await runner.cleanup()
            site.close()

    async def _keep_up(self, site: Site) -> None:
        """Take in what is recorded, while somebody watches."""
        while True:
            site.api.recent.absorb()
            await asyncio.sleep(TICK_SECONDS)

    async def _adopt_tokens(self) -> None:
        """Look for rotated tokens; in a thread, for a home on the network may not answer."""
        worker = Worker("dashboard: tokens")
        try:
            while True:
                await asyncio.sleep(TOKEN_SECONDS)
                if await call_in(worker, self.tokens.refresh):
                    logger.info("the dashboard goes by the new token now")
        finally:
            worker.shutdown(wait=False)


async def _learn_names(guard: Guard) -> None:
    worker = Worker("dashboard: names")
    try:
        guard.add_names(await call_in(worker, full_names))
    finally:
        worker.shutdown(wait=False)


#: Bad requests are the clients' affair; faults of ours are logged where they happen.
_QUIET = logging.getLogger("pymanip_run.web.aiohttp")
_QUIET.setLevel(logging.CRITICAL)
