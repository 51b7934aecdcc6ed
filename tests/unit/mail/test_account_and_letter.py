from email import message_from_bytes, policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymanip_run.errors import UsageError
from pymanip_run.mail.account import Account, addresses
from pymanip_run.mail.letter import Figure, Letter, one_line, to_message
from pymanip_run.mail.pacing import Pacing

ACCOUNT = Account("Lab <lab@example.org>", ("me@example.org", "You <you@example.org>"))


def sent(letter, account=ACCOUNT):
    return message_from_bytes(bytes(to_message(letter, account)), policy=policy.default)


@given(st.text())
def test_no_subject_can_add_a_header(text):
    mail = sent(Letter(f"a{text}\r\nBcc: spy@example.org", "t", "h"))
    assert set(mail.keys()) == {
        "Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"
    }  # fmt: skip


@pytest.mark.parametrize(
    "address",
    [
        "a@b.org\r\nBcc: spy@example.org",
        "a@b.org\nX: y",
        "no address",
        "",
        "a@b.org, c@d.org",
        "A\n <a@b.org>",
    ],
)
def test_an_address_cannot_bring_headers(address):
    with pytest.raises(UsageError, match="is not an address"):
        Account(address, ("me@example.org",))
    with pytest.raises(UsageError, match="is not an address"):
        Account("me@example.org", (address,))


WORDS = st.sampled_from(
    [
        "convection:",
        "T",
        "above",
        "60",
        "°C",
        "(61.2)",
        "well",
        "→",
        "x" * 90,
        "=?utf-8?q?a?=",
        "a,b;c",
        '"q"',
        "<b>",
        "😀",
    ]
)


@given(st.lists(WORDS, min_size=1, max_size=12).map(" ".join))
def test_a_subject_arrives_as_it_was_written(text):
    if len(text) <= 200:
        assert sent(Letter(text, "t", "h"))["Subject"] == text


def test_a_long_subject_is_cut():
    assert len(sent(Letter("a" * 5000, "t", "h"))["Subject"]) == 200


def test_everybody_sees_who_gets_it():
    assert sent(Letter("s", "t", "h"))["To"] == "me@example.org, You <you@example.org>"


def test_text_html_and_pictures_are_there():
    mail = sent(Letter("s", "text", "<img src='cid:figure-0'>", [Figure("T", b"\x89PNG")]))
    assert mail.get_body(("plain",)).get_content().strip() == "text"
    assert mail.get_body(("html",)).get_content().startswith("<img")
    (png,) = [part for part in mail.walk() if part.get_content_type() == "image/png"]
    assert (png["Content-ID"], png.get_content()) == ("<figure-0>", b"\x89PNG")
    assert png.get_content_disposition() == "inline"


def test_a_text_becomes_one_line():
    assert one_line(" a\tb\r\n\x1b[31mc\ud800 ") == "a b [31mc"


def test_addresses_are_one_text_or_several():
    assert addresses("a@b.org, c@d.org") == ["a@b.org", "c@d.org"]
    assert addresses(["a@b.org"]) == ["a@b.org"]
    with pytest.raises(UsageError):
        addresses([3])


def test_a_password_is_not_sent_in_the_clear_to_other_computers():
    login = {"user": "lab", "password": "secret"}
    with pytest.raises(UsageError, match="use_starttls=True") as caught:
        Account("a@b.org", ("c@d.org",), "smtp.example.org", security="none", **login)
    assert "secret" not in str(caught.value)
    for host in ("localhost", "127.0.0.1", "[::1]", "::1", "a.localhost"):
        Account("a@b.org", ("c@d.org",), host, security="none", **login)


def test_user_and_password_go_together():
    with pytest.raises(UsageError, match="the password is missing"):
        Account("a@b.org", ("c@d.org",), user="lab")


def test_somebody_must_get_it():
    with pytest.raises(UsageError, match="nobody"):
        Account("a@b.org", ())


@pytest.mark.parametrize(("security", "port"), [("starttls", 587), ("tls", 465), ("none", 25)])
def test_the_usual_ports(security, port):
    assert Account("a@b.org", ("c@d.org",), security=security).server_port == port


def test_mails_of_one_kind_keep_their_distance():
    pacing = Pacing(900)
    key = ("alarm", "hot")
    assert pacing.admit(key, 0) == 0
    assert pacing.admit(key, 10) == 900
    assert pacing.admit(key, 20) is None
    assert pacing.admit(("alarm", "cold"), 20) == 20
    assert pacing.admit(key, 900) == 1800
    assert pacing.admit(key, 5000) == 5000
