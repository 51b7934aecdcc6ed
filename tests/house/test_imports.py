"""Start-up is short because heavy modules are imported where they are used."""

import subprocess
import sys

import pytest
from source import PROJECT

from pymanip_run.cli.app import COMMANDS

HEAVY = {"numpy", "h5py", "aiohttp", "pydantic", "matplotlib", "pandas", "yaml"}


def imported_by(code):
    """The top-level modules that a fresh interpreter has after running some code."""
    report = f"""
import sys
try:
    {code}
except SystemExit:
    pass
print(*sorted(sys.modules), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", report], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in done.stderr.splitlines()[-1].split()}


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_import_nothing_heavy(option):
    loaded = imported_by(f"sys.argv[1:] = ['{option}']; from pymanip_run.cli import main; main()")
    # typer itself may bring pydantic's small part; numpy and h5py are what takes the time.
    assert loaded & HEAVY == set()


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_the_help_of_a_command_imports_nothing_heavy(command):
    loaded = imported_by(
        f"sys.argv[1:] = ['{command}', '--help']; from pymanip_run.cli import main; main()"
    )
    # Typer itself reads the arguments of a command with pydantic.
    assert loaded & HEAVY <= {"pydantic"}


def test_importing_the_package_imports_nothing_heavy():
    assert imported_by("import pymanip_run") & HEAVY == set()
