"""What `pymanip_run` offers, and that looking at it costs nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

import pymanip_run

PROJECT = Path(__file__).parents[2]


def python(code):
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_public_names_are_sorted_and_there_once():
    assert pymanip_run.__all__ == sorted(set(pymanip_run.__all__))
    assert dir(pymanip_run) == pymanip_run.__all__


@pytest.mark.parametrize("name", pymanip_run.__all__)
def test_every_public_name_can_be_imported(name):
    scope = {}
    exec(f"from pymanip_run import {name}", scope)  # noqa: S102 - our own names
    assert scope[name] is getattr(pymanip_run, name)


def test_every_exception_of_the_tree_is_public():
    from pymanip_run import errors

    assert {n for n in errors.__all__ if n.endswith("Error")} <= set(pymanip_run.__all__)


def test_every_public_class_and_function_has_a_docstring():
    assert [
        n for n in pymanip_run.__all__ if n[0] != "_" and not getattr(pymanip_run, n).__doc__
    ] == []


def test_importing_the_package_imports_no_library():
    heavy = ["numpy", "h5py", "asyncio", "typer", "rich", "aiohttp", "yaml", "pydantic"]
    loaded = python("import sys, pymanip_run; print(*sys.modules)").split()
    assert [name for name in heavy if name in loaded] == []


def test_importing_the_errors_imports_no_library():
    loaded = python("import sys; from pymanip_run import StorageError; print(*sys.modules)").split()
    assert "numpy" not in loaded
    assert "h5py" not in loaded


def test_a_wrong_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="AsyncSesion"):
        pymanip_run.AsyncSesion  # noqa: B018
    assert not hasattr(pymanip_run, "__wrapped__")


def test_a_star_import_brings_exactly_the_public_names():
    names = python("from pymanip_run import *; print(*sorted(n for n in dir() if n[:2] != '__'))")
    assert names.split() == [n for n in pymanip_run.__all__ if n[0] != "_"]
