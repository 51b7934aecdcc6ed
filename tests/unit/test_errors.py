"""The exception tree is what its docstring says."""

import builtins
import re

import pytest

from pymanip_run import errors
from pymanip_run.errors import NotFoundError, PymanipError, StorageError, did_you_mean, nearest

LINE = re.compile(r"^ {4}([│├└─ ]*)(\w+Error)(?: \(([\w, ]+)\))?(?:\s+(?:exit code )?(\d+))?$")


def documented_tree():
    """Name → (parent, builtins, exit code or None), read from the docstring."""
    tree, path = {}, []
    for line in errors.__doc__.splitlines():
        if match := LINE.match(line):
            depth = len(match[1]) // 4
            path[depth:] = [match[2]]
            parent = path[depth - 1] if depth else "Exception"
            tree[match[2]] = (
                parent,
                (match[3] or "").replace(" ", "").split(",") if match[3] else [],
                match[4],
            )
    return tree


def test_the_tree_in_the_docstring_is_the_real_one():
    real = {
        name: (kind.__bases__[0].__name__, [base.__name__ for base in kind.__bases__[1:]])
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, PymanipError)
    }
    assert {name: (parent, also) for name, (parent, also, _) in documented_tree().items()} == real


def test_every_exit_code_is_the_documented_one():
    for name, (parent, _, code) in documented_tree().items():
        expected = int(code) if code else getattr(errors, parent).exit_code
        assert getattr(errors, name).exit_code == expected, name


@pytest.mark.parametrize("name", sorted(documented_tree()))
def test_every_error_is_caught_as_the_builtin_that_old_scripts_catch(name):
    for builtin in documented_tree()[name][1]:
        with pytest.raises(getattr(builtins, builtin)):
            raise getattr(errors, name)("what happened")


@pytest.mark.parametrize("name", sorted(documented_tree()))
def test_a_message_is_shown_as_it_was_written(name):
    text = "there is no 'T_botom' in \"a\"; did you mean 'T_bottom'?"
    assert str(getattr(errors, name)(text)) == text


@pytest.mark.parametrize("name", sorted(documented_tree()))
def test_an_error_without_a_message_shows_its_name(name):
    assert str(getattr(errors, name)()) == name


def test_a_storage_error_may_carry_the_errno_and_still_shows_a_sentence():
    error = StorageError(28, "convection.h5: no space left: this call was not stored")
    assert error.errno == 28
    assert str(error) == "convection.h5: no space left: this call was not stored"


def test_the_nearest_names_are_offered_whatever_their_case():
    names = ["T_bottom", "T_top", "pressure", "Voltage"]
    assert nearest("t_botom", names) == ["T_bottom", "T_top"]
    assert did_you_mean("voltge", names) == "; did you mean 'Voltage'?"


def test_nothing_is_offered_when_nothing_is_near():
    assert nearest("xyz", ["T_bottom"]) == []
    assert did_you_mean("xyz", ["T_bottom"]) == ""
    assert did_you_mean("xyz", []) == ""


def test_a_missing_name_can_be_caught_as_key_error():
    with pytest.raises(KeyError) as caught:
        raise NotFoundError("no such name")
    assert str(caught.value) == "no such name"
