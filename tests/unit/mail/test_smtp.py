"""Handing over mails to a real server, and to servers that misbehave."""

import threading
import traceback

import pytest
from helpers_mail import (
    PASSWORD,
    Mailbox,
    bad_server,
    close_after,
    close_early,
    drip_at,
    echo_password,
    free_port,
    garbage,
    hang,
    smtp_server,
)

from pymanip_run.clock import SYSTEM
from pymanip_run.mail.account import Account
from pymanip_run.mail.letter import Letter, to_message
from pymanip_run.mail.smtp import MailError, deliver


def account(port, security="none", host="localhost", to=("me@example.org",), **login):
    return Account("Lab <lab@example.org>", to, host, port, security, **login)


def send(to_account, deadline=20.0):
    letter = Letter("Subject", "Grüße: 41 °C", "<p>Grüße</p>")
    return deliver(to_account, to_message(letter, to_account), deadline)


def failure(to_account, deadline=20.0):
    with pytest.raises(MailError) as caught:
        send(to_account, deadline)
    return caught.value


def test_a_mail_arrives():
    mailbox = Mailbox()
    with smtp_server(mailbox) as port:
        assert send(account(port)) == []
    (mail,) = mailbox.mails
    assert mail["Subject"] == "Subject"
    assert mail["From"] == "Lab <lab@example.org>"
    assert mail.get_body(("plain",)).get_content().strip() == "Grüße: 41 °C"


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_encrypted_and_logged_in(security, server_context, trusted):
    mailbox = Mailbox()
    with smtp_server(mailbox, security, server_context, login=True) as port:
        send(account(port, security, user="lab", password=PASSWORD))
    assert mailbox.encrypted == [True]
    assert [(login, password) for _, login, password in mailbox.logins] == [
        (b"lab", PASSWORD.encode())
    ]


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_of_nobody_known_is_refused_before_the_password_is_sent(
    security, server_context
):
    mailbox = Mailbox()
    with smtp_server(mailbox, security, server_context, login=True) as port:
        error = failure(account(port, security, user="lab", password=PASSWORD))
    assert "certificate is not trusted" in str(error)
    assert error.lasting
    assert (mailbox.mails, mailbox.logins) == ([], [])


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_of_another_computer_is_refused(security, server_context, trusted):
    mailbox = Mailbox()
    with smtp_server(mailbox, security, server_context) as port:
        error = failure(account(port, security, host="127.0.0.1"))
    assert "certificate is not trusted" in str(error)
    assert "127.0.0.1" in str(error)
    assert mailbox.mails == []


def test_without_starttls_nothing_is_sent_in_the_clear():
    mailbox = Mailbox()
    with smtp_server(mailbox) as port:
        error = failure(account(port, "starttls"))
    assert "STARTTLS" in str(error)
    assert error.lasting
    assert mailbox.mails == []


def test_a_wrong_password_is_said_without_saying_it(server_context, trusted):
    mailbox = Mailbox()
    with smtp_server(mailbox, "starttls", server_context, login=True) as port:
        error = failure(account(port, "starttls", user="lab", password="wrong-horse"))  # noqa: S106
    assert "the login: 535" in str(error)
    assert error.lasting
    assert "wrong-horse" not in "".join(traceback.format_exception(error))


def test_a_server_that_repeats_the_password_is_not_repeated():
    with bad_server(echo_password) as port:
        error = failure(account(port, user="lab", password=PASSWORD))
    text = "".join(traceback.format_exception(error))
    assert "535 5.7.8 refused" in text
    assert PASSWORD not in text
    assert "AGxhYgBjb3JyZWN0" not in text  # \0lab\0correct… in base64
    assert PASSWORD not in repr(account(port, user="lab", password=PASSWORD))


def test_a_recipient_that_is_refused_does_not_keep_the_others_from_it():
    mailbox = Mailbox()
    with smtp_server(mailbox) as port:
        refused = send(account(port, to=("me@example.org", "nobody@example.org")))
    assert refused == ["nobody@example.org: 550 5.1.1 no such mailbox"]
    assert len(mailbox.mails) == 1


def test_where_all_recipients_are_refused_nobody_gets_it():
    with smtp_server(Mailbox()) as port:
        error = failure(account(port, to=("nobody@example.org",)))
    assert "550 5.1.1 no such mailbox" in str(error)
    assert error.lasting


@pytest.mark.parametrize(("reply", "lasting"), [("451 try again later", False), ("554 spam", True)])
def test_whether_trying_again_is_of_use_is_told_by_the_reply(reply, lasting):
    with smtp_server(Mailbox([reply])) as port:
        error = failure(account(port))
    assert reply in str(error)
    assert error.lasting is lasting


def test_nobody_there():
    error = failure(account(free_port()))
    assert "Connection refused" in str(error)
    assert not error.lasting


@pytest.mark.parametrize(
    "behave", [close_early, close_after(b"MAIL"), close_after(b"DATA"), garbage],
    ids=["greeting", "MAIL", "DATA", "garbage"],
)  # fmt: skip
def test_a_server_that_breaks_off(behave):
    with bad_server(behave) as port:
        error = failure(account(port))
    assert not error.lasting


HALF_A_RECORD = b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc"  # of a TLS handshake


@pytest.mark.parametrize(
    ("behave", "security"),
    [
        (hang, "none"), (hang, "starttls"), (hang, "tls"),
        (drip_at(0.02), "none"), (drip_at(0.02), "starttls"), (drip_at(0.02, HALF_A_RECORD), "tls"),
    ],
    ids=["hangs", "hangs-starttls", "hangs-tls", "drips", "drips-starttls", "drips-tls"],
)  # fmt: skip
def test_the_deadline_holds(behave, security):
    began = SYSTEM.monotonic()
    with bad_server(behave) as port:
        failure(account(port, security), deadline=0.5)
    assert 0.4 < SYSTEM.monotonic() - began < 5


def test_when_the_time_is_over_the_connection_is_cut():
    cut = threading.Event()

    def behave(connection, over):
        connection.sendall(b"220 ")
        try:
            while not over.wait(0.02):
                connection.sendall(b"a")
        except OSError:
            cut.set()

    with bad_server(behave) as port:
        failure(account(port), deadline=0.3)
        assert cut.wait(10)
