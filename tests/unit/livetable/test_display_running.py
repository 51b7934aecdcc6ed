"""The display as a thread: on a pseudo terminal, on pipes, and when they go away."""

import asyncio
import io
import json
import os
import pty
import re
import select
import signal
import sys
import termios
import threading

import pytest
from helpers_livetable import Session, StillRun

from pymanip_run.clock import SYSTEM
from pymanip_run.livetable import Display, Options, SweepProgress, choose_mode

REDRAW = re.compile(rb"\x1b\[\?2026h")


class Screen:
    """A pseudo terminal and what appears on it."""

    def __init__(self, columns=80, lines=24):
        self.master, self.slave = pty.openpty()
        termios.tcsetwinsize(self.slave, (lines, columns))
        self.stream = os.fdopen(os.dup(self.slave), "w", encoding="utf-8")
        self.seen = b""

    def read(self, until, seconds=10.0):
        """Read until a pattern has appeared."""
        end = SYSTEM.monotonic() + seconds
        while not re.search(until, self.seen):
            left = end - SYSTEM.monotonic()
            assert left > 0, f"{until!r} did not appear in {self.seen[-2000:]!r}"
            if select.select([self.master], [], [], left)[0]:
                self.seen += os.read(self.master, 65536)
        return self.seen

    def drain(self):
        while select.select([self.master], [], [], 0)[0]:
            self.seen += os.read(self.master, 65536)

    def type(self, keys):
        os.write(self.master, keys)

    def close(self):
        self.stream.close()
        os.close(self.slave)
        os.close(self.master)


@pytest.fixture
def screen(monkeypatch):
    terminal = Screen()
    monkeypatch.setenv("TERM", "xterm-256color")
    with os.fdopen(os.dup(terminal.slave), "r") as stdin:

        def take():
            # Within the test: pytest sets its own streams between fixture and test.
            monkeypatch.setattr(sys, "stdin", stdin)
            monkeypatch.setattr(sys, "stdout", terminal.stream)

        terminal.take = take
        yield terminal
    terminal.close()


@pytest.fixture
def session():
    return Session()


def live(screen, session, run, on_stop=lambda: None):
    screen.take()
    return Display(
        session.view,
        session.feed,
        run,
        Options("live"),
        on_stop=on_stop,
        on_note=session.recorder.note,
    )


def test_the_screen_follows_the_values_and_the_last_one_stays(screen, session):
    display = live(screen, session, StillRun(elapsed=0, started=SYSTEM.time()))
    display.start()
    session.recorder.add_entry(T=41.5)
    screen.read(rb"41\.5")
    display.close("stopped by Ctrl-C")
    seen = screen.read(rb"(?s)stopped by Ctrl-C.*\x1b\[\?25h")
    assert seen.rfind(b"\x1b[?25h") > seen.rfind(b"41.5")


def test_there_are_at_most_four_redraws_a_second_whatever_the_entry_rate(screen, session):
    display = live(screen, session, StillRun(elapsed=0, started=SYSTEM.time()))
    display.start()
    begin = SYSTEM.monotonic()
    value = 0
    while SYSTEM.monotonic() - begin < 1.5:
        session.recorder.add_entry(T=value)
        value += 1
        if value % 500 == 0:
            screen.drain()
    elapsed = SYSTEM.monotonic() - begin
    display.close()
    screen.read(rb"finished")
    assert value > 1000
    # One at the start and one at the end besides.
    assert 2 <= len(REDRAW.findall(screen.seen)) <= 4 * elapsed + 2


def test_keys_stop_pause_and_write_notes_and_the_terminal_is_given_back(screen, session):
    before = termios.tcgetattr(screen.slave)
    stopped = threading.Event()
    run = StillRun(elapsed=0, started=SYSTEM.time())
    display = live(screen, session, run, stopped.set)
    display.start()
    screen.read(rb"q stop")
    assert not termios.tcgetattr(screen.slave)[3] & termios.ICANON
    screen.type("nré\x7f!".encode())
    screen.read(rb"note: .*r!_")
    screen.type(b"\r")
    screen.read(rb"note: .*r!\r?\n|r!\x1b")
    screen.type(b"p")
    screen.read(rb"display paused")
    screen.type(b"q")
    assert stopped.wait(5)
    display.close()
    assert [e.text for e in session.view.events() if e.kind == "note"] == ["r!"]
    assert termios.tcgetattr(screen.slave) == before


def test_keys_and_cursor_are_given_back_as_soon_as_the_run_is_stopping(screen, session):
    run = StillRun(elapsed=0, started=SYSTEM.time())
    display = live(screen, session, run)
    display.start()
    screen.read(rb"q stop")
    run.stopping = "Ctrl-C"
    display.wake()
    screen.read(rb"press Ctrl-C again")
    screen.read(rb"\x1b\[\?25h")
    display.close()


def test_prints_of_tasks_go_above_the_table_and_do_not_wait(screen, session, monkeypatch):
    monkeypatch.setattr(sys, "__stdout__", screen.stream)
    display = live(screen, session, StillRun(elapsed=0, started=SYSTEM.time()))
    display.start()
    screen.read(rb"q stop")
    sys.stdout.write("a print of [red]a task\n")
    screen.read(rb"a print of \[red\]a task")
    display.close()
    assert sys.stdout is screen.stream


def test_a_resized_terminal_is_drawn_anew(screen, session):
    display = live(screen, session, StillRun(elapsed=0, started=SYSTEM.time()))
    display.start()
    screen.read(rb"q stop")
    termios.tcsetwinsize(screen.slave, (30, 50))
    seen = screen.read(rb"(?s)\x1b\[2J.*running")
    display.close()
    assert b"\x1b[H\x1b[2J" in seen


def test_no_color_leaves_no_colours(screen, session, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    display = live(screen, session, StillRun(elapsed=0, started=SYSTEM.time()))
    display.start()
    screen.read(rb"running")
    display.close()
    screen.read(rb"finished")
    assert not re.search(rb"\x1b\[[0-9;]*3[0-7]m", screen.seen)


def test_a_terminal_that_goes_away_ends_the_display_and_not_the_run(session, monkeypatch):
    terminal = Screen()
    monkeypatch.setattr(sys, "stdout", terminal.stream)
    display = Display(
        session.view, session.feed, StillRun(elapsed=0, started=SYSTEM.time()), Options("live")
    )
    display.start()
    session.recorder.add_entry(T=1)
    terminal.read(rb"running")
    os.close(terminal.master)
    session.recorder.add_entry(T=2)
    display.close()
    session.recorder.add_entry(T=3)
    terminal.stream.close()
    os.close(terminal.slave)
    assert session.view["T"].size == 3
    assert not session.feed.active


def all_of(descriptor):
    with os.fdopen(descriptor) as file:
        return file.read().splitlines()


def pipe_display(session, mode, monkeypatch, run=None, **options):
    reader, writer = os.pipe()
    stream = os.fdopen(writer, "w", encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    run = run or StillRun(elapsed=0, started=SYSTEM.time())
    return reader, stream, Display(session.view, session.feed, run, Options(mode, **options))


def test_json_brings_every_entry_every_event_and_a_summary(session, monkeypatch):
    reader, stream, display = pipe_display(session, "json", monkeypatch)
    session.recorder.note("before the tasks")
    display.start()
    lines = []
    consumer = threading.Thread(target=lambda: lines.extend(all_of(reader)))
    consumer.start()
    for i in range(5000):
        session.recorder.add_entry(T=i)
    session.recorder.note("done")
    display.close("finished", {"exit_code": 0})
    stream.close()
    consumer.join()
    items = [json.loads(line) for line in lines]
    assert [i["values"]["T"] for i in items if i["type"] == "entry"] == list(range(5000))
    assert [i["text"] for i in items if i["type"] == "event"] == ["before the tasks", "done"]
    assert items[-1] == {"type": "summary", "exit_code": 0}


def test_json_tells_of_each_sweep_when_it_has_come_further(session, monkeypatch):
    run = StillRun(sweep_list=[SweepProgress("scan", 0, 3), SweepProgress("other", 1, None)])
    reader, stream, display = pipe_display(session, "json", monkeypatch, run)
    display.start()
    told = os.read(reader, 1000).splitlines()
    while len(told) < 2:
        told += os.read(reader, 1000).splitlines()
    run.sweep_list = [SweepProgress("scan", 3, 3), SweepProgress("other", 1, None)]
    display.close("finished", {})
    stream.close()
    told += all_of(reader)
    found = [(i["name"], i["done"]) for i in map(json.loads, told) if i["type"] == "sweep"]
    assert found == [("scan", 0), ("other", 1), ("scan", 3)]


def test_lines_come_with_the_first_value_and_with_the_last(session, monkeypatch):
    reader, stream, display = pipe_display(session, "lines", monkeypatch, print_every=1000)
    display.start()
    session.recorder.add_entry(T=1)
    first = os.read(reader, 1000)
    session.recorder.add_entry(T=2)
    display.close()
    stream.close()
    assert first.endswith(b" T=1\n")
    assert os.read(reader, 1000).endswith(b" T=2\n")
    os.close(reader)


@pytest.mark.parametrize("mode", ["lines", "json"])
def test_a_closed_pipe_ends_the_display_and_not_the_run(session, monkeypatch, mode):
    reader, stream, display = pipe_display(session, mode, monkeypatch, print_every=0.01)
    os.close(reader)
    display.start()
    session.recorder.add_entry(T=1)
    while session.feed.active:
        SYSTEM.pause(0.01)
    session.recorder.add_entry(T=2)
    display.close(summary={})
    assert session.view["T"].size == 2
    stream.close()


def test_a_reader_that_does_not_read_delays_no_entry(session, monkeypatch):
    reader, stream, display = pipe_display(session, "json", monkeypatch)
    monkeypatch.setattr("pymanip_run.livetable.display.CLOSE_TIMEOUT", {"json": 0.05})
    display.start()
    for i in range(20_000):  # far more than a pipe holds
        session.recorder.add_entry(T=i)
    begin = SYSTEM.monotonic()
    display.close(summary={})
    assert SYSTEM.monotonic() - begin < 5
    assert session.view["T"].size == 20_000
    os.close(reader)  # lets the thread go
    stream.close()


def test_no_display_starts_no_thread(session):
    display = Display(session.view, session.feed, StillRun(), Options("none"))
    before = threading.active_count()
    display.start()
    assert threading.active_count() == before
    display.close()


async def test_as_a_background_task_it_ends_with_the_run(session, monkeypatch):
    reader, stream, display = pipe_display(session, "lines", monkeypatch)
    task = asyncio.create_task(display.run())
    await asyncio.sleep(0)
    session.recorder.add_entry(T=1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    stream.close()
    assert b"T=1" in os.read(reader, 1000)
    os.close(reader)


@pytest.mark.parametrize(
    ("wanted", "terminal", "mode"),
    [
        ("auto", True, "live"), ("auto", False, "lines"), ("live", False, "lines"), ("lines", True, "lines"),
        ("json", True, "json"), ("none", True, "none"),
    ],
)  # fmt: skip
def test_standard_output_decides_and_not_force_color(monkeypatch, wanted, terminal, mode):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal, raising=False)
    assert choose_mode(wanted, stream) == mode


def test_a_dumb_terminal_gets_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    assert choose_mode("auto", stream) == "lines"


def test_an_unknown_display_is_refused():
    with pytest.raises(ValueError, match="auto, live, lines, json or none"):
        choose_mode("colour")


def test_a_process_in_the_background_is_not_stopped_by_its_display(tmp_path):
    """With the terminal in other hands, neither reading keys nor drawing stops the process."""
    script = tmp_path / "background.py"
    script.write_text(
        "import sys\n"
        f"sys.path[:0] = {[p for p in sys.path if p]!r}\n"
        "from helpers_livetable import Session, StillRun\n"
        "from pymanip_run.clock import SYSTEM\n"
        "from pymanip_run.livetable import Display, Options\n"
        "session = Session()\n"
        "run = StillRun(elapsed=0, started=SYSTEM.time())\n"
        "display = Display(session.view, session.feed, run, Options('live'), on_stop=print)\n"
        "display.start()\n"
        "for i in range(10):\n"
        "    session.recorder.add_entry(T=i)\n"
        "    SYSTEM.pause(0.1)\n"
        "display.close()\n"
    )
    pid, master = pty.fork()
    if pid == 0:
        # The session's leader stays in the foreground; its child is a background process group.
        os.system("stty tostop")  # noqa: S605
        child = os.fork()
        if child == 0:
            os.setpgid(0, 0)
            os.environ["TERM"] = "xterm"
            os.execv(sys.executable, [sys.executable, str(script)])  # noqa: S606
        _, status = os.waitpid(child, os.WUNTRACED)
        os.write(1, f"status {status} stopped {os.WIFSTOPPED(status)}\n".encode())
        os._exit(0)
    seen = b""
    try:
        while b"stopped" not in seen and select.select([master], [], [], 30)[0]:
            seen += os.read(master, 4096)
    except OSError:
        pass
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(master)
    assert b"status 0 stopped False" in seen
