"""The commands that people are told to type when sweeps go on, or do not."""

import pytest

from pymanip_run.cli.resume import Wish, how_to_go_on
from pymanip_run.errors import UsageError
from pymanip_run.livetable import SweepProgress


@pytest.mark.parametrize(
    ("wish", "command"),
    [
        (Wish("e.yaml"), "pymanip-run e.yaml --resume"),
        (Wish("my file.yaml"), "pymanip-run 'my file.yaml' --resume"),
        (Wish("e.yaml", simulate=True), "pymanip-run e.yaml --simulate --resume"),
        (
            Wish("e.yaml", ("a.b=1", "c=x y"), "data/s.h5"),
            "pymanip-run e.yaml --set a.b=1 --set 'c=x y' --session data/s.h5 --resume",
        ),
    ],
)
def test_what_was_typed_is_in_the_command_again(wish, command):
    assert wish.command("--resume") == command


def test_what_came_from_the_environment_stands_before_the_command():
    overrides = ("PYMANIP_RUN_PARAMETERS__V=1 2", "limits.duration=1h")
    assert Wish("e.yaml").command("--resume", overrides=overrides) == (
        "PYMANIP_RUN_PARAMETERS__V='1 2' pymanip-run e.yaml --set limits.duration=1h --resume"
    )


def test_what_the_environment_sets_now_stands_before_the_command_too():
    wish = Wish("e.yaml", ("a.b=1",), environment=("PYMANIP_RUN_SESSION__FILE=other.h5",))
    assert wish.command("--resume") == (
        "PYMANIP_RUN_SESSION__FILE=other.h5 pymanip-run e.yaml --set a.b=1 --resume"
    )


def test_as_it_was_is_also_without_what_the_environment_sets_only_now():
    environment = ("PYMANIP_RUN_PARAMETERS__V=2", "PYMANIP_RUN_SESSION__FILE=other.h5")
    wish = Wish("e.yaml", ("a.b=1",), environment=environment)
    assert wish.command("--resume", overrides=["PYMANIP_RUN_SESSION__FILE=s.h5"]) == (
        "env -u PYMANIP_RUN_PARAMETERS__V PYMANIP_RUN_SESSION__FILE=s.h5 pymanip-run e.yaml --resume"
    )


@pytest.mark.parametrize("value", ["sesame-open", "***"])
def test_a_secret_is_not_part_of_the_command_and_said_below_it(value):
    wish = Wish(
        "e.yaml",
        (f"email.password={value}", "a.b=1"),
        environment=("PYMANIP_RUN_SERVER__TOKEN=***",),
    )
    assert wish.command("--resume") == (
        "pymanip-run e.yaml --set a.b=1 --resume\n"
        "    with PYMANIP_RUN_SERVER__TOKEN, email.password given as before: it is not shown"
    )


def test_it_is_said_what_is_left_and_nothing_where_nothing_is():
    sweeps = [
        SweepProgress("a", 2, 5),
        SweepProgress("b", 5, 5),
        SweepProgress("c", 7, None),
    ]
    assert how_to_go_on(Wish("e.yaml"), sweeps) == (
        "left a at 2 of 5 points, c at 7 points; to go on:  pymanip-run e.yaml --resume"
    )
    assert how_to_go_on(Wish("e.yaml"), sweeps[1:2]) == ""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"new": True, "dry_run": False, "replay": None}, "pymanip-run e.yaml --new"),
        ({"new": None, "dry_run": True, "replay": None}, "pymanip-run e.yaml --dry-run"),
        ({"new": None, "dry_run": False, "replay": "old.h5"}, "leave --resume out"),
    ],
)
def test_what_does_not_go_together_is_refused(options, words):
    with pytest.raises(UsageError, match=words):
        Wish("e.yaml", number=0).check(**options)
    Wish("e.yaml").check(**options)
