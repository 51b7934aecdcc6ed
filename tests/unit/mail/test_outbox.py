"""Mails are sent by a thread: posting never waits, failing servers are tried again, nothing ends the run."""

import asyncio
import threading
from dataclasses import replace

import pytest
from helpers_mail import PASSWORD, Mailbox, bad_server, echo_password, hang, smtp_server
from helpers_ports import free_port

from pymanip_run.clock import SYSTEM
from pymanip_run.mail.account import Account
from pymanip_run.mail.facts import Occasion, Sources
from pymanip_run.mail.letter import Figure
from pymanip_run.mail.outbox import SmtpOutbox
from pymanip_run.session import AsyncSession


def occasion(kind="alarm", key="hot", headline="T above 60 (61)"):
    return Occasion(kind, key, headline, headline, 0.0)


class Desk:
    def __init__(self, port, *, login=None, **options):
        self.session = AsyncSession(verbose=False)
        self.events = []
        account = Account(
            "lab@example.org", ("me@example.org",), "localhost", port, "none", **(login or {})
        )
        sources = Sources("c", "t", self.session, self.session.now)
        self.told = threading.Event()
        self.outbox = SmtpOutbox(account, sources, self._tell, **options)

    def _tell(self, *event):
        self.events.append(event)
        self.told.set()


@pytest.fixture
def desk():
    made = []

    def make(port, **options):
        made.append(Desk(port, **options))
        return made[-1]

    yield make
    for one in made:
        one.outbox.close()


def test_what_is_posted_arrives(desk):
    mailbox = Mailbox()
    with smtp_server(mailbox) as port:
        desk(port).outbox.post(occasion())
        mailbox.wait_for(1)
    assert mailbox.subjects == ["c: T above 60 (61)"]


def test_what_comes_at_once_goes_together(desk):
    mailbox = Mailbox()
    with smtp_server(mailbox) as port:
        one = desk(port)
        with one.outbox._changed:
            for number in range(3):
                one.outbox.post(occasion(key=f"a{number}"))
        mailbox.wait_for(1)
    assert mailbox.subjects == ["c: T above 60 (61) and 2 more"]


def test_posting_never_waits_for_a_server_that_hangs(desk):
    with bad_server(hang) as port:
        one = desk(port, deadline=5.0)
        for number in range(1000):
            one.outbox.post(occasion(key=str(number)))
        # Not even the first one is given up by now.
        assert not one.told.is_set()
        assert one.told.wait(20)


def test_after_a_failure_it_is_tried_again(desk):
    mailbox = Mailbox(["451 greylisted", "451 greylisted"])
    with smtp_server(mailbox) as port:
        one = desk(port, first_wait=0.05)
        one.outbox.post(occasion())
        mailbox.wait_for(1)
        one.outbox.post(occasion(key="other"))
        mailbox.wait_for(2)
    texts = [text for _, _, text in one.events]
    assert "tried again in 50 ms" in texts[0]
    assert "works again" in texts[-1]


def test_a_mail_that_nobody_will_ever_take_is_given_up(desk):
    mailbox = Mailbox(["554 spam"])
    with smtp_server(mailbox) as port:
        one = desk(port, first_wait=0.01)
        one.outbox.post(occasion())
        assert one.told.wait(20)
        one.outbox.post(occasion(key="other", headline="next"))
        mailbox.wait_for(1)
    assert mailbox.subjects == ["c: next"]
    assert "554 spam; the mail is given up" in one.events[0][2]


def test_many_failures_are_few_events(desk):
    one = desk(free_port(), first_wait=1e-4)
    one.outbox._wait = 1e-6
    for number in range(200):
        one.outbox.post(occasion(key=str(number)))
    assert one.told.wait(20)
    began = SYSTEM.monotonic()
    while one.outbox._status.failures < 5 and SYSTEM.monotonic() - began < 20:
        SYSTEM.pause(0.01)
    assert one.outbox._status.failures >= 5
    assert len(one.events) == 1


def test_of_reports_that_could_not_be_sent_only_the_newest_is(desk):
    mailbox = Mailbox(["451 later"])
    with smtp_server(mailbox) as port:
        one = desk(port, first_wait=0.5)
        one.outbox.post(Occasion("report", "", "", "", 1.0))
        assert one.told.wait(20)
        one.outbox.post(Occasion("report", "", "", "", 2.0))
        one.outbox.post(Occasion("report", "", "", "", 3.0))
        mailbox.wait_for(1)
        asyncio.run(one.outbox.finish(occasion("finish", "", "finished")))
    assert [s.partition(" ")[2].partition(" ")[0] for s in mailbox.subjects] == [
        "report",
        "finished,",
    ]


def test_the_password_is_in_no_event_and_no_log(desk, caplog):
    caplog.set_level(0)
    with bad_server(echo_password) as port:
        one = desk(port, login={"user": "lab", "password": PASSWORD})
        one.outbox.post(occasion())
        assert one.told.wait(20)
    assert "535" in one.events[0][2]
    assert PASSWORD not in f"{one.events}{caplog.text}"


async def test_the_last_mail_is_waited_for(desk):
    mailbox = Mailbox()
    with smtp_server(mailbox) as port:
        one = desk(port)
        await one.outbox.finish(occasion("finish", "", "finished after 1 s (Ctrl-C)"))
        assert mailbox.subjects == ["c: finished after 1 s (Ctrl-C), all well"]


FIGURES = [Figure("large", b"x" * 900_000), Figure("small", b"y" * 50_000)]


def shown(mail):
    return [
        len(p.get_payload(decode=True)) for p in mail.walk() if p.get_content_type() == "image/png"
    ]


def test_what_a_server_takes_of_a_large_mail_is_sent_and_the_rest_is_named(desk):
    mailbox = Mailbox()
    with smtp_server(mailbox, largest=500_000) as port:
        one = desk(port, min_interval=0)
        one.outbox._sources = replace(one.outbox._sources, figures=lambda: FIGURES)
        for number in (1, 2):
            one.outbox.post(occasion(key=str(number)))
            mail = mailbox.wait_for(number)[-1]
            assert shown(mail) == [50_000]
            text = mail.get_body(("plain",)).get_content()
            assert "Without the plot large (900 kB): the mail would be too large" in text
    assert one.events == []


def test_a_server_that_does_not_say_how_much_it_takes_gets_the_mail_without_plots(desk):
    mailbox = Mailbox(["552 5.3.4 message too big"])
    with smtp_server(mailbox) as port:
        one = desk(port)
        one.outbox._sources = replace(one.outbox._sources, figures=lambda: FIGURES)
        one.outbox.post(occasion())
        (mail,) = mailbox.wait_for(1)
    assert shown(mail) == []
    assert (
        "Without 2 plots large (900 kB); small (50.0 kB): the"
        in mail.get_body(("plain",)).get_content()
    )


def test_a_mailbox_that_is_full_is_no_matter_of_plots(desk):
    mailbox = Mailbox(["552 5.2.2 mailbox full"] * 3)
    with smtp_server(mailbox) as port:
        one = desk(port, min_interval=0)
        one.outbox._sources = replace(one.outbox._sources, figures=lambda: FIGURES)
        one.outbox.post(occasion())
        assert one.told.wait(20)
        assert "552 5.2.2 mailbox full" in one.events[0][2]
        mailbox.refuse_no_more()
        one.outbox.post(occasion(key="another"))
        (mail,) = mailbox.wait_for(1)
    assert shown(mail) == [900_000, 50_000]


async def test_the_last_mail_takes_along_what_waits(desk):
    mailbox = Mailbox(["451 later"])
    with smtp_server(mailbox) as port:
        one = desk(port, first_wait=1000)
        one.outbox.post(occasion())
        await asyncio.to_thread(one.told.wait, 20)
        await one.outbox.finish(None)
        assert mailbox.subjects == ["c: T above 60 (61)"]


class SlowMailbox(Mailbox):
    """Takes a while for each mail."""

    def __init__(self):
        super().__init__()
        self.has_begun = threading.Event()

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd
        self.has_begun.set()
        await asyncio.sleep(0.3)
        return await super().handle_DATA(server, session, envelope)


async def test_the_end_waits_for_a_mail_that_is_on_its_way(desk):
    mailbox = SlowMailbox()
    with smtp_server(mailbox) as port:
        one = desk(port)
        one.outbox.post(occasion())
        assert await asyncio.to_thread(mailbox.has_begun.wait, 20)
        await one.outbox.finish(None)
        assert mailbox.subjects == ["c: T above 60 (61)"]


async def test_without_anything_to_say_the_end_does_not_wait(desk):
    one = desk(free_port())
    await one.outbox.finish(None)
    assert one.outbox._thread is None


async def test_the_last_mail_delays_the_end_by_its_deadline_at_most(desk):
    with bad_server(hang) as port:
        one = desk(port, deadline=0.5)
        began = SYSTEM.monotonic()
        await one.outbox.finish(occasion("finish", "", "finished"))
        assert SYSTEM.monotonic() - began < 5
    assert [source for _, source, _ in one.events] == ["mail"] * len(one.events) != []


async def test_waiting_for_the_last_mail_can_be_cancelled(desk):
    with bad_server(hang) as port:
        one = desk(port, deadline=30)
        job = asyncio.create_task(one.outbox.finish(occasion("finish", "", "finished")))
        await asyncio.sleep(0.1)
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(job, 5)


def test_what_cannot_be_read_does_not_keep_the_mail(desk, caplog):
    def fail():
        raise RuntimeError("no states")

    mailbox = Mailbox()
    with smtp_server(mailbox) as port:
        one = desk(port)
        one.outbox._sources = replace(one.outbox._sources, alarms=fail)
        one.outbox.post(occasion())
        (mail,) = mailbox.wait_for(1)
    assert mail["Subject"] == "c: T above 60 (61)"
    assert "T above 60 (61)" in mail.get_body(("plain",)).get_content()
    assert "no states" in caplog.text


def test_drawing_takes_its_part_of_the_time_for_a_mail(desk):
    lasted, ended = [], threading.Event()

    def note_how_long(connection, over):
        began = SYSTEM.monotonic()
        while connection.recv(100):
            pass
        lasted.append(SYSTEM.monotonic() - began)
        ended.set()

    def slow():
        SYSTEM.pause(3)
        return ()

    with bad_server(note_how_long) as port:
        one = desk(port, deadline=4.0)
        one.outbox._sources = replace(one.outbox._sources, figures=slow)
        one.outbox.post(occasion())
        assert one.told.wait(20)
        one.outbox.close()
        assert ended.wait(20)
    assert lasted[0] < 3, "what is left of 4 s"
