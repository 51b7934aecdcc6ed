"""Whatever a mail server does, what measures beside it is not late."""

import asyncio

import pytest
from helpers_mail import (
    PASSWORD,
    Mailbox,
    bad_server,
    close_early,
    drip_at,
    free_port,
    hang,
    smtp_server,
)

from pymanip_run import AsyncSession

PERIOD, TICKS = 0.01, 200
SECOND = 1 / 3600


async def lateness(beside=None):
    """Return by how much a ticker of 10 ms is late, in seconds, sorted."""
    loop = asyncio.get_running_loop()
    late, due = [], loop.time()
    for _ in range(TICKS):
        due += PERIOD
        await asyncio.sleep(max(0.0, due - loop.time()))
        late.append(max(0.0, loop.time() - due))
        if beside is not None:
            beside()
        due = max(due, loop.time() - PERIOD)
    return sorted(late)


def beside_mails(port, **options):
    """Measure the lateness beside a session that sends a mail every 100 ms."""
    result = []
    with AsyncSession(verbose=False) as sesn:

        def log():
            sesn.add_entry({f"v{n}": n for n in range(20)})

        async def ticker():
            result.extend(await lateness(log))

        mails = sesn.send_email(
            "a@b.org", "c@d.org", "localhost", port, delay_hours=0.1 * SECOND, **options
        )
        sesn.run(ticker(), mails, handle_signals=False)
    return result


def idle():
    return asyncio.run(lateness())


def is_on_time(here):
    """Tell whether a ticker is as punctual as in an idle loop, measured right after it."""
    there = [idle(), idle()]
    median = max(late[TICKS // 2] for late in there)
    worst = max(late[-5] for late in there)
    return here[TICKS // 2] <= 3 * median + 0.003 and here[-5] <= 3 * worst + 0.030


def assert_on_time(measure):
    # These computers are busy: what is late by itself is so each time.
    assert any(is_on_time(measure()) for _ in range(3))


@pytest.mark.parametrize(
    "behave", [hang, drip_at(2), close_early], ids=["hangs", "drips", "closes"]
)
def test_beside_a_bad_server_the_ticker_is_not_late(behave):
    with bad_server(behave) as port:
        assert_on_time(lambda: beside_mails(port))


def test_beside_a_server_that_refuses_the_ticker_is_not_late():
    assert_on_time(lambda: beside_mails(free_port()))


def test_beside_mails_over_tls_the_ticker_is_not_late(server_context, trusted):
    mailbox = Mailbox()
    with smtp_server(mailbox, "starttls", server_context, login=True) as port:
        secured = {"use_starttls": True, "user": "lab", "password": PASSWORD}
        assert_on_time(lambda: beside_mails(port, **secured))
    assert len(mailbox.mails) > 3


def test_what_blocks_the_loop_would_be_seen():
    async def main():
        loop = asyncio.get_running_loop()
        for n in range(20):
            loop.call_later(n * 0.1, __import__("time").sleep, 0.15)
        return await lateness()

    assert not is_on_time(asyncio.run(main()))
