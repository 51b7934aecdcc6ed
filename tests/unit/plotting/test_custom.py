"""Figures that a script draws itself."""

import asyncio
from types import SimpleNamespace

import pytest

from pymanip_run import AsyncSession
from pymanip_run.errors import UsageError
from pymanip_run.plotting.custom import figures_of, keep_alive


class Canvas:
    """As the canvas of a toolkit: it acts when it is asked to."""

    required_interactive_framework = "tk"

    def __init__(self, dies_at=None):
        self.flushed = self.drawn = 0
        self._dies_at = dies_at
        self.fifth = asyncio.Event()

    def mpl_connect(self, name, callback):
        assert name == "close_event"
        self.close = lambda: callback(SimpleNamespace(canvas=self))
        self.connected = 5
        return 5

    def mpl_disconnect(self, number):
        assert number == self.connected
        self.connected = None

    def draw_idle(self):
        self.drawn += 1

    def flush_events(self):
        self.flushed += 1
        if self.flushed == 5:
            self.fifth.set()
        if self.flushed == self._dies_at:
            raise RuntimeError("application has been destroyed")


class Figure:
    def __init__(self, **options):
        self.canvas = Canvas(**options)
        self.canvas.figure = self
        self.stale = True


def test_one_figure_or_several_are_taken():
    one, two = Figure(), Figure()
    assert figures_of(None) == ()
    assert figures_of(one) == (one,)
    assert figures_of([one, two]) == (one, two)


@pytest.mark.parametrize("given", [5, "figure", [Figure(), 5]])
def test_something_else_is_refused_before_anything_runs(given):
    with pytest.raises(UsageError, match="figures of matplotlib"):
        figures_of(given)
    began = []

    async def task():
        began.append(1)

    with AsyncSession(verbose=False) as sesn, pytest.raises(UsageError, match="custom_figures"):
        sesn.run(task, custom_figures=given, server_port=None)
    assert not began


async def test_windows_act_while_tasks_run_and_are_drawn_now_and_then():
    figure, other = Figure(), Figure()
    other.canvas.required_interactive_framework = None
    job = asyncio.create_task(keep_alive([figure, other], lambda _: None))
    await figure.canvas.fifth.wait()
    job.cancel()
    assert figure.canvas.drawn == 1
    assert other.canvas.flushed == 0
    with pytest.raises(asyncio.CancelledError):
        await job


async def test_a_window_that_is_gone_is_told_and_left_alone():
    told = []
    gone, there = Figure(dies_at=2), Figure()
    job = asyncio.create_task(keep_alive([gone, there], told.append))
    await there.canvas.fifth.wait()
    job.cancel()
    assert gone.canvas.flushed == 2
    assert told == ["a window of custom_figures is gone: application has been destroyed"]
    with pytest.raises(asyncio.CancelledError):
        await job


async def test_a_window_that_its_user_closes_is_told_once():
    told = []
    gone, there = Figure(), Figure()
    job = asyncio.create_task(keep_alive([gone, there], told.append))
    await gone.canvas.fifth.wait()
    gone.canvas.close()
    gone.canvas.close()
    before = gone.canvas.flushed
    there.canvas.fifth.clear()
    there.canvas.flushed = 0
    await there.canvas.fifth.wait()
    job.cancel()
    assert gone.canvas.flushed == before
    assert told == ["a window of custom_figures was closed"]
    with pytest.raises(asyncio.CancelledError):
        await job
    assert there.canvas.connected is None


def test_a_run_keeps_them_alive_and_tells_what_happened_as_an_event():
    figure = Figure(dies_at=3)
    with AsyncSession(verbose=False) as sesn:

        async def task(sesn):
            if figure.canvas.flushed >= 3:
                sesn.ask_exit()
            await sesn.sleep(0.01)

        sesn.run(task, custom_figures=figure, server_port=None)
        assert [e.kind for e in sesn.events() if e.source == "plots"] == ["plot"]


def test_offscreen_they_are_left_alone():
    figure = Figure()
    with AsyncSession(verbose=False) as sesn:

        async def task(sesn):
            await sesn.sleep(0.15)
            sesn.ask_exit()

        sesn.run(task, custom_figures=[figure], offscreen_figures=True, server_port=None)
    assert figure.canvas.flushed == 0


class Broken(Canvas):
    """A canvas of which something fails that nobody reckons with."""

    def __init__(self, what, error):
        super().__init__()
        self._what, self._error = what, error

    def fail(self, what):
        if what == self._what:
            raise self._error

    def mpl_connect(self, name, callback):
        self.fail("connect")
        return super().mpl_connect(name, callback)

    def mpl_disconnect(self, number):
        self.fail("disconnect")
        super().mpl_disconnect(number)

    def flush_events(self):
        self.fail("flush")
        super().flush_events()


@pytest.mark.parametrize(
    ("what", "error", "told"),
    [
        ("connect", RuntimeError("no display"), ["a window of custom_figures is not looked after: no display"]),
        ("disconnect", RuntimeError("it is gone"), []),
        ("flush", SystemExit("a button was pressed"), ["a window of custom_figures is gone: a button was pressed"]),
        ("flush", RuntimeError("broken pipe"), ["a window of custom_figures is gone: broken pipe"]),
    ],
)  # fmt: skip
def test_whatever_a_window_does_the_run_and_the_other_windows_go_on(what, error, told):
    broken, there = Figure(), Figure()
    broken.canvas = Broken(what, error)
    broken.canvas.figure = broken

    async def task(sesn):
        sesn.add_entry(T=1)
        await there.canvas.fifth.wait()
        sesn.ask_exit()

    with AsyncSession(verbose=False) as sesn:
        sesn.run(task, custom_figures=[broken, there], server_port=None)
        assert sesn.runs()[-1].exit_code == 0
        assert [e.text for e in sesn.events() if e.kind in ("plot", "error")] == told


def test_a_fault_in_looking_after_them_is_an_error_event_and_the_run_goes_on(caplog):
    class Incomparable(Figure):
        __hash__ = None

        def __eq__(self, other):
            raise ValueError("no truth value")

    there, odd = Figure(), Incomparable(dies_at=2)

    async def task(sesn):
        while not (found := [e for e in sesn.events() if e.kind == "error"]):
            await sesn.sleep(0.01)
        sesn.note(found[0].text)
        sesn.ask_exit()

    with AsyncSession(verbose=False) as sesn:
        sesn.run(task, custom_figures=[there, odd], server_port=None)
        assert sesn.runs()[-1].exit_code == 0
        (note,) = [e.text for e in sesn.events() if e.kind == "note"]
    assert note == "custom_figures are not looked after any more: ValueError: no truth value"
    assert "custom_figures are not looked after any more; the run goes on" in caplog.text
