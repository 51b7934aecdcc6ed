"""What is odd across keys but can be run: warnings, each with its place."""

import pytest

SMALLEST = "module: tasks.py\ntasks: [a]\n"


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("tasks: {a: {every: 5s, timeout: 8s}}",
         "tasks.a.timeout: longer than 'every', which is 5 s: a call that takes so long makes the next ones be missed"),
        ("tasks: {a: {start_after: 2h}}\nlimits: {duration: 1h}",
         "tasks.a.start_after: the task never begins: limits.duration is 1 h"),
        ("tasks: {a: {on_error: {wait: 3s}}}",
         "tasks.a.on_error.wait: 'wait' has no effect without 'retry', the number of retries"),
        ("tasks: {a: {sweep: {parameter: v, values: [1, 9]}}}\nparameters: {v: {value: 1, tunable: {max: 5}}}",
         "tasks.a.sweep: goes to 9, outside of the limits of 'v' under 'tunable'"),
        ("tasks: {a: {sweep: {grid: {v: {log: {start: 0.1, stop: 2, num: 3}}}}}}\n"
         "parameters: {v: {value: 1, tunable: {min: 1}}}",
         "tasks.a.sweep.grid.v: goes to 0.1, outside of the limits of 'v' under 'tunable'"),
        ("tasks: [a]\nalarms: {hot: {when: T > 60, clear: T < 70}}",
         "alarms.hot.clear: this can be true while T > 60 still is: the alarm would come and go"),
        ("tasks: [a]\nalarms: {hot: {when: T > 60, clear: U < 55}}",
         "alarms.hot.clear: another variable than that of 'when', which is 'T'; is that meant?"),
        ("tasks: [a]\nalarms: {hot: {when: T > 60}}\nalarm_tests: [{variable: U, values: [1], every: 1s, expect: []}]",
         "alarm_tests.0.variable: no alarm depends on 'U'"),
        ("tasks: [a]\nserver: {share: true, token: none}",
         "server.token: with 'share: true' everybody on the network can look in, without a token"),
        ("tasks: [a]\nemail: {from: a@b, to: c@d, on: []}",
         "email.on: no mail will ever be sent: give 'every', or leave 'on' out"),
        ("tasks: [a]\nparameters:\n  v: 3,5",
         "parameters.v: this is the text '3,5'; write 3.5 for the number, or put it in quotes"),
        ("tasks: [a]\nmetadata: {api_key: hunter2}",
         "metadata.api_key: a secret stands in the file; write ${NAME} and set NAME in the environment"),
        ("tasks: [a]\nx-mail: &m {password: hunter2}\nmetadata: {smtp: *m}",
         "x-mail.password: a secret stands in the file; write ${NAME} and set NAME in the environment"),
    ],
)  # fmt: skip
def test_something_odd_is_a_warning(folder, text, warning):
    warnings = folder.load(f"module: tasks.py\n{text}\n").warnings
    assert [line.partition(": ")[2] for line in warnings] == [warning]
    assert warnings[0].startswith("experiment.yaml:")


@pytest.mark.parametrize(
    "text",
    [
        "alarms: {hot: {when: T > 60, clear: T < 55}}",
        "alarms: {hot: {when: T >= 60, clear: T < 60}}",
        "alarms: {silent: {when: age(T) > 1min, clear: age(T) < 10s}}",
        "alarms: {drift: {when: abs(rate(T)) > 2, clear: abs(rate(T)) < 1}}",
        "alarms: {off: {when: state == 0, clear: state != 0}}",
        "email: {from: a@b, to: c@d, security: none, host: localhost, user: u, password: '${LAB_UNSET:-longer}'}",
        "email: {from: a@b, to: c@d, security: none, host: 127.0.0.7, user: u, password: '${LAB_UNSET:-longer}'}",
        "email: {from: a@b, to: c@d, security: none, host: '::1', user: u, password: '${LAB_UNSET:-longer}'}",
        "email: {from: Lab <a@b.org>, to: [c@d, 'E. F. <e@f>']}",
        "parameters: {v: '3,5'}",
        "server: {token: run}",
        "server: {enabled: false, tls: {cert: none.crt, key: none.key}}",
        "metadata: {token_length: 7, password: ''}",
    ],
)  # fmt: skip
def test_what_is_right_is_no_warning(folder, text):
    assert folder.load(f"{SMALLEST}{text}\n").warnings == ()


@pytest.mark.parametrize(
    "host", ["smtp.example.org", "192.0.2.1", "localhost.example.org", "127.example.org"]
)
def test_a_password_in_the_clear_goes_to_this_computer_only(folder, host):
    text = f"email: {{from: a@b, to: c@d, security: none, host: {host}, user: u, password: '${{X:-xyz9}}'}}\n"
    assert "would cross the network unencrypted" in folder.complaint(SMALLEST + text)


def test_a_secret_on_the_command_line_is_a_warning(folder):
    (warning,) = folder.load(SMALLEST, "metadata.password=hunter2").warnings
    assert warning == (
        "--set metadata.password=***: metadata.password: a secret stands on the command line, for all to see; "
        "write ${NAME} and set NAME in the environment"
    )


def test_the_certificate_of_the_server_is_beside_the_file(folder):
    for name in ("lab.crt", "lab.key"):
        (folder.path / name).touch()
    assert (
        folder.model("server: {tls: {cert: lab.crt, key: lab.key}}\n").server.tls.key == "lab.key"
    )
