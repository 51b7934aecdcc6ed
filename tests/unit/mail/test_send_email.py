"""``sesn.send_email``, as published, against a real server."""

import asyncio

import pytest
from helpers_mail import PASSWORD, Mailbox, bad_server, drip_at, hang, smtp_server
from helpers_ports import free_port

from pymanip_run import AsyncSession
from pymanip_run.errors import ConfigError, UsageError
from pymanip_run.runtime.virtual import virtual_time

SECOND = 1 / 3600


@pytest.fixture
def sesn(tmp_path):
    with AsyncSession(tmp_path / "convection", verbose=False) as session:
        yield session


async def measure(session):
    session.add_entry(T=20)
    await session.sleep(0.01)


def run(session, *tasks, until):
    async def stop_when():
        async with asyncio.timeout(20):
            while not until():  # noqa: ASYNC110 - what it waits for has no event
                await asyncio.sleep(0.01)
        session.ask_exit()

    session.run(*tasks, stop_when(), handle_signals=False)


def test_reports_are_sent_while_tasks_run(sesn):
    mailbox = Mailbox()
    with smtp_server(mailbox) as port:
        mails = sesn.send_email(
            "a@b.org", "c@d.org, e@f.org", "localhost", port, delay_hours=0.2 * SECOND
        )
        run(sesn, measure, mails, until=lambda: len(mailbox.mails) >= 3)
    assert mailbox.mails[0]["To"] == "c@d.org, e@f.org"
    assert all(subject.startswith("convection: report ") for subject in mailbox.subjects)
    assert "T" in mailbox.mails[0].get_body(("html",)).get_content()


def test_the_subject_can_be_chosen(sesn):
    mailbox = Mailbox()
    with smtp_server(mailbox) as port:
        mails = sesn.send_email(
            "a@b.org", ["c@d.org"], "localhost", port, "My\r\nCell", 0.1 * SECOND
        )
        run(sesn, measure, mails, until=lambda: mailbox.mails)
    assert mailbox.subjects[0].startswith("My Cell: report ")


def test_encrypted_and_logged_in(sesn, server_context, trusted):
    mailbox = Mailbox()
    with smtp_server(mailbox, "starttls", server_context, login=True) as port:
        mails = sesn.send_email(
            "a@b.org", "c@d.org", "localhost", port, delay_hours=1, initial_delay_hours=0,
            use_starttls=True, user="lab", password=PASSWORD,
        )  # fmt: skip
        run(sesn, measure, mails, until=lambda: mailbox.mails)
    assert mailbox.logins
    assert PASSWORD not in repr([event.text for event in sesn.events()])


def test_the_first_comes_after_half_the_delay(tmp_path):
    with virtual_time(1_700_000_000 * 10**9) as world, AsyncSession(verbose=False) as sesn:
        times = []

        async def watch():
            began = world.clock.elapsed
            while len(times) < 3:
                await asyncio.sleep(60)
                if len(sesn._session.listed_mails) > len(times):
                    times.append(round(world.clock.elapsed - began))
            sesn.ask_exit()

        mails = sesn.send_email("a@b.org", "c@d.org", delay_hours=2)
        world.run(sesn.monitor(watch(), mails, handle_signals=False))
    assert times == [3600, 10800, 18000]


def test_a_run_ends_with_its_tasks_and_does_not_wait_for_mails(sesn):
    async def short():
        await asyncio.sleep(0.01)

    sesn.run(short(), sesn.send_email("a@b.org", "c@d.org", "localhost", free_port()))
    assert sesn.runs()[-1].exit_reason == "all tasks ended"


def test_alone_it_runs_until_the_stop(sesn):
    mailbox = Mailbox()

    async def main(port):
        mails = sesn.send_email("a@b.org", "c@d.org", "localhost", port, delay_hours=0.1 * SECOND)
        asyncio.get_running_loop().call_later(0.5, sesn.ask_exit)
        await sesn.monitor(mails, handle_signals=False)

    with smtp_server(mailbox) as port:
        asyncio.run(main(port))
        mailbox.wait_for(1)


@pytest.mark.parametrize("behave", [hang, drip_at(2)], ids=["hangs", "drips"])
def test_a_bad_server_never_ends_or_delays_the_run(sesn, behave):
    with bad_server(behave) as port:
        mails = sesn.send_email(
            "a@b.org", "c@d.org", "localhost", port, delay_hours=1, initial_delay_hours=0
        )
        run(
            sesn, measure, mails, until=lambda: len(sesn.logged_variables()) and sesn["T"].size > 50
        )
    assert sesn.runs()[-1].exit_code == 0


def test_a_server_that_is_not_there_is_an_event(sesn):
    def told():
        return [e for e in sesn.events() if (e.kind, e.source) == ("error", "mail")]

    mails = sesn.send_email(
        "a@b.org", "c@d.org", "localhost", free_port(), delay_hours=1, initial_delay_hours=0
    )
    run(sesn, measure, mails, until=told)
    assert "Connection refused" in told()[0].text
    assert sesn.runs()[-1].exit_code == 0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"delay_hours": 0}, "delay_hours"),
        ({"delay_hours": "often"}, "delay_hours"),
        ({"initial_delay_hours": -1}, "initial_delay_hours"),
        ({"use_starttls": True, "use_ssl_submission": True}, "choose one"),
        ({"user": "lab", "password": "x", "host": "smtp.example.org"}, "unencrypted"),
        ({"from_addr": "a@b.org\nBcc: c@d.org"}, "is not an address"),
        ({"to_addrs": []}, "nobody"),
    ],
)
def test_what_makes_no_sense_is_said_at_once(sesn, options, text):
    with pytest.raises(UsageError, match=text):
        sesn.send_email(**({"from_addr": "a@b.org", "to_addrs": "c@d.org"} | options))


# -- the user's configuration -----------------------------------------------------------------------


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "pymanip-run").mkdir()
    return tmp_path / "pymanip-run" / "config.yaml"


def test_without_a_host_that_of_the_users_configuration_is_used(sesn, config):
    mailbox = Mailbox()
    with smtp_server(mailbox) as port:
        config.write_text(f"email: {{host: 127.0.0.1, port: {port}, security: none}}\n")
        mails = sesn.send_email("a@b.org", "c@d.org", delay_hours=1, initial_delay_hours=0)
        run(sesn, measure, mails, until=lambda: mailbox.mails)


def test_what_is_given_goes_before_the_configuration(sesn, config):
    config.write_text("email: {host: smtp.example.org, port: 1, security: tls}\n")
    account = sesn.send_email("a@b.org", "c@d.org", port=2)._account
    assert (account.host, account.port, account.security) == ("smtp.example.org", 2, "tls")
    account = sesn.send_email("a@b.org", "c@d.org", "localhost")._account
    assert (account.host, account.server_port, account.security) == ("localhost", 25, "none")


def test_without_a_configuration_it_is_this_computer(sesn):
    account = sesn.send_email("a@b.org", "c@d.org")._account
    assert (account.host, account.server_port, account.security) == ("localhost", 25, "none")


def test_a_configuration_that_is_wrong_says_where(sesn, config):
    config.write_text("email: {hots: smtp.example.org}\n")
    with pytest.raises(ConfigError, match=r"config\.yaml:1:9.*did you mean 'host'"):
        sesn.send_email("a@b.org", "c@d.org")
