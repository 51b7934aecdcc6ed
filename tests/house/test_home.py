"""Tests and the commands that they start write nothing into the home of who runs them."""

import os
import tempfile
from pathlib import Path

import pytest

#: As the modules see it that copy the environment for the commands they start.
AT_IMPORT = dict(os.environ)


@pytest.mark.parametrize("name", ["XDG_STATE_HOME", "XDG_CONFIG_HOME"])
def test_a_module_that_copies_the_environment_gets_folders_of_the_tests(name):
    folder = Path(AT_IMPORT.get(name, ""))
    assert folder.parent == Path(tempfile.gettempdir())
    assert folder.name.startswith("pymanip-run-")
    assert os.environ[name] != AT_IMPORT[name]  # each test has its own besides
