"""NAME.log: all that is said during a run, of bounded size, whatever the disk does."""

import logging
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import pymanip_run
from pymanip_run.cli import logs
from pymanip_run.cli.logs import log_event, log_failure, logging_to
from pymanip_run.cli.outcome import TALK, say
from pymanip_run.records import Event
from pymanip_run.runtime.troubles import AS_EVENT, AT_START

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(pymanip_run.__file__).parent.parent)}
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d "
logger = logging.getLogger("a_driver")
TASKS = """
import logging, warnings
async def read(sesn):
    sesn.add_entry(T=1)
    logging.getLogger("driver").info("opened the bus")
    warnings.warn("old firmware")
    raise ValueError("broken sensor")
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cell.log"


@pytest.fixture(autouse=True)
def _nothing_said_before():
    TALK.early.clear()


def test_what_is_said_is_there_with_time_and_level(path, capsys):
    say("warning: said before the log was there")
    with logging_to(path, 0):
        logger.info("opened the bus")
        logger.warning("the bus is slow")
        log_event(Event(1_000_000_000, "note", "", "refilled"))
        say("stopped by Ctrl-C")
    say("after")
    lines = path.read_text().splitlines()
    assert all(re.match(STAMP, line) for line in lines)
    texts = [re.sub(STAMP, "", line) for line in lines]
    assert texts[0].startswith("INFO pymanip_run.talk: pymanip-run ")
    assert texts[1:] == [
        "INFO pymanip_run.talk: warning: said before the log was there",
        "INFO a_driver: opened the bus",
        "WARNING a_driver: the bus is slow",
        "INFO pymanip_run.events: note: refilled",
        "INFO pymanip_run.talk: stopped by Ctrl-C",
    ]
    on_terminal = capsys.readouterr().err
    assert "the bus is slow" in on_terminal
    assert "opened the bus" not in on_terminal


@pytest.mark.parametrize(("level", "there"), [(-2, False), (0, False), (2, True)])
def test_what_is_shown_with_vv_is_there_too(path, level, there):
    with logging_to(path, level):
        logger.debug("byte by byte")
        logger.info("always there")
    text = path.read_text()
    assert ("byte by byte" in text) == there
    assert "always there" in text


def test_what_a_display_shows_is_not_said_twice_but_what_comes_before_it_is_said(path, capsys):
    with logging_to(path, 0, events_shown=True):
        logger.warning("alarm hot", extra=AS_EVENT)
        logger.warning("still active", extra=AT_START)
    assert [line[9:] for line in capsys.readouterr().err.splitlines()] == ["warning: still active"]
    assert "active" not in path.read_text(), "there the event itself says it"


def test_a_failure_is_there_with_its_whole_traceback(path, capsys):
    def inner():
        raise ValueError("broken sensor")

    with logging_to(path, 0):
        try:
            inner()
        except ValueError as error:
            log_failure(error)
    assert "in inner" in path.read_text()
    assert capsys.readouterr().err == ""


def test_warnings_of_python_are_there_and_shown_in_one_line(path, capsys):
    with warnings.catch_warnings(), logging_to(path, 0):
        warnings.simplefilter("always")
        warnings.warn("old firmware", stacklevel=1)
    assert "WARNING py.warnings: " in path.read_text()
    shown = capsys.readouterr().err
    assert "UserWarning: old firmware" in shown
    assert len(shown.splitlines()) == 1


def test_a_continued_session_continues_its_log(path):
    for text in ("first", "second"):
        with logging_to(path, 0):
            logger.info(text)
    assert re.search(r"first\n.*\n.*second\n", path.read_text())


def test_months_of_running_do_not_fill_the_disk(path, monkeypatch):
    monkeypatch.setattr(logs, "MAX_BYTES", 5000)
    with logging_to(path, 0):
        for i in range(1000):
            logger.info("line %d", i)
    files = sorted(path.parent.iterdir())
    assert [p.name for p in files] == ["cell.log", "cell.log.1", "cell.log.2"]
    assert sum(p.stat().st_size for p in files) <= 15_000
    assert "line 999" in path.read_text()


def test_a_full_disk_is_said_once_and_what_comes_later_is_there(tmp_path, capsys):
    """A full disk, in the person of /dev/full; then one with room again."""
    with logging_to(tmp_path / "cell.log", 0):
        (handler,) = (h for h in logging.getLogger().handlers if isinstance(h, logs._File))
        room, handler.stream = handler.stream, Path("/dev/full").open("w")  # noqa: SIM115
        handler.maxBytes = 0
        for _ in range(3):
            logger.info("lost")
        full, handler.stream = handler.stream, room
        logger.info("there again")
    with pytest.raises(OSError):
        full.close()
    said = capsys.readouterr().err
    assert said.count("cannot be written") == 1
    assert "No space left on device" in said
    assert "the run goes on, its log has a gap" in said
    assert "there again" in (tmp_path / "cell.log").read_text()


@pytest.mark.parametrize("kind", ["folder", "pipe", "nowhere"])
def test_a_log_that_cannot_be_is_said_and_ends_nothing(tmp_path, capsys, kind):
    path = tmp_path / "cell.log"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path = tmp_path / "nowhere" / "cell.log"
    with logging_to(path, 0):
        logger.warning("still said")
    said = capsys.readouterr().err
    assert "cell.log cannot be written" in said
    assert "still said" in said


def test_nothing_of_it_is_left_behind(path):
    before = logging.getLogger().handlers[:], logging.getLogger().level
    with logging_to(path, 0):
        pass
    assert (logging.getLogger().handlers, logging.getLogger().level) == before
    assert not [h for one in logs.ONLY_IN_FILE for h in one.handlers if isinstance(h, logs._File)]
    assert TALK.also is None


def test_the_log_of_a_run_that_fails(tmp_path):
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "cell.yaml").write_text(
        "module: tasks.py\ntasks: [read]\nvariables: {T: {unit: K}}\n"
    )
    command = [
        sys.executable,
        "-m",
        "pymanip_run",
        "cell.yaml",
        "--display",
        "none",
        "--set",
        "parameters.token=hunter2",
    ]
    done = subprocess.run(
        command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 1
    text = (tmp_path / "cell.log").read_text()
    assert "run 0 started" in text
    assert "INFO driver: opened the bus" in text
    assert "old firmware" in text
    assert 'tasks.py", line 7, in read' in text
    assert "failed (ValueError) after" in text
    assert "hunter2" not in text
