"""Alarms and mails with the real command: exit codes, the last mail, and how it is skipped."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pymanip_run import AsyncSession, SavedAsyncSession

PROJECT = Path(__file__).parents[2]
sys.path.insert(0, str(PROJECT / "tests" / "unit" / "mail"))

from helpers_mail import Mailbox, bad_server, hang, smtp_server  # noqa: E402

PYTHON = [sys.executable, "-m", "pymanip_run"]
MODULE = """
async def read(sesn):
    sesn.add_entry(T=20.0)
    await sesn.sleep(0.05)

async def heat(sesn):
    n = sesn.n = getattr(sesn, "n", 0) + 1
    sesn.add_entry(T=20.0 + 10 * n)
    await sesn.sleep(0.05)

async def cool_down(sesn):
    sesn.note("cooling")
"""
FILE = """
module: tasks.py
tasks: [{task}]
server: {{enabled: false}}
variables: {{T: {{unit: degC}}}}
alarms:
  too_hot: {{when: T > 60, clear: T < 55, do: [log, mail, {{run: cool_down}}, stop], message: Plate too hot}}
email: {{host: localhost, port: {port}, security: none, from: lab@example.org, to: [me@example.org]}}
"""


@pytest.fixture
def start(tmp_path):
    running = []

    def start(port, task="read", *arguments):
        (tmp_path / "tasks.py").write_text(MODULE)
        (tmp_path / "convection.yaml").write_text(FILE.format(port=port, task=task))
        process = subprocess.Popen(
            [*PYTHON, "convection.yaml", *arguments],
            cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(PROJECT)}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads here
        )  # fmt: skip
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def test_an_alarm_ends_the_run_with_exit_code_5_and_mails(start, tmp_path):
    mailbox = Mailbox()
    with smtp_server(mailbox) as port:
        process = start(port, "heat")
        out, errors = process.communicate(timeout=60)
    assert process.returncode == 5, errors
    assert "stopped by alarm too_hot: T above 60 degC (70)" in errors
    assert "alarm=too_hot" in out
    assert mailbox.subjects[0] == "convection: T above 60 degC (70)"
    assert mailbox.subjects[-1].startswith("convection: stopped after 0:00:0")
    text = mailbox.mails[0].get_body(("plain",)).get_content()
    assert text.startswith(
        "Plate too hot: T above 60 degC (70); cleared when T is below 55 degC"
    ), text
    session = SavedAsyncSession(tmp_path / "convection.h5", verbose=False)
    assert [e.source for e in session.events() if e.kind == "alarm"] == ["too_hot"]
    assert "cooling" in [e.text for e in session.events() if e.kind == "note"]
    assert session.runs()[0].exit_code == 5


def test_the_next_run_says_what_is_still_active(start):
    options = ("--set", "email=null", "--set", "alarms.too_hot.do=stop")
    for task, *more, code in (("heat", 5), ("read", "--for", "300ms", 0)):
        process = start(0, task, *options, *more)
        out, errors = process.communicate(timeout=60)
        assert process.returncode == code, errors
    (line,) = [line for line in errors.splitlines() if "still active" in line]
    assert "warning: alarm too_hot: still active since 20" in line
    assert ", in an earlier run: Plate too hot: T above 60 degC (70); cleared when" in line
    assert "still active" not in out


def test_the_last_mail_says_how_the_run_ended(start):
    mailbox = Mailbox()
    with smtp_server(mailbox) as port:
        process = start(port, "read", "--for", "0.5s")
        assert process.wait(60) == 0
    assert len(mailbox.mails) == 1
    assert "(time limit of 500 ms reached), all well" in mailbox.subjects[0]
    assert mailbox.subjects[0].startswith("convection: finished after 0:00:0")


def test_a_second_interrupt_skips_a_last_mail_that_hangs(start, tmp_path):
    with bad_server(hang) as port:
        process = start(port)
        for line in process.stdout:
            if "T=20" in line:
                break
        process.send_signal(signal.SIGINT)
        for line in process.stderr:
            if "sending the last mail" in line:
                break
        else:
            pytest.fail("it does not wait for the mail")
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert time.monotonic() - began < 10
    assert process.returncode == 130
    assert SavedAsyncSession(tmp_path / "convection.h5", verbose=False).runs()[0].exit_code == 130


def test_check_runs_the_alarm_tests(tmp_path):
    (tmp_path / "tasks.py").write_text(MODULE)
    tests = "alarm_tests: [{variable: T, values: [20, %s], every: 1s, expect: [too_hot]}]\n"

    def check(value, *options):
        text = FILE.format(port=25, task="read") + tests % value
        (tmp_path / "convection.yaml").write_text(text)
        return subprocess.run(
            [*PYTHON, "check", "convection.yaml", *options],
            cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(PROJECT)}, capture_output=True, text=True, check=False,
        )  # fmt: skip

    good = check(70)
    assert good.returncode == 0, good.stderr
    assert "1 alarm (1 test passed)" in good.stdout
    bad = check(50)
    assert bad.returncode == 1
    assert "alarm_tests[0]: 'too_hot' did not become active; active were: none" in bad.stdout
    listed = json.loads(check(50, "--json").stdout)
    assert len(listed["failed_alarm_tests"]) == 1


def test_a_recorded_session_is_replayed(tmp_path):
    (tmp_path / "tasks.py").write_text(MODULE)
    (tmp_path / "convection.yaml").write_text(FILE.format(port=25, task="read"))
    with AsyncSession(tmp_path / "old.h5", verbose=False) as sesn:

        async def log():
            for value in (20, 70, 50):
                sesn.add_entry(T=value)

        sesn.run(log(), server_port=None)

    def replay(*options):
        return subprocess.run(
            [*PYTHON, "convection.yaml", "--replay", "old.h5", *options],
            cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(PROJECT)}, capture_output=True, text=True, check=False,
        )  # fmt: skip

    done = replay()
    assert done.returncode == 5, done.stderr
    assert "Plate too hot: T above 60" in done.stdout
    report = json.loads(replay("--json").stdout)
    assert [(a["name"], a["value"], a["state"]) for a in report["alarms"]] == [
        ("too_hot", 70.0, "active"),
        ("too_hot", 50.0, "cleared"),
    ]
    assert [mail["subject"] for mail in report["mails"]] == ["old: T above 60 degC (70)"]
    assert sorted(p.name for p in tmp_path.glob("*.h5*")) == ["old.h5"]
    missing = subprocess.run(
        [*PYTHON, "convection.yaml", "--replay", "gone.h5"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(PROJECT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert missing.returncode == 2
    assert "gone.h5" in missing.stderr
    assert "Traceback" not in missing.stderr


def test_the_report_goes_with_the_last_mail(start, tmp_path):
    mailbox = Mailbox()
    with smtp_server(mailbox) as port:
        process = start(port, "heat", "--set", "email.attach_report=true")
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 5, errors
    (page,) = mailbox.mails[-1].iter_attachments()
    text = page.get_payload(decode=True).decode()
    assert page.get_filename() == "convection.html"
    assert "stopped after 0:00:0" in text
    assert "T above 60 degC (70)" in text
    assert "<svg" in text
    assert list(mailbox.mails[0].iter_attachments()) == []


#: As it stands in the description of the library, to the letter.
PUBLISHED = """
import asyncio
from pymanip_run import AsyncSession

async def monitoring_task(sesn):
    some_value = await sesn.some_device.aget()
    sesn.add_entry(some_value=some_value)
    await sesn.sleep(10)

async def main(sesn):
    async with SomeDevice() as sesn.some_device:
        await sesn.monitor(monitoring_task,
                           sesn.plot(["some_value"]),
                           sesn.send_email(from_addr="a@b.org", to_addrs="c@d.org", delay_hours=2.0))

with AsyncSession("convection") as sesn:
    asyncio.run(main(sesn))
"""
#: What it leaves to its reader, the device; and here an hour of the loop is over in a second.
BEFORE = """
class SomeDevice:
    async def __aenter__(self):
        return self
    async def __aexit__(self, *_):
        say("closed")
    async def aget(self):
        return 20.5

def sooner(loop, delay, *args, later=asyncio.BaseEventLoop.call_later, **more):
    return later(loop, delay / 3600 if delay > 600 else delay, *args, **more)

asyncio.BaseEventLoop.call_later = sooner
"""
THREE = {
    "some_value=some_value": "some_value=some_value, other_value=2, third_value=3",
    '["some_value"]': '["some_value", "other_value", "third_value"]',
}


@pytest.mark.parametrize("more", [{}, THREE], ids=["to the letter", "with three variables"])
def test_the_published_example_reports_by_mail_with_its_plot(script, tmp_path, monkeypatch, more):
    """The address of the server comes from the user's configuration; nothing of the text is changed for it."""
    text, names = (
        PUBLISHED,
        ["some_value", "other_value", "third_value"] if more else ["some_value"],
    )
    for old, new in more.items():
        assert old in text
        text = text.replace(old, new)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "pymanip-run").mkdir()
    mailbox = Mailbox()
    with smtp_server(mailbox) as port:
        (tmp_path / "pymanip-run" / "config.yaml").write_text(
            f"email: {{host: localhost, port: {port}, security: none}}\n"
        )
        running = script(BEFORE + text)
        mailbox.wait_for(2, seconds=60)
        running.send(signal.SIGINT)
        code, errors = running.end()
    assert code == 0, errors
    assert "closed" in running.lines
    report = mailbox.mails[1]
    assert (report["From"], report["To"]) == ("a@b.org", "c@d.org")
    assert mailbox.subjects[0].startswith("convection: report ")
    plain = report.get_body(("plain",)).get_content().replace("\r", "")
    for name, value in zip(names, ("20.5", "2", "3"), strict=False):
        assert f"{name:<{max(map(len, names))}}  {value:>4}" in plain, plain
    assert f"Plots, shown with the HTML of this mail: {', '.join(names)}" in plain
    assert 'src="cid:figure-0"' in report.get_body(("html",)).get_content()
    (picture,) = [p for p in report.walk() if p.get_content_type() == "image/png"]
    assert picture["Content-ID"] == "<figure-0>"
    assert picture.get_content().startswith(b"\x89PNG")
    session = SavedAsyncSession(tmp_path / "convection.h5", verbose=False)
    assert session.logged_variables() == set(names)
    assert [one["variables"] for one in session.figures()] == [names]
