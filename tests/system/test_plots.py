"""Plots beside real runs: windows on a screen, files, pictures in mails; they come and go, the run goes on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers_screen import xvfb

from pymanip_run import SavedAsyncSession

PROJECT = Path(__file__).parents[2]
COLOUR = "#0072b2"


@pytest.fixture
def screen(tmp_path, monkeypatch):
    folder = tmp_path / "screen"
    folder.mkdir()
    with xvfb(folder) as server:
        monkeypatch.setenv("DISPLAY", server.name)
        monkeypatch.delenv("MPLBACKEND", raising=False)
        yield server


@pytest.fixture(autouse=True)
def _no_screen_of_the_tester(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


def painters(pid):
    """Return the children of a process that draw."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            command = path.with_name("cmdline").read_bytes()
        except OSError:
            continue
        if parent == pid and b"pymanip_run.plotting.painter" in command:
            found.append(int(path.parent.name))
    return found


def told(session):
    return [(e.kind, e.text) for e in session.events() if e.source == "plots"]


WINDOWS = """
async def log(sesn):
    sesn.n = getattr(sesn, "n", 0) + 1
    sesn.add_entry(T=sesn.n % 17)

with AsyncSession("a", verbose=False) as sesn:
    sesn.describe("T", unit="°C")
    async def tell(sesn):
        for event in sesn.events():
            if event.source == "plots":
                say("event", event.text)
                await sesn.sleep(1000)
        await sesn.sleep(0.1)
    async def say_begun():
        say("begun")
    sesn.run(every(0.02, log), tell, say_begun(), sesn.plot("T"), server_port=None)
    say("matplotlib" in sys.modules)
"""


@pytest.mark.needs_system("Xvfb")
def test_a_window_shows_what_is_measured_and_goes_with_the_run(script, screen, wait_until):
    pytest.importorskip("tkinter")
    running = script(WINDOWS)
    running.wait_for("begun")
    assert not screen.has_colour(COLOUR)
    screen.wait_for_colour(COLOUR)
    (child,) = painters(running.pid)
    # A Ctrl-C in the terminal goes to all processes of its group: the window is in another.
    assert os.getpgid(child) != os.getpgid(running.pid)
    running.send(signal.SIGINT)
    code, errors = running.end()
    assert code == 0, errors
    assert running.lines[-2] == "False", "matplotlib is never in the measuring process"
    wait_until(lambda: not screen.has_colour(COLOUR), "the window is gone")
    assert not Path(f"/proc/{child}").exists()


@pytest.mark.needs_system("Xvfb")
def test_a_window_may_be_closed_while_the_run_goes_on(script, screen, wait_until, tmp_path):
    pytest.importorskip("tkinter")
    running = script(WINDOWS)
    running.wait_for("begun")
    screen.wait_for_colour(COLOUR)
    screen.click_crosses()
    assert running.wait_for("event") == "event window closed: T"
    wait_until(lambda: not painters(running.pid), "its process ends")
    running.send(signal.SIGINT)
    code, errors = running.end()
    assert code == 0, errors
    with SavedAsyncSession(tmp_path / "a", verbose=False) as session:
        assert told(session) == [("plot", "window closed: T")]


@pytest.mark.needs_system("Xvfb")
def test_a_window_that_is_frozen_holds_nobody_up_and_its_death_is_an_event(
    script, screen, wait_until, tmp_path
):
    pytest.importorskip("tkinter")
    running = script(WINDOWS)
    running.wait_for("begun")
    screen.wait_for_colour(COLOUR)
    (child,) = painters(running.pid)
    session = SavedAsyncSession(tmp_path / "a", verbose=False)
    os.kill(child, signal.SIGSTOP)
    before = session["T"].size
    wait_until(lambda: session["T"].size > before + 100, "the ticker goes on")
    gaps = [
        b - a
        for a, b in zip(*(list(session["T"].timestamps[before:])[i:] for i in (0, 1)), strict=False)
    ]
    assert max(gaps) < 1
    os.kill(child, signal.SIGKILL)
    assert "SIGKILL" in running.wait_for("event")
    before = session["T"].size
    wait_until(lambda: session["T"].size > before + 10, "the ticker goes on")
    running.send(signal.SIGINT)
    code, errors = running.end()
    assert code == 0, errors
    assert [kind for kind, _ in told(session)] == ["plot"]
    session.close()


@pytest.mark.needs_system("Xvfb")
def test_a_run_ends_at_once_though_its_window_is_frozen(script, screen):
    pytest.importorskip("tkinter")
    running = script(WINDOWS)
    running.wait_for("begun")
    screen.wait_for_colour(COLOUR)
    (child,) = painters(running.pid)
    os.kill(child, signal.SIGSTOP)
    began = time.monotonic()
    running.send(signal.SIGINT)
    code, errors = running.end()
    assert code == 0, errors
    assert time.monotonic() - began < 5
    assert not Path(f"/proc/{child}").exists()


@pytest.mark.needs_system("Xvfb")
def test_a_window_goes_with_a_run_that_is_killed(script, screen, wait_until):
    pytest.importorskip("tkinter")
    running = script(WINDOWS)
    running.wait_for("begun")
    screen.wait_for_colour(COLOUR)
    (child,) = painters(running.pid)
    running.send(signal.SIGKILL)
    running.end()
    wait_until(lambda: not Path(f"/proc/{child}").exists(), "its process ends")


CUSTOM = """
import matplotlib.pyplot as plt

plt.ion()
figure, axes = plt.subplots()
(line,) = axes.plot([], [], color="#d55e00", lw=6)
figure.show()

async def draw(sesn):
    sesn.add_entry(T=1)
    line.set_data(range(sesn["T"].size), sesn["T"].values)
    axes.relim()
    axes.autoscale_view()
    if any(e.source == "plots" for e in sesn.events()):
        say("event")
        sesn.ask_exit()

with AsyncSession(verbose=False) as sesn:
    sesn.run(every(0.1, draw), custom_figures=[figure], server_port=None)
    say(*[e.text for e in sesn.events() if e.source == "plots"])
"""


@pytest.mark.needs_system("Xvfb")
def test_figures_of_a_script_are_alive_until_they_are_closed(script, screen, wait_until):
    pytest.importorskip("tkinter")
    running = script(CUSTOM)
    screen.wait_for_colour("#d55e00")
    screen.click_crosses()
    running.wait_for("event")
    code, errors = running.end()
    assert code == 0, errors
    assert running.lines[-2] == "a window of custom_figures was closed"


def test_a_screen_that_is_not_there_is_a_warning(script, monkeypatch):
    monkeypatch.setenv("DISPLAY", ":97531")
    running = script(WINDOWS)
    text = running.wait_for("event")
    running.send(signal.SIGINT)
    code, errors = running.end()
    assert code == 0, errors
    assert "not drawn" in text
    assert errors.count("plots are not drawn: ") == 1, errors
    assert "Traceback" not in errors


def test_without_matplotlib_one_line_says_what_to_install(script, monkeypatch):
    monkeypatch.setenv("DISPLAY", ":97531")
    running = script("sys.modules['matplotlib'] = None\n" + WINDOWS)
    running.wait_for("event")
    running.send(signal.SIGINT)
    code, errors = running.end()
    assert code == 0, errors
    line = "plots are only on the dashboard: matplotlib is not installed: pip install 'pymanip-run[plot]'"
    assert [x for x in errors.splitlines() if "matplotlib" in x] == [line]


def test_without_a_screen_nothing_is_said(script):
    running = script(WINDOWS)
    running.wait_for("begun")
    assert painters(running.pid) == []
    running.send(signal.SIGINT)
    code, errors = running.end()
    assert code == 0
    assert "plot" not in errors


# -- files ------------------------------------------------------------------------------------------

FILE = """
module: tasks.py
tasks: {read: {every: 50ms}}
server: {enabled: false}
variables: {T: {unit: degC}, P: {unit: W}}
plots:
  - [T, P]
  - {title: Response, x: T, y: P}
  - {title: Power, variables: [P], scale: log, window: 6h}
"""
MODULE = """
async def read(sesn):
    n = sesn.n = getattr(sesn, "n", 0) + 1
    sesn.add_entry(T=n, P=10 ** (n % 5))
"""


def command(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "pymanip_run", *arguments],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(PROJECT)}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip


def test_the_plots_of_an_experiment_are_files_when_it_is_said(tmp_path):
    (tmp_path / "cell.yaml").write_text(FILE)
    (tmp_path / "tasks.py").write_text(MODULE)
    done = command(tmp_path, "cell.yaml", "--for", "1s", "--offscreen", "--display", "none")
    assert done.returncode == 0, done.stderr
    files = sorted(path.name for path in (tmp_path / "cell_figures").iterdir())
    assert files == ["01_T_P.png", "02_Response.png", "03_Power.png"]
    with SavedAsyncSession(tmp_path / "cell", verbose=False) as session:
        assert told(session) == []
        assert [f["variables"] for f in session.figures()] == [["T", "P"], ["T", "P"], ["P"]]
        assert session.figures()[2]["yscale"] == "log"
        assert session.figures()[2]["window"] == 21600.0


def test_a_rehearsal_draws_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("DISPLAY", ":97531")
    (tmp_path / "cell.yaml").write_text(FILE)
    (tmp_path / "tasks.py").write_text(MODULE)
    done = command(tmp_path, "cell.yaml", "--dry-run", "--for", "1h", "--offscreen")
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "__pycache__") == [
        "cell.yaml",
        "tasks.py",
    ]
