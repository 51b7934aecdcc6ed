"""`AsyncSession`: the façade over recorder, store and runtime."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from pymanip_run.access import DEFAULT_PORT
from pymanip_run.clock import SYSTEM
from pymanip_run.core.feed import Feed
from pymanip_run.core.recorder import Recorder
from pymanip_run.core.view import SessionView
from pymanip_run.errors import UsageError
from pymanip_run.plotting.custom import figures_of
from pymanip_run.runtime.sweep import Sweep
from pymanip_run.runtime.threads import call_in
from pymanip_run.session.attributes import GuardedAttributes
from pymanip_run.session.path import readable_file, session_file
from pymanip_run.session.ready_made import ReadyMadeTasks
from pymanip_run.session.running import RunOptions, discard, run_tasks
from pymanip_run.session.serving import ServerOptions
from pymanip_run.session.state import LiveState, open_for_writing
from pymanip_run.storage.memory import MemoryStore
from pymanip_run.storage.reading import open_store
from pymanip_run.storage.store import FileStore

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from pymanip_run.records import Event

__all__ = ["AsyncSession"]


class AsyncSession(GuardedAttributes, ReadyMadeTasks, SessionView):
    """An experiment session: records, runs tasks, and reads what it recorded.

    Parameters
    ----------
    session_name
        Name or path of the session file, ``.h5`` is added; None: everything stays in memory.
    verbose
        Print the dates of a session that is continued.
    delay_save
        Accepted for old scripts and without effect: every call is stored when it returns, and
        nothing has to be given up for speed.
    exist_ok
        Continue an existing session; otherwise `FileExistsError`.
    readonly
        Only read; a missing file is a `FileNotFoundError` and none is created.
    checkpoint_period
        Seconds between two updates of the HDF5 file; entries are safe before.
    sync_period
        Seconds between two syncs of the journal: what a power cut can cost.
    title
        What a new session is about, for displays; its name by default.

    Raises
    ------
    SessionLockedError
        If another process writes the session.
    DamagedFileError, NewerFormatError, StorageError
        If the file is not a session, of a newer format, or cannot be written.
    """

    _session: LiveState

    def __init__(
        self,
        session_name: str | os.PathLike[str] | None = None,
        verbose: bool = True,
        delay_save: bool = False,
        exist_ok: bool = True,
        readonly: bool = False,
        *,
        checkpoint_period: float = 5.0,
        sync_period: float = 0.2,
        title: str | None = None,
    ) -> None:
        del delay_save
        feed, existed = Feed(), False
        if session_name is None:
            name = "session in memory"
            memory = MemoryStore()
            state = LiveState(memory, name, Recorder(memory, feed), feed)
        else:
            path = (readable_file if readonly else session_file)(session_name)
            existed = path.exists()
            if existed and not exist_ok:
                raise FileExistsError(
                    f"{path} exists; choose another name, or leave out exist_ok=False"
                )
            if readonly:
                state = LiveState(open_store(path), path.stem, None, feed)
            else:
                state = open_for_writing(path, feed, title, checkpoint_period, sync_period)
        self.__dict__["_session"] = state
        if not readonly and type(self).add_entry is AsyncSession.add_entry:
            # Without a call in between: it may be called thousands of times a second.
            self.__dict__["add_entry"] = state.recorder.add_entry
        if verbose and existed:
            self.print_welcome()

    def __enter__(self) -> Self:
        self._session  # noqa: B018 - tells a subclass that did not call super().__init__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Bring everything into the session file and release it. Reading goes on to work."""
        self._session.device_calls.close()
        self._session.release_worker()
        self._session.store.close()

    # -- write ----------------------------------------------------------------------------------

    def add_entry(self, /, *dicts: Mapping[str, Any], **values: Any) -> None:
        """Log scalars under one timestamp; on return they are safe against a crash.

        Raises
        ------
        TypeError, OverflowError
            If a value is no number, or an integer too large for float64; nothing of the call is stored.
        StorageError
            If it could not be written; nothing of the call is stored.
        """
        self._session.recorder.add_entry(*dicts, **values)

    def add_dataset(self, /, *dicts: Mapping[str, Any], **values: Any) -> None:
        """Store arrays, or plain values, each as a record of the dataset of its name.

        Raises
        ------
        TypeError, ValueError
            If a value cannot be stored, or is 4 GiB or more.
        StorageError
            If it could not be written.
        """
        self._session.recorder.add_dataset(*dicts, **values)

    async def aadd_dataset(self, /, *dicts: Mapping[str, Any], **values: Any) -> None:
        """Do as :meth:`add_dataset`, in a thread: for large arrays, which must not change meanwhile."""
        inside = self._session
        # Not a thread of asyncio: hung calls of tasks may hold all of them.
        await call_in(inside.worker, inside.recorder.add_dataset, *dicts, **values)

    def save_parameter(self, /, *dicts: Mapping[str, Any], **values: Any) -> None:
        """Set parameters: numbers, truth values, texts. The change of one is an event."""
        self._session.recorder.save_parameter(*dicts, **values)

    def save_metadata(self, /, *dicts: Mapping[str, Any], **texts: Any) -> None:
        """Set metadata: texts, or what JSON can hold. The change of an item is an event."""
        self._session.recorder.save_metadata(*dicts, **texts)

    def describe(
        self,
        name: str,
        unit: str | None = None,
        label: str | None = None,
        format: str | None = None,
        period: float | str | None = None,
    ) -> None:
        """Say how a variable is shown and exported, and after which period its value counts as stale."""
        self._session.recorder.describe(name, unit, label, format, period)

    def note(self, text: str, source: str | None = None) -> Event:
        """Store a timestamped remark, and return the event."""
        return self._session.recorder.note(text, source)

    def sync(self) -> None:
        """Return when all is on disk."""
        self._session.recorder  # noqa: B018 - refuses a session that is open for reading only
        store = self._session.store
        if isinstance(store, (FileStore, MemoryStore)):
            store.sync()

    async def async_sync(self) -> None:
        """Return when all is on disk; meanwhile others run."""
        await call_in(self._session.worker, self.sync)

    def save_remote_data(self, data: Mapping[str, Any]) -> None:
        """Store what a remote observer recorded: series as datasets, single values as parameters."""
        for name, value in data.items():
            if name == "parameters" and isinstance(value, Mapping):
                self.save_parameter(value)
            elif isinstance(value, Mapping):
                self.add_dataset({name: value["value"], f"{name}_time": value["t"]})
            elif hasattr(value, "__len__") and not isinstance(value, str):
                self.add_dataset({name: value})
            else:
                self.save_parameter({name: value})

    # -- run ------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether tasks run and were not asked to stop. Setting it to False asks them."""
        return self._session.running and not self._session.stop.is_set

    @running.setter
    def running(self, value: bool) -> None:
        if value:
            raise UsageError("a session runs by monitor(), not by setting running to True")
        self.ask_exit("running was set to False")

    def now(self) -> float:
        """Return the session's time, Unix seconds: the system's, but never going back."""
        recorder = self._session.optional_recorder
        return SYSTEM.time() if recorder is None else recorder.now()

    def ask_exit(self, reason: str | None = None, *_: object) -> None:
        """Ask all tasks to end after their present step. From any thread."""
        self._session.stop.request(reason if isinstance(reason, str) else "ask_exit()")

    async def sleep(self, duration: float, verbose: bool = True) -> None:
        """Wait for `duration` seconds, or until the run is asked to stop. 0 lets others run."""
        del verbose  # the display shows when a task is due next
        state = self._session
        if state.stop.is_set and not state.running:
            await asyncio.sleep(duration)  # the stop was that of a run that is over
        else:
            await state.stop.sleep(duration)

    def sweep(
        self, task: Callable[..., Any], iterable: Any, name: str | None = None, *,
        resume: bool | Literal["anyway"] = False,
    ) -> Sweep:  # fmt: skip
        """Return a task for :meth:`monitor` that awaits ``task(sesn, value)`` for each value.

        The run ends when all its sweeps are done. No point is started after a stop was asked.

        Parameters
        ----------
        task
            A coroutine function of the session and a value; a method of the session, of the value.
        iterable
            Values: any iterable, asynchronous iterable, or a generator, which is sent what the
            task returned (an adaptive sweep).
        name
            What displays call it; the task's name by default.
        resume
            Go on where the last run of this session left the sweep of this name; ``"anyway"``: although its values changed.
        """
        stop = self._session.stop
        return Sweep(task, iterable, name, stop=stop, argument=self, resume=resume)

    async def monitor(
        self,
        *tasks: Any,
        server_port: int | None = 6913,
        custom_routes: Iterable[Any] | None = None,
        custom_figures: object = None,
        offscreen_figures: bool = False,
        server_host: str = "127.0.0.1",
        server_token: str | None = None,
        handle_signals: bool = True,
    ) -> None:
        """Run tasks together until they are through, one fails, or a stop is asked.

        The first Ctrl-C or SIGTERM lets each task finish its present step; the second cancels
        them; the third ends the process at once.

        Parameters
        ----------
        *tasks
            Coroutine functions, called again and again, with the session if they take an
            argument; awaitables, awaited once; :func:`~pymanip_run.every`; :meth:`sweep`.
        server_port
            Where the dashboard is; None or 0: there is none. The default one moves to the next free
            port; another one that is taken leaves the run without a dashboard, with a warning.
        custom_routes
            Routes of aiohttp that are served too, behind the token; their handlers run where the tasks do,
            and what their pages may load they say themselves.
        custom_figures
            Figures of matplotlib that the script draws itself: their windows are kept alive.
        offscreen_figures
            Plots are drawn into PNG files, in a folder beside the session, and not in windows.
        server_host
            ``"127.0.0.1"``: only this computer; ``"0.0.0.0"``: the network too.
        server_token
            The user's by default, see ``pymanip-run token``; one of your own has 8 letters and digits or
            more; ``"none"``: everybody gets in.
        handle_signals
            Whether Ctrl-C and SIGTERM are handled as said.

        Raises
        ------
        BaseException
            What the first failing task raised, after the others ended, with a note that names it.
        KeyboardInterrupt
            After a second Ctrl-C.
        UsageError
            If the session runs already, or what is asked for is not available.
        """
        try:
            custom = figures_of(custom_figures)
        except UsageError:
            discard(tasks)
            raise
        server = None
        if server_port:
            server = ServerOptions(
                server_host,
                None if server_port == DEFAULT_PORT else server_port,
                server_token or "user",
                custom_routes=tuple(custom_routes or ()),
            )
        options = RunOptions(
            handle_signals=handle_signals, server=server,
            offscreen=offscreen_figures, custom_figures=custom,
        )  # fmt: skip
        await run_tasks(self, tasks, options)

    def run(self, *tasks: Any, **options: Any) -> None:
        """Run :meth:`monitor` from synchronous code; the same parameters.

        Raises
        ------
        UsageError
            In a running event loop, as in a notebook.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            asyncio.run(self.monitor(*tasks, **options))
        else:
            discard(tasks)
            raise UsageError(
                "an event loop runs already, as in a notebook; write: await sesn.monitor(...)"
            )

    async def device_call(
        self, function: Callable[..., Any], *args: Any, timeout: float | None = None
    ) -> Any:
        """Call a blocking driver in its device's thread, ``device_call(sesn.thermo.read, 1)``.

        There is one thread for each device. Also outside of a run.

        Parameters
        ----------
        function, *args
            A method of the device, or of a part of it; or a function whose first argument it is.
        timeout
            Seconds; None waits for ever.

        Raises
        ------
        DeviceTimeoutError
            If it took longer, or if an earlier call still hangs in the thread.
        Exception
            What the function raised.
        """
        calls = self._session.device_calls
        return await calls.call(function, args, timeout=timeout, names=vars(self))
