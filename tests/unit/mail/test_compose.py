import re
from typing import NamedTuple

import pytest

from pymanip_run.errors import UsageError
from pymanip_run.mail.compose import compose, subject_of
from pymanip_run.mail.facts import Occasion, Sources, SweepLine
from pymanip_run.mail.letter import Figure
from pymanip_run.masking import known_secrets
from pymanip_run.session import AsyncSession


class Line(NamedTuple):
    name: str
    level: str
    text: str
    headline: str = ""


HOT = Line("hot", "active", "T above 60 °C (61.2), since noon", "T above 60 °C (61.2)")
ALARM = Occasion(
    "alarm", "hot", "T above 60 °C (61.2)", "Too hot: T above 60 °C (61.2); cleared when …", 0.0
)
REPORT = Occasion("report", "", "", "", 1_700_000_000.0)


@pytest.fixture
def session():
    with AsyncSession(verbose=False) as sesn:
        sesn.describe("T", unit="°C", format=".1f", label="Plate <b>")
        sesn.add_entry(T=61.23, flow=0.000123)
        yield sesn


def sources(session, **more):
    return Sources(
        "convection", "Cell", session, session.now, state=lambda: "running 0:10:00", **more
    )


def text_of(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_the_subject_of_an_alarm_says_what_is_wrong(session):
    assert subject_of([ALARM], sources(session)) == "convection: T above 60 °C (61.2)"
    assert subject_of([ALARM, ALARM], sources(session)).endswith("(61.2) and 1 more")


def test_the_subject_of_a_report_says_whether_all_is_well(session):
    assert re.fullmatch(
        r"convection: report \d\d:\d\d, all well", subject_of([REPORT], sources(session))
    )
    wrong = sources(session, alarms=lambda: [HOT, Line("b", "ok", "ok")])
    assert subject_of([REPORT], wrong).endswith(", 1 alarm: T above 60 °C (61.2)")
    two = sources(session, alarms=lambda: [HOT, HOT._replace(name="dry")])
    assert subject_of([REPORT], two).endswith(", 2 alarms: hot, dry")


def test_the_first_lines_say_what_a_telephone_shows(session):
    lines = compose([ALARM], sources(session), 0.0).text.splitlines()
    assert lines[0].startswith("Too hot: T above 60")
    assert lines[1] == "convection: running 0:10:00"
    assert re.fullmatch(r"Plate <b>\s+61\.2 °C\s+\d+\S* m?s ago", lines[3])
    assert re.fullmatch(r"flow\s+0\.000123\s+\S+ m?s ago", lines[4])
    assert compose([REPORT], sources(session), 0.0).text.startswith("all well\n")


def test_html_says_the_same_and_nothing_of_it_is_markup(session):
    session.note("<script>alert(1)</script>")
    letter = compose([ALARM], sources(session, alarms=lambda: [HOT]), 0.0)
    assert "<script>" not in letter.html
    assert "Plate &lt;b&gt;" in letter.html
    for word in ("61.2", "0.000123", "running 0:10:00", "since noon"):
        assert word in text_of(letter.html)
        assert word in letter.text


def test_events_since_the_last_mail_are_listed(session):
    session.note("before")
    since = session.now()
    session.note("after")
    text = compose([REPORT], sources(session), since).text
    assert "after" in text
    assert "before" not in text


def test_of_many_events_and_variables_the_mail_stays_short(session):
    for number in range(80):
        session.note(f"note {number}")
    session.add_entry({f"v{number}": 1 for number in range(1000)})
    text = compose([REPORT], sources(session), 0.0).text
    assert "… 30 earlier ones" in text
    assert "and 702 more variables" in text
    assert len(text) < 40_000


def test_sweeps_and_the_dashboard_are_there(session):
    letter = compose(
        [REPORT],
        sources(
            session,
            sweeps=lambda: [SweepLine("scan", 7, 11, 130.0), SweepLine("other", 3, None, None)],
            address=lambda: "http://labpc:6913/",
        ),
        0.0,
    )
    for text in (letter.text, text_of(letter.html)):
        assert "scan: 7 of 11 points, 0:02:10 left" in text
        assert "other: 3 points" in text
        assert "http://labpc:6913/" in text


def test_a_stale_value_is_told(session):
    session.describe("flow", period="1ms")
    late = sources(session)
    late = Sources("c", "t", session, lambda: session.now() + 3600, state=late.state)
    assert "1 h ago  no fresh value" in compose([REPORT], late, 0.0).text


def test_secrets_do_not_leave_in_mails(session):
    with known_secrets(["hunter2000"]):
        occasion = ALARM._replace(headline="login hunter2000", text="login hunter2000")
        letter = compose([occasion], sources(session), 0.0)
    assert "hunter2000" not in letter.subject + letter.text + letter.html


def test_figures_are_shown_and_too_large_ones_left_out(session):
    """What fits goes with it, wherever it stands."""
    huge = Figure("all of it", b"x" * 9_000_000)
    figures = [huge, Figure("T <over> time", b"x")]
    letter = compose([REPORT], sources(session, figures=lambda: figures), 0.0)
    assert [figure.title for figure in letter.figures] == ["T <over> time"]
    assert 'src="cid:figure-0" alt="T &lt;over&gt; time"' in letter.html
    assert "Plots, shown with the HTML of this mail: T <over> time\n" in letter.text
    for said in (letter.text, text_of(letter.html)):
        assert "Without the plot all of it (9.0 MB): the mail would be too large" in said


def test_all_that_is_left_out_is_named(session):
    figures = [Figure(f"plot {n}", b"x" * 3_000_000) for n in range(5)]
    letter = compose([REPORT], sources(session, figures=lambda: figures), 0.0)
    assert [figure.title for figure in letter.figures] == ["plot 0", "plot 1"]
    left = "plot 2 (3.0 MB); plot 3 (3.0 MB); plot 4 (3.0 MB)"
    assert f"Without 3 plots {left}: the mail would be too large" in letter.text
    letter = compose([REPORT], sources(session, figures=lambda: figures), 0.0, most=0)
    assert letter.figures == []


def test_figures_that_cannot_be_drawn_do_not_keep_the_mail(session, caplog):
    def fail():
        raise RuntimeError("no matplotlib")

    letter = compose([REPORT], sources(session, figures=fail), 0.0)
    assert letter.figures == []
    assert "no matplotlib" in caplog.text
    assert "Without its plots, which could not be drawn" in letter.text


def test_a_mail_says_what_its_plots_need(session, caplog):
    def fail():
        raise UsageError("matplotlib is not installed: pip install <it>")

    letter = compose([REPORT], sources(session, figures=fail), 0.0)
    assert "Without its plots: matplotlib is not installed: pip install <it>\n" in letter.text
    assert "pip install &lt;it&gt;" in letter.html
    assert caplog.text == ""
