"""Alarms and mails of an experiment file: in rehearsals, in real runs, and with recorded sessions."""

import pytest

from pymanip_run.errors import TaskError
from pymanip_run.experiment.build.plan import prepare
from pymanip_run.experiment.rehearsal.alarm_tests import failed_tests
from pymanip_run.experiment.rehearsal.rehearse import SEEDED_START_NS, rehearsed
from pymanip_run.experiment.rehearsal.replay import replay
from pymanip_run.experiment.run.running import run_experiment
from pymanip_run.session import AsyncSession, RunOptions, SavedAsyncSession, internals

START = SEEDED_START_NS / 1e9
MODULE = """
async def read(sesn):
    n = getattr(sesn, "n", 0)
    sesn.n = n + 1
    sesn.add_entry(T=20.0 + n)

async def flicker(sesn):
    n = getattr(sesn, "n", 0)
    sesn.n = n + 1
    sesn.add_entry(T=70.0 * (n % 2))

async def hot(sesn):
    sesn.add_entry(T=70)
    await sesn.sleep(0.05)

async def cold(sesn):
    sesn.add_entry(T=20)
    await sesn.sleep(0.05)

async def hangs(sesn):
    import asyncio
    sesn.add_entry(T=20)
    await asyncio.sleep(3600)

async def cold_once(sesn):
    if "T" not in sesn:
        sesn.add_entry(T=20)
    await sesn.sleep(10)

async def restless(sesn):
    import asyncio
    for n in range(12):
        for T in (20, 70):
            sesn.add_entry(T=T)
            for _ in range(5):
                await asyncio.sleep(0)
            if n == 11:
                kept = sesn.metadata("_alarms")
                sesn.note(str({name: item["value"] for name, item in kept.items()}))
    sesn.ask_exit()

async def cool_down(sesn):
    sesn.note("cooling")
    await __import__("asyncio").sleep(0.1)
    sesn.note("cooled")

def in_a_thread():
    raise ValueError("no pump")

async def teardown(sesn):
    sesn.note("torn down")
"""
READ = "module: tasks.py\ntasks:\n  read: {every: 10s}\n"
EMAIL = """
email: {host: localhost, security: none, from: lab@example.org, to: [me@example.org], min_interval: 5min, %s}
"""


@pytest.fixture
def rehearse(folder):
    def run(text, duration=3600.0):
        folder.write(text, MODULE)
        with rehearsed("experiment.yaml", duration=duration, seed=1) as rehearsal:
            return rehearsal.report(rehearsal.asked)

    return run


def times(report):
    return [(a.name, round(a.time - START, 3), a.value, a.state) for a in report.alarms]


# -- rehearsals -------------------------------------------------------------------------------------


def test_a_rehearsal_lists_alarms_at_their_virtual_instants(rehearse):
    report = rehearse(
        READ + "alarms:\n  hot: {when: T > 25, for: 25s}\n  silent: {when: age(V) > 2min}\n", 200
    )
    assert times(report) == [
        ("hot", 85.0, 28.0, "active"),
        ("silent", 120.0, 120.000001, "active"),
    ]
    assert report.exit_code == 0


def test_an_alarm_ends_the_rehearsal_as_it_would_the_run(rehearse):
    report = rehearse(READ + "alarms:\n  hot: {when: T > 25, do: stop}\n")
    assert (report.exit_code, report.tasks["read"].runs) == (5, 7)
    assert report.virtual_seconds == pytest.approx(60)


def test_what_comes_after_the_end_is_no_alarm(rehearse):
    report = rehearse(READ + "alarms:\n  silent: {when: age(T) > 11s}\n", 100)
    assert report.alarms == ()


def test_mails_that_would_have_been_sent_are_listed(rehearse):
    report = rehearse(
        READ.replace("read:", "flicker:")
        + "alarms:\n  hot: {when: T > 25, do: [log, mail]}\n"
        + EMAIL % "every: 10min",
        1000,
    )
    listed = [(m.kind, round(m.time - START), m.subject.partition(": ")[2]) for m in report.mails]
    assert listed == [
        ("alarm", 10, "T above 25 (70)"),
        ("alarm", 310, "T above 25 (70)"),
        ("report", 600, "report 00:10, 1 alarm: T above 25 (70)"),
        ("alarm", 610, "T above 25 (70)"),
        ("alarm", 910, "T above 25 (70)"),
        ("finish", 1000, listed[-1][2]),
    ]
    assert listed[-1][2].startswith("finished after 0:16:40 (time limit of 16 min 40 s reached)")
    assert report.mails[0].to == ("me@example.org",)


@pytest.mark.parametrize(
    ("alarm", "on", "sent"),
    [
        ("{when: T > 25, do: [mail]}", "on: []", True),
        ("{when: T > 25, do: [log]}", "on: [alarm]", False),
        ("{when: T > 25}", "on: [alarm]", True),
        ("{when: T > 25}", "on: [error]", False),
    ],
)
def test_an_alarm_that_does_not_say_what_it_does_sends_a_mail_if_alarms_do(
    rehearse, alarm, on, sent
):
    report = rehearse(READ + f"alarms:\n  hot: {alarm}\n" + EMAIL % on, 100)
    assert ("alarm" in [mail.kind for mail in report.mails]) == sent


def test_errors_send_mails_at_their_distance(rehearse):
    text = READ.replace("read:", "in_a_thread:").replace("10s}", "10s, on_error: {then: continue}}")
    report = rehearse(text + EMAIL % "on: [error]", 100)
    assert [mail.kind for mail in report.mails] == ["error"]
    assert "in_a_thread: ValueError: no pump" in report.mails[0].subject


def test_a_run_that_fails_sends_its_last_mail_also_if_only_errors_do(rehearse):
    report = rehearse(READ.replace("read:", "in_a_thread:") + EMAIL % "on: [error]", 100)
    assert [mail.kind for mail in report.mails] == ["finish"]
    assert "failed after 0:00:00 (ValueError: no pump), all well" in report.mails[0].subject


def test_subjects_begin_with_what_stays_of_the_sessions_name(rehearse):
    report = rehearse(READ + "session: data/oven_{date}.h5\n" + EMAIL % "on: [finish]", 20)
    assert report.mails[0].subject.startswith("oven: finished after ")


# -- real runs --------------------------------------------------------------------------------------


@pytest.fixture
def run(folder):
    def run(text, duration=0.5):
        folder.write(text, MODULE)
        options = RunOptions(handle_signals=False, duration=duration)
        path = run_experiment("experiment.yaml", options=options)
        return SavedAsyncSession(path, verbose=False)

    return run


def events(session, *kinds):
    return [
        (e.kind, e.source, e.text)
        for e in session.events(after=session.runs()[-1].start)
        if e.kind in kinds
    ]


HOT = "module: tasks.py\ntasks: [hot]\nalarms:\n"


def test_an_alarm_stops_the_run_and_its_function_is_through_before_teardown(run):
    session = run(HOT + "  hot: {when: T > 60, do: [{run: cool_down}, stop]}\n", 30)
    last = session.runs()[-1]
    assert (last.exit_code, last.exit_reason) == (5, "alarm hot: T above 60 (70)")
    assert [text for _, _, text in events(session, "note")] == ["cooling", "cooled", "torn down"]


def test_a_function_that_fails_does_not_end_the_run(run):
    session = run(HOT + "  hot: {when: T > 60, do: [{run: in_a_thread}]}\n")
    assert session.runs()[-1].exit_code == 0
    assert events(session, "error") == [("error", "hot", "in_a_thread failed: ValueError: no pump")]


def test_an_active_alarm_survives_a_restart_and_acts_only_when_it_comes_again(run, caplog):
    alarm = "alarms:\n  hot: {when: T > 60, do: [log, {run: cool_down}]}\n"
    session = run("module: tasks.py\ntasks: [hot]\n" + alarm)
    assert len(events(session, "alarm")) == 1
    assert session.metadata("_alarms")["hot"]["value"] == 70
    session = run("module: tasks.py\ntasks: [hot]\n" + alarm)
    # It is told, and does nothing.
    (kind, source, text), torn_down = events(session, "alarm", "note")
    assert (kind, source, torn_down[2]) == ("alarm", "hot", "torn down")
    assert text.startswith("still active since 20")
    assert text.endswith(
        ", in an earlier run: T above 60 (70); cleared when it is no longer above 60"
    )
    assert any(item.startswith("alarm hot: still active since ") for item in caplog.messages)
    session = run("module: tasks.py\ntasks: [cold]\n" + alarm)
    assert [text for _, _, text in events(session, "alarm")][1:] == [
        "cleared: T is no longer above 60 (20)"
    ]
    assert session.metadata("_alarms") == {}
    session = run("module: tasks.py\ntasks: [hot]\n" + alarm)
    assert len(events(session, "alarm")) == 1


def test_an_alarm_that_is_only_counted_is_stored_all_the_same(run):
    """After ten times in an hour it is not told any more, but a run that is killed leaves it active."""
    session = run("module: tasks.py\ntasks: [restless]\nalarms:\n  hot: {when: T > 60}\n", 30)
    *_, tenth, _, last = [text for _, _, text in events(session, "alarm")]
    assert "now only counted" in tenth
    assert last == "was active 2 times more, which was only counted, and is still active"
    assert [text for _, _, text in events(session, "note")][:2] == ["{}", "{'hot': 70.0}"]


def test_what_is_no_alarm_any_more_is_not_stored_as_active(run):
    run(HOT + "  hot: {when: T > 60}\n")
    session = run("module: tasks.py\ntasks: [hot]\n")
    assert session.metadata("_alarms") == {}
    assert events(session, "alarm") == []


def test_a_stop_by_an_alarm_of_the_run_before_does_not_stop_the_next(run):
    alarm = "alarms:\n  hot: {when: T > 60, do: stop}\n"
    assert run("module: tasks.py\ntasks: [hot]\n" + alarm).runs()[-1].exit_code == 5
    assert run("module: tasks.py\ntasks: [hot]\n" + alarm).runs()[-1].exit_code == 0


def test_the_states_are_no_metadata_that_people_see(run):
    session = run(HOT + "  hot: {when: T > 60}\n")
    run(HOT + "  hot: {when: T > 60}\n")
    assert "_alarms" not in session.metadatas()
    assert events(session, "metadata") == []


def test_a_variable_with_a_period_is_stale_when_its_task_hangs(run, folder):
    text = (
        "module: tasks.py\ntasks: [hangs]\nvariables:\n  T: {period: 0.1s}\nlimits: {grace: 0.1s}\n"
    )
    with pytest.raises(TaskError):
        run(text + "alarms:\n  silent: {when: age(T) > 0.3s, do: stop}\n", 30)
    last = SavedAsyncSession(folder.path / "experiment.h5", verbose=False).runs()[-1]
    assert last.exit_code == 5
    assert last.exit_reason.startswith("alarm silent: no value of T for ")
    assert "hangs" in last.exit_reason


def test_a_silent_variable_without_an_alarm_is_an_event(run):
    text = "module: tasks.py\ntasks: [cold_once]\nvariables:\n  T: {period: 0.1s}\n"
    session = run(text, 2.5)
    ((kind, source, text),) = events(session, "alarm")
    assert (kind, source) == ("alarm", "T")
    assert text.startswith("no fresh value since ")
    assert text.endswith("(period 100 ms)")


# -- tests of alarms, and recorded sessions -----------------------------------------------------------

TESTED = (
    READ
    + """
alarms:
  hot: {when: T > 60, for: 30s, clear: T < 55}
  silent: {when: age(T) > 2min}
  other: {when: age(V) > 1s}
alarm_tests:
  - %s
"""
)


@pytest.mark.parametrize(
    "test",
    [
        "{variable: T, values: [20, 70, 70], every: 30s, expect: [hot]}",
        "{variable: T, values: [20, 70, 50, 70], every: 20s, expect: []}",
        "{variable: T, values: [20, null, null, null], every: 1min, expect: [silent]}",
        "{variable: T, values: [70, null, null, null], every: 1min, expect: [silent, hot]}",
        "{variable: T, values: [70, null, null, null], every: 1min, expect: [hot]}",
        "{variable: T, values: [70, null, null, null], every: 1min, expect: [silent]}",
    ],
)
def test_an_alarm_test_that_passes(folder, test):
    folder.write(TESTED % test, MODULE)
    with prepare("experiment.yaml") as plan:
        assert failed_tests(plan) == []


@pytest.mark.parametrize(
    ("test", "text"),
    [
        (
            "{variable: T, values: [20, 70], every: 30s, expect: [hot]}",
            "alarm_tests[0]: 'hot' did not become active; active were: none",
        ),
        (
            "{variable: T, values: [20, 70, 71], every: 30s, expect: []}",
            "alarm_tests[0]: 'hot' became active at 60 s (T above 60 (70)), but is not expected",
        ),
        (
            "{variable: T, values: [20, null, null, null], every: 1min, expect: [hot, silent]}",
            "alarm_tests[0]: 'hot' did not become active; active were: 'silent' at 120 s",
        ),
    ],
)
def test_an_alarm_test_that_fails_says_what_happened_instead(folder, test, text):
    folder.write(TESTED % test, MODULE)
    with prepare("experiment.yaml") as plan:
        assert failed_tests(plan) == [text]


REPLAYED = """
module: tasks.py
tasks: [read]
alarms:
  hot: {when: T > 60, for: 0.2s, do: [mail, stop]}
  dry: {when: V < 1}
  cold: {when: T < 0}
"""


def record(folder, *values):
    async def log(sesn):
        for value in values:
            sesn.add_entry(T=value)
            await sesn.sleep(0.1)
        sesn.ask_exit()

    with AsyncSession(folder.path / "old.h5", verbose=False) as sesn:
        sesn.run(log)


def test_a_recorded_session_is_fed_through_the_alarms(folder):
    record(folder, 20, 70, 70, 70, 70, 20)
    folder.write(REPLAYED + EMAIL % "every: 1h", MODULE)
    with prepare("experiment.yaml") as plan:
        report = replay(plan, folder.path / "old.h5")
    assert [(a.name, a.value, a.state) for a in report.alarms] == [
        ("hot", 70, "active"),
        ("hot", 20, "cleared"),
    ]
    assert [mail.subject for mail in report.mails] == ["old: T above 60 (70)"]
    assert report.exit_code == 5
    assert report.variables["T"].n == 6
    assert "the session has no variable 'V'" in report.warnings[0]
    assert "alarm 'hot' would have ended the run at " in report.warnings[1]
    assert not list(folder.path.glob("experiment.h5*"))


def test_replay_does_what_the_run_did(folder, run):
    text = HOT.replace("[hot]", "[flicker]").replace(
        "tasks: [flicker]", "tasks: {flicker: {every: 50ms}}"
    )
    text += "  a: {when: T > 60}\n  b: {when: T > 60, for: 20ms}\n  c: {when: age(T) > 40ms}\n"
    session = run(text, 1.0)
    in_run = [
        (e.source, e.text.startswith("cleared")) for e in session.events() if e.kind == "alarm"
    ]
    with prepare("experiment.yaml") as plan:
        report = replay(plan, session.session_path)
    replayed = [(a.name, a.state == "cleared") for a in report.alarms]
    # Told are ten an hour of each; the replay lists all.
    firsts = [item for item in replayed if item[0] == "b"][
        : len([i for i in in_run if i[0] == "b"])
    ]
    assert [item for item in in_run if item[0] == "b"] == firsts
    assert len(in_run) >= 4


def test_the_replay_has_what_fell_silent_as_the_run_had_it(folder):
    with AsyncSession(folder.path / "old.h5", verbose=False) as sesn:
        store, begin = internals(sesn).store, round(sesn.now()) * 10**9
        store.put_run(begin, 0, {"start": begin / 1e9}, {})
        for second in (0, 1, 2, 20):
            store.append_row(begin + second * 10**9, ("T",), (20.0,))
        store.put_run(begin, 0, {"stop": begin / 1e9 + 20}, {})
    folder.write(READ + "variables: {T: {period: 1s}}\n", MODULE)
    with prepare("experiment.yaml") as plan:
        report = replay(plan, folder.path / "old.h5")
    assert [(a.name, a.state, round(a.time - begin / 1e9)) for a in report.alarms] == [
        ("T stale", "active", 5),
        ("T stale", "cleared", 20),
    ]
    assert report.alarms[0].text.startswith("no fresh value since ")
    assert (report.exit_code, report.mails) == (0, ())


def test_what_the_earlier_run_left_active_is_not_active_anew(folder):
    record(folder, 20, 70, 70, 70, 70)
    record(folder, 70, 70, 70, 70, 70)
    folder.write(REPLAYED + EMAIL % "on: []", MODULE)
    with prepare("experiment.yaml") as plan:
        report = replay(plan, folder.path / "old.h5")
    assert [(a.name, a.state) for a in report.alarms] == [("hot", "active")]


def test_a_session_without_values_has_no_alarms(folder):
    with AsyncSession(folder.path / "old.h5", verbose=False):
        pass
    folder.write(REPLAYED + EMAIL % "on: []", MODULE)
    with prepare("experiment.yaml") as plan:
        report = replay(plan, folder.path / "old.h5")
    assert (report.alarms, report.exit_code) == ((), 0)
