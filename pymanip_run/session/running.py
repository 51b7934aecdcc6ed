"""One run of a session: its tasks, its signals, and the record of its start and end."""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import sys
import threading
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    contextmanager,
    nullcontext,
    suppress,
)
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from pymanip_run import provenance
from pymanip_run.control import listening
from pymanip_run.core.context import process_start
from pymanip_run.errors import PymanipError, UsageError, causes
from pymanip_run.registry import RegisteredRun, Registration
from pymanip_run.runtime.endings import exit_code_of_failure
from pymanip_run.runtime.interrupts import Interrupts, Unhandled
from pymanip_run.runtime.supervise import Supervisor
from pymanip_run.runtime.tasks import normalise
from pymanip_run.runtime.threads import call_apart
from pymanip_run.runtime.turns import short_turns
from pymanip_run.session.beside import Beside
from pymanip_run.session.controlled import Controlled
from pymanip_run.session.last_words import record_last_words
from pymanip_run.session.plots import with_plots
from pymanip_run.session.serving import open_server
from pymanip_run.session.state import internals
from pymanip_run.session.sweeping import begin_sweeps

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping

    from pymanip_run.core.recorder import Recorder
    from pymanip_run.plotting.plot import Plot
    from pymanip_run.runtime.stop import StopSignal
    from pymanip_run.runtime.tasks import TaskSpec
    from pymanip_run.session.live import AsyncSession
    from pymanip_run.session.serving import ServerOptions, Serving
    from pymanip_run.session.sweeping import Resumption

__all__ = ["RunOptions", "discard", "ending", "run_tasks"]

logger = logging.getLogger(__name__)

HELD = 0.5  # seconds without an answer: something holds the loop

T = TypeVar("T")
#: Attributes and texts of a run.
Origin: TypeAlias = tuple[dict[str, Any], dict[str, str]]


@dataclass(frozen=True)
class RunOptions:
    """What a run needs to know besides its tasks."""

    duration: float = math.inf
    grace: float = 30.0
    force_after_grace: bool = False
    handle_signals: bool = True
    #: Each is called in the event loop and returns a coroutine that runs beside the tasks.
    observers: tuple[tuple[str, Callable[[Supervisor], Coroutine[Any, Any, object]]], ...] = ()
    #: Called in a signal handler before a third Ctrl-C ends the process, and when the terminal is gone.
    on_third: Callable[[int], object] | None = None
    on_hangup: Callable[[int], object] | None = None
    #: Entered before the tasks begin and left when they are through, within the recorded run.
    around: Callable[[], AbstractAsyncContextManager[object]] = nullcontext
    #: The experiment file, None for a script.
    experiment: Path | None = None
    #: The server, or how it is to be; None: no port is opened.
    server: ServerOptions | Serving | None = None
    #: What is plotted, besides what is among the tasks; whether into files, not in windows.
    plots: tuple[Plot, ...] = ()
    offscreen: bool = False
    #: Figures of the user, whose windows are kept alive.
    custom_figures: tuple[Any, ...] = ()
    #: Whether other processes of the user know of the run, and can control it.
    registered: bool = True
    #: Whether it is looked up where the data come from: computer, versions, git.
    traced: bool = True
    #: The resolved experiment file without its secrets, and the earlier run whose sweeps go on.
    file: Mapping[str, Any] = field(default_factory=dict)
    resumption: Resumption | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)


async def run_tasks(session: AsyncSession, tasks: Iterable[Any], options: RunOptions) -> None:
    """Run tasks as :meth:`AsyncSession.monitor` says, with all there is to choose."""
    state, tasks = internals(session), list(tasks)
    try:
        recorder = state.recorder
        if state.running:
            raise UsageError("this session runs already; one monitor() at a time")
        options = with_plots(session, tasks, options)
        tasks, beside = _divided(tasks)
        specs = normalise(tasks, session)
        course, resumed = begin_sweeps(session, specs, options.file, options.resumption)
        state.stop.clear()
        supervisor = Supervisor(
            state.stop,
            grace=options.grace,
            force_after_grace=options.force_after_grace,
            on_fault=lambda name, error: recorder.event(
                "error", name, f"{type(error).__name__}: {error}"
            ),
            tell=recorder.event,
            break_in=lambda: signals.push(),  # noqa: PLW0108 - they are made below
        )
        state.running, state.supervisor = True, supervisor
        try:
            serving = open_server(options.server)
            surroundings = _Surroundings(supervisor)
            signals = _signals(surroundings, options, recorder)
            surroundings.push = signals.push
            with short_turns(), signals, supervisor.taking_signals():
                try:
                    origin = await surroundings.cancellable(_prepared(options, serving))
                    origin[1].update(course)
                    with _recorded(session, options, origin, surroundings, serving):
                        for name, text in resumed:
                            recorder.event("resume", name, text)
                        await surroundings.run(specs, beside, options)
                finally:
                    surroundings.left = True
                    serving.close()
                if surroundings.forced:  # while the end was recorded
                    raise KeyboardInterrupt
        finally:
            state.running, state.supervisor = False, None
    finally:
        discard(tasks)


def _divided(tasks: list[Any]) -> tuple[list[Any], list[Beside]]:
    """Return the tasks, and what runs beside them; alone this is awaited like a task."""
    others = [task for task in tasks if not isinstance(task, Beside)]
    if not others:
        return tasks, []
    return others, [task for task in tasks if isinstance(task, Beside)]


class _Surroundings:
    """What comes before and after the tasks, which a second Ctrl-C cancels like the tasks themselves."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._supervising = self._have_run = self._has_hung_up = False
        self.forced = False
        #: What is cancelled from now on would be the code after ``monitor``.
        self.left = False
        self.interrupt = supervisor.interrupt
        #: Sends what `force` takes as a signal, which also ends a call that blocks the loop.
        self.push: Callable[[int], object] = lambda _: None
        #: The entry in the registry, once there is one.
        self.registration: Registration | None = None

    async def run(self, specs: list[TaskSpec], beside: list[Beside], options: RunOptions) -> None:
        """Enter the surroundings, run the tasks in them, and leave them."""
        await self.cancellable(self._run(specs, beside, options))

    async def _run(self, specs: list[TaskSpec], beside: list[Beside], options: RunOptions) -> None:
        async with options.around():
            for name, observer in options.observers:
                self._supervisor.background(observer(self._supervisor), name)
            for one in beside:
                self._supervisor.background(one.run(), one.name)
            self._supervising = True
            try:
                await self._supervisor.run(specs, duration=options.duration)
            finally:
                self._supervising, self._have_run = False, True

    async def cancellable(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Await something that a second Ctrl-C ends."""
        try:
            return await coroutine
        except asyncio.CancelledError:
            if self.forced:
                raise KeyboardInterrupt from None
            raise

    def force(self, signum: int | None) -> None:
        """Take the second signal, None when the time of grace is over; in a signal handler."""
        if signum is None and self._have_run:  # it came too late: teardown is never cut off
            return
        if not self._supervising and self._task is not None:
            self.forced = True
            self._loop.call_soon_threadsafe(self._cancel, self._task)
        self._supervisor.force(signum)

    def force_from_outside(self, signum: int) -> None:
        """Cancel the present steps, also one that holds the loop. In another thread."""
        done = threading.Event()

        def force() -> None:
            self.force(signum)
            done.set()

        with suppress(RuntimeError):  # closed
            self._loop.call_soon_threadsafe(force)
        if not done.wait(HELD):
            self.push(signum)

    def hung_up(self, _: int) -> None:
        """Take SIGHUP where no display does; in a signal handler."""
        if not self._has_hung_up:
            self._has_hung_up = True
            text = "the terminal was closed (SIGHUP); the run goes on"
            self._loop.call_soon_threadsafe(logger.warning, text)

    def _cancel(self, task: asyncio.Task[Any]) -> None:
        if not self.left:
            task.cancel()


@contextmanager
def _recorded(
    session: AsyncSession,
    options: RunOptions,
    origin: Origin,
    surroundings: _Surroundings,
    serving: Serving,
) -> Iterator[None]:
    """Record start and end of a run, in the session and in the registry; meanwhile it can be controlled."""
    state = internals(session)
    start = state.recorder.begin_run(*origin)
    registration = _register(session, options, start, origin[0])
    surroundings.registration = state.registration = registration
    outcome: BaseException | None = None
    try:
        with (
            _controlled(session, options, start, registration, surroundings),
            serving.running(session, start, options.duration, registration),
        ):
            yield
    except BaseException as error:
        outcome = error
        raise
    finally:
        code, reason = ending(state.stop, outcome)
        state.registration = None
        if registration is not None:
            registration.finish(code, reason)
        try:
            state.recorder.end_run(code, reason)
        except PymanipError as error:
            if outcome is None:
                raise
            logger.error("the end of the run could not be recorded: %s", error)  # noqa: TRY400 - what ended the run is raised


def discard(tasks: Iterable[Any]) -> None:
    """Close coroutines that nobody began, for which Python would warn that they were never awaited."""
    for task in tasks:
        if inspect.iscoroutine(task) and inspect.getcoroutinestate(task) == inspect.CORO_CREATED:
            task.close()


def _signals(
    surroundings: _Surroundings, options: RunOptions, recorder: Recorder
) -> Interrupts | Unhandled:
    if not options.handle_signals:
        return Unhandled()

    def on_third(signum: int) -> None:
        try:
            if options.on_third is not None:
                options.on_third(signum)
        finally:
            record_last_words(recorder, surroundings.registration, signum)

    return Interrupts(
        surroundings.interrupt,
        surroundings.force,
        on_third=on_third,
        on_hangup=options.on_hangup or surroundings.hung_up,
    )


async def _prepared(options: RunOptions, serving: Serving) -> Origin:
    """Return where the data will come from; meanwhile the server is made ready."""
    if not serving.is_open:
        return await _provenance(options)
    origin, _ = await asyncio.gather(_provenance(options), serving.prepare())
    return origin


async def _provenance(options: RunOptions) -> Origin:
    """Return where the data will come from; in a thread, because git may take a while to tell."""
    if not options.traced:
        return dict(options.attributes), dict(options.texts)
    script = None if options.experiment is not None else _script()
    code = options.experiment or script
    folder = code.parent if code is not None else None
    texts = await call_apart("provenance", provenance.texts, folder, script)
    return provenance.attributes() | dict(options.attributes), texts | dict(options.texts)


def _script() -> Path | None:
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    return Path(main).resolve() if main else None


def _controlled(
    session: AsyncSession,
    options: RunOptions,
    start: float,
    registration: Registration | None,
    surroundings: _Surroundings,
) -> AbstractContextManager[None]:
    """Return within what other processes can ask how the run is doing, and end it."""
    if registration is None:
        return nullcontext()
    about = {"experiment": registration.run.experiment, "title": registration.run.title}
    control = Controlled(session, surroundings.force_from_outside, start, options.duration, about)
    return listening(registration, control.handlers)


def _register(
    session: AsyncSession, options: RunOptions, start: float, attributes: Mapping[str, Any]
) -> Registration | None:
    if not options.registered:
        return None
    path = session.session_path
    return Registration(
        RegisteredRun(
            session=str(path) if path else "",
            pid=attributes["pid"],
            host=attributes["host"],
            start=start,
            experiment=str(options.experiment) if options.experiment else None,
            boot_id=attributes.get("boot_id"),
            process_start=process_start(attributes["pid"]),
            title=session.info().title,
        )
    )


def ending(stop: StopSignal, outcome: BaseException | None) -> tuple[int, str]:
    """Return exit code and reason of a run."""
    if outcome is None:
        return stop.exit_code, stop.reason or "all tasks ended"
    if isinstance(outcome, KeyboardInterrupt):
        words = f", cancelled {stop.cut}" if stop.cut else ""
        return max(stop.exit_code, 130), f"{stop.reason or 'Ctrl-C'}{words}"
    if isinstance(outcome, asyncio.CancelledError):
        return 1, "cancelled"
    code = exit_code_of_failure(outcome)
    cause = causes(outcome)[0]
    first = str(cause).partition("\n")[0]
    text = f"{type(cause).__name__}: {first}" if first else type(cause).__name__
    if stop.exit_code > 1 and stop.exit_code != code:
        # What asked for the stop, an alarm for example, is the cause, and the rest follows from it.
        return stop.exit_code, f"{stop.reason}; {text}"
    return code, text
