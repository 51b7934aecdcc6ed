"""Secrets are not stored, all else is as it was."""

import contextlib

import pytest

from pymanip_run.masking import (
    is_secret,
    known_secrets,
    masked_arguments,
    masked_assignment,
    masked_diff,
    masked_source,
    starred,
)


@pytest.mark.parametrize(
    "word",
    [
        "password",
        "passwd",
        "passwrod",
        "PASSPHRASE",
        "smtp_password",
        "token",
        "API_KEY",
        "apikey",
        "client-secret",
    ],
)
def test_the_names_of_secrets_are_known(word):
    assert is_secret(["email", word])
    assert masked_assignment(f"email.{word}=hunter2") == f"email.{word}=***"


def test_other_assignments_stay():
    assert masked_assignment("parameters.voltage=4") == "parameters.voltage=4"
    assert masked_assignment("password") == "password"
    assert masked_assignment("email={password: hunter2}") == "email=***"


def test_the_value_of_an_option_that_names_a_secret_is_masked():
    words = "script.py --token hunter2 --api-key=hunter2 -v --token --port 80 --set a.password=hunter2 x"
    assert " ".join(masked_arguments(words.split())) == (
        "script.py --token *** --api-key=*** -v --token --port 80 --set a.password=*** x"
    )


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        ('PASSWORD = "hunter2"  # of the lab', 'PASSWORD = "***"  # of the lab'),
        (
            "login(user='lab', password='hunter2', port=25)",
            "login(user='lab', password='***', port=25)",
        ),
        ('{"api_key": b"hunter2"}', '{"api_key": b"***"}'),
        ('token: str = r"hunter2\\""', 'token: str = r"***"'),
        ('secret = """hunter2', 'secret = """***"""'),
        ("token = read_token(path)", "token = read_token(path)"),
        ("def login(user, password): ...", "def login(user, password): ..."),
        ("power = 12", "power = 12"),
    ],
)
def test_only_texts_in_code_are_masked(line, masked):
    assert masked_source(f"x = 1\n{line}\ny = 2\n") == f"x = 1\n{masked}\ny = 2\n"


def test_known_secrets_are_starred_wherever_they_turn_up():
    with known_secrets(["hunter2hunter2", "pa55", "two\nlong lines", "a", "None"]):
        assert (
            starred("user:pa55@lab, xhunter2hunter2x, pa55s, a None")
            == "user:***@lab, x***x, pa55s, a None"
        )
        assert starred("two\nlong lines; long lines; 'two\\nlong lines'") == "***; ***; '***'"
    assert starred("user:pa55@lab") == "user:pa55@lab"


def test_a_secret_stays_known_after_an_error_and_as_long_as_anybody_knows_it():
    with known_secrets(["first-secret"]):
        with known_secrets(["first-secret", "second-secret"]):
            pass
        assert starred("first-secret second-secret") == "*** second-secret"
    with contextlib.suppress(RuntimeError), known_secrets(["third-secret"]):
        raise RuntimeError
    assert starred("first-secret third-secret") == "first-secret ***"


DIFF = """\
diff --git a/a.py b/a.py
--- a/a.py
+++ b/a.py
@@ -1,3 +1,3 @@
-TOKEN = "hunter2"
+TOKEN = "hunter3"
 power = 12
diff --git a/token: x.yaml b/token: x.yaml
--- a/token: x.yaml
+++ b/token: x.yaml
@@ -1,7 +1,7 @@
 email:
-  password: hunter2
+  password: hunter3
   secrets:
     - hunter4

     deeper: hunter5
   port: 25
"""


def test_a_diff_is_kept_but_for_the_secrets():
    assert masked_diff(DIFF).splitlines() == [
        "diff --git a/a.py b/a.py",
        "--- a/a.py",
        "+++ b/a.py",
        "@@ -1,3 +1,3 @@",
        '-TOKEN = "***"',
        '+TOKEN = "***"',
        " power = 12",
        "diff --git a/token: x.yaml b/token: x.yaml",
        "--- a/token: x.yaml",
        "+++ b/token: x.yaml",
        "@@ -1,7 +1,7 @@",
        " email:",
        "-  password: ***",
        "+  password: ***",
        "   secrets:",
        "     ***",
        "",
        "     ***",
        "   port: 25",
    ]


def test_a_diff_without_secrets_is_the_same():
    text = "".join(line for line in DIFF.splitlines(keepends=True) if "hunter" not in line)
    text = text.replace("secrets", "others")
    assert masked_diff(text.replace("\n", "\r\n")) == text.replace("\n", "\r\n")
