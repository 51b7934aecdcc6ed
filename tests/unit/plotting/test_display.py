"""The child that draws beside a run: real processes, and a recorder that never waits for them."""

import asyncio
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from pymanip_run import AsyncSession
from pymanip_run.plotting import display
from pymanip_run.plotting.album import Album
from pymanip_run.plotting.canvas import picture
from pymanip_run.plotting.display import Display, Order, start_frames
from pymanip_run.plotting.files import file_name
from pymanip_run.plotting.past import missing
from pymanip_run.plotting.pictures import pictures
from pymanip_run.plotting.plot import About, Plot
from pymanip_run.plotting.sheets import Sheet
from pymanip_run.plotting.wire import MISSED, START, VALUES, Frame, values_content
from pymanip_run.session import internals

PNG = b"\x89PNG"


@pytest.fixture(params=["file", "memory"])
def session(request, tmp_path):
    with AsyncSession(tmp_path / "a" if request.param == "file" else None, verbose=False) as sesn:
        yield sesn


def shown(session, mode, *plots, folder=None):
    order = Order(plots, session, title="a", folder=folder)
    inside = internals(session)
    return Display(mode, order, inside.feed, inside.recorder.event)


def events(session):
    return [(e.kind, e.text) for e in session.events() if e.source == "plots"]


def wait_for(condition, what):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"not within 30 s: {what}"
        time.sleep(0.02)


async def until(condition, what):
    await asyncio.to_thread(wait_for, condition, what)


def is_gone(pid):
    wait_for(lambda: not threads(), "the thread ends")
    return not Path(f"/proc/{pid}").exists()


def threads():
    return [t.name for t in threading.enumerate() if t.name == "plots"]


async def test_files_are_drawn_at_once_and_a_last_time_at_the_end(session, tmp_path):
    session.describe("T", unit="°C")
    session.add_entry(T=1)
    folder = tmp_path / "a_figures"
    drawn = shown(
        session, "files", Plot(("T",)), Plot(x="T", y="V", title="A/B: 50 %"), folder=folder
    )
    drawn.start()
    first, second = folder / "01_T.png", folder / "02_A_B_50.png"
    await until(first.exists, "the first picture")
    before = first.read_bytes()
    session.add_entry(T=2, V=3)
    await drawn.finish()
    assert sorted(folder.iterdir()) == [first, second]
    assert first.read_bytes().startswith(PNG)
    assert first.read_bytes() != before
    assert events(session) == []
    assert is_gone(drawn.pid)


@pytest.mark.parametrize(
    ("number", "title", "name"),
    [
        (1, "T_top, T_bottom", "01_T_top_T_bottom.png"),
        (12, "../../etc/passwd", "12_etc_passwd.png"),
        (3, "Température [°C]", "03_Température_C.png"),
        (4, "☢", "04_plot.png"),
        (100, "x" * 300, f"100_{'x' * 60}.png"),
    ],
)
def test_files_have_the_names_of_the_plots(number, title, name):
    assert file_name(number, title) == name


async def test_a_folder_that_cannot_be_written_is_said_once(session, tmp_path):
    session.add_entry(T=1)
    (tmp_path / "taken").write_text("a file")
    drawn = shown(session, "files", Plot(("T",)), folder=tmp_path / "taken")
    drawn.start()
    await until(lambda: events(session), "an event")
    session.add_entry(T=2)
    await drawn.finish()
    assert [kind for kind, _ in events(session)] == ["warning"]
    assert "File exists" in events(session)[0][1]


async def test_a_child_that_dies_is_an_event_and_nothing_else(session, tmp_path):
    drawn = shown(session, "files", Plot(("T",)), folder=tmp_path / "figures")
    drawn.start()
    session.add_entry(T=1)
    await until((tmp_path / "figures").exists, "it draws")
    os.kill(drawn.pid, signal.SIGKILL)
    await until(lambda: events(session), "an event")
    assert events(session) == [
        ("plot", "their process was ended by SIGKILL; the run goes on without them")
    ]
    await until(lambda: not threads(), "its thread ends")
    session.add_entry(T=2)
    await drawn.finish()
    assert internals(session).feed.active is False


async def test_nothing_waits_for_a_child_that_is_frozen(session, tmp_path, monkeypatch):
    monkeypatch.setattr(display, "BACKLOG", 500)
    monkeypatch.setattr(display, "PERIOD", 0.02)
    folder = tmp_path / "figures"
    plot = Plot(("T",), maxvalues=3000)
    drawn = shown(session, "files", plot, folder=folder)
    drawn.start()
    session.add_entry(T=0)
    await until((folder / "01_T.png").exists, "it draws")
    os.kill(drawn.pid, signal.SIGSTOP)
    try:
        # More than the pipe (64 KiB) and the queue hold together.
        for i in range(300):
            session.add_entry({f"v{n}": n for n in range(100)}, T=i)
            for _ in range(50):
                session.add_entry(T=i)
            await asyncio.sleep(0)
        assert threads() == ["plots"]
        (waiting,) = internals(session).feed._subscriptions
        # On a busy machine the thread may have filled the pipe only now.
        for i in range(100_000):
            if len(waiting) == 500:
                break
            session.add_entry(T=i)
        assert len(waiting) == 500
    finally:
        os.kill(drawn.pid, signal.SIGCONT)
    session.add_entry(T=10_000)
    await drawn.finish()
    assert events(session) == []
    # Nothing of what was dropped is missing in the end.
    sheet = Sheet(plot)
    for part in missing(sheet, session):
        sheet.take(part)
    assert (folder / "01_T.png").read_bytes() == picture(plot, sheet.curves(), {"T": About()})


async def test_a_frozen_child_is_left_behind_at_the_end(session, tmp_path, monkeypatch):
    monkeypatch.setattr(display, "LAST_SECONDS", 0.3)
    drawn = shown(session, "files", Plot(("T",)), folder=tmp_path / "figures")
    drawn.start()
    await until(lambda: drawn.pid, "it begins")
    os.kill(drawn.pid, signal.SIGSTOP)
    await drawn.finish()
    assert is_gone(drawn.pid)


async def test_what_cannot_be_started_is_an_event(session, tmp_path, monkeypatch):
    monkeypatch.setattr(display, "PAINTER", "pymanip_run.plotting.no_such_module")
    drawn = shown(session, "files", Plot(("T",)), folder=tmp_path / "figures")
    drawn.start()
    await until(lambda: events(session), "an event")
    await drawn.finish()
    ((kind, text),) = events(session)
    assert kind == "warning"
    assert "no_such_module" in text


def test_a_child_that_missed_something_reads_it_from_the_file(tmp_path):
    with AsyncSession(tmp_path / "a", verbose=False) as sesn:
        for i in range(100):
            sesn.add_entry(T=i)
        times, values = sesn["T"]
        album = Album([Plot(("T",))], ["T"], sesn.session_path)

        def curve():
            return album.curves(album.sheets[0])["T"].low.tolist()

        album.take(Frame(VALUES, values_content({0: (times[90:95], values[90:95])})))
        assert curve() == list(range(100)), "the past is read with the first values"
        sesn.add_entry(T=100)
        sesn.add_entry(T=101)
        album.take(Frame(MISSED, b""))
        assert curve() == list(range(102))
        assert album.about()["T"].unit is None
        sesn.describe("V", unit="V")


def test_the_first_frames_have_the_past_of_a_session_in_memory():
    import io

    from pymanip_run.plotting.wire import read_frame

    with AsyncSession(verbose=False) as sesn:
        sesn.describe("T", unit="K", label="Cell")
        sesn.add_entry(T=1)
        sesn.add_entry(T=2)
        pipe = io.BytesIO(start_frames(Order([Plot(("T",))], sesn)))
    album = Album([Plot(("T",))], ["T"], None)
    assert read_frame(pipe).kind == START
    album.read(pipe)
    assert album.curves(album.sheets[0])["T"].low.tolist() == [1, 2]
    assert album.about()["T"] == ("Cell", "K")


def test_pictures_for_a_mail(session):
    session.add_entry(T=1)
    session.add_entry(T=2, V=3)
    found = pictures(Order([Plot(("T",)), Plot(x="T", y="V", title="Both")], session))
    assert [title for title, _ in found] == ["T", "Both"]
    assert all(png.startswith(PNG) for _, png in found)
