"""The report of a session that goes with the mail about the end of its run."""

import email.policy

import pytest

from pymanip_run.errors import UsageError
from pymanip_run.mail.account import Account
from pymanip_run.mail.compose import compose
from pymanip_run.mail.facts import Occasion, Sources
from pymanip_run.mail.letter import Attachment, Figure, to_message
from pymanip_run.session import AsyncSession
from pymanip_run.session.reporting import attached_report

END = Occasion(
    "finish", "", "finished after 0:10:00 (Ctrl-C)", "finished after 0:10:00 (Ctrl-C)", 0.0
)
ALARM = Occasion("alarm", "hot", "T above 60", "T above 60", 0.0)
PAGE = "<p>é…\n".encode() + b"x" * 2000 + b"\n.\nFrom me\n"


@pytest.fixture
def session():
    with AsyncSession(verbose=False) as sesn:
        for i in range(100):
            sesn.add_entry(T=i)
        yield sesn


def sources(session, report):
    return Sources("convection", "Cell", session, session.now, report=report)


def message_of(letter):
    account = Account("lab@example.org", ("me@example.org",))
    raw = to_message(letter, account).as_bytes()
    assert max(map(len, raw.split(b"\n"))) <= 998
    return email.message_from_bytes(raw, policy=email.policy.default)


def test_it_is_a_file_that_comes_back_as_it_was(session):
    figure = Figure("T", b"\x89PNG")
    asked = []

    def report(ending):
        asked.append(ending)
        return Attachment("Rayleigh–Bénard.html", PAGE)

    letter = compose(
        [END], Sources("c", "C", session, session.now, figures=lambda: [figure], report=report), 0.0
    )
    message = message_of(letter)
    assert asked == [END]
    (part,) = message.iter_attachments()
    assert part.get_filename() == "Rayleigh–Bénard.html"
    assert part.get_content_type() == "text/html"
    assert part.get_payload(decode=True) == PAGE
    assert "The report of the session is attached: Rayleigh–Bénard.html" in letter.text
    assert message.get_body(("plain",)).get_content().startswith("finished after")
    assert "cid:figure-0" in message.get_body(("html",)).get_content()


def test_only_the_mail_about_the_end_has_it(session):
    letter = compose([ALARM], sources(session, lambda _: pytest.fail("not asked for")), 0.0)
    assert letter.attachments == []
    assert not message_of(letter).is_attachment()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            UsageError("it takes longer than 15 s"),
            "Without the report of the session: it takes longer than 15 s",
        ),
        (RuntimeError("a fault of ours"), "could not be made; the log of the run says why"),
    ],
)
def test_without_a_report_the_mail_goes_all_the_same(session, fault, said):
    def report(_):
        raise fault

    letter = compose([END], sources(session, report), 0.0)
    assert said in letter.text
    assert said in letter.html
    assert letter.attachments == []


def test_a_report_too_large_for_mail_servers_stays_at_home(session):
    letter = compose([END], sources(session, lambda _: Attachment("a.html", b"x" * 9_000_000)), 0.0)
    assert letter.attachments == []
    assert "Without the report of the session a.html (9.0 MB): the mail would be too" in letter.text


def test_it_says_how_the_run_ended_before_that_is_recorded(session):
    found = attached_report(session, END)
    assert found.name == "session.html"
    assert b"Statistics" in found.html


def test_it_is_given_up_when_it_takes_too_long(session):
    with pytest.raises(UsageError, match="it takes longer than 0 ms"):
        attached_report(session, END, seconds=0.0)
