"""The reference leaves nothing out: keys of the experiment file, commands and options, public names."""

import re

import pytest
import typer.main
import yaml
from documents import PROJECT
from pydantic import BaseModel

import pymanip_run
from pymanip_run.cli.app import build
from pymanip_run.experiment.model.experiment import (
    Alarm,
    AlarmTest,
    Device,
    Email,
    Experiment,
    Limits,
    OnError,
    Parameter,
    Plot,
    Reconnect,
    SafeAction,
    Server,
    Session,
    Simulate,
    Sweep,
    Task,
    Tunable,
    Variable,
)
from pymanip_run.experiment.model.schema import experiment_schema
from pymanip_run.units import parse_duration

REFERENCE = PROJECT / "docs" / "reference"


TABLES = {
    "key": Experiment, "key of `session`": Session, "key of a device": Device, "key of `simulate`": Simulate,
    "key of `reconnect`": Reconnect, "key of `safe`": SafeAction, "key of a parameter": Parameter,
    "key of `tunable`": Tunable, "key of a variable": Variable, "key of a task": Task, "key of `sweep`": Sweep,
    "key of `on_error`": OnError, "key of a plot": Plot, "key of an alarm": Alarm, "key of `alarm_tests`": AlarmTest,
    "key of `email`": Email, "key of `server`": Server, "key of `limits`": Limits,
}  # fmt: skip
#: Described in a sentence of the table above them.
IN_PASSING = {"Axis": Sweep, "Log": Sweep, "Tls": Server, "Run": Alarm}


def tables(page):
    """The tables of keys: what their first column is called, and key, default, meaning of each row."""
    found, name = {}, None
    for line in page.splitlines():
        cells = (
            [cell.strip() for cell in line.strip("|").split(" | ")] if line.startswith("|") else []
        )
        if cells[1:2] == ["default"]:
            name, found[cells[0]] = cells[0], []
        elif not cells:
            name = None
        elif name and not line.startswith("|---"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            found[name].append((cells[0].strip("`"), cells[1].strip("`"), "|".join(cells[2:])))
    return found


@pytest.fixture(scope="module")
def page():
    return (REFERENCE / "experiment-file.md").read_text("utf-8")


def test_every_part_of_the_experiment_file_has_a_table(page):
    assert tables(page).keys() == TABLES.keys()
    described = {model.__name__ for model in TABLES.values()} | IN_PASSING.keys()
    assert experiment_schema()["$defs"].keys() - described == {"Reference"}
    for name, model in IN_PASSING.items():
        keys = experiment_schema()["$defs"][name]["properties"]
        assert [key for key in keys if f"`{key}`" not in page and f"{{{key}: " not in page] == [], (
            model
        )


@pytest.mark.parametrize("table", TABLES)
def test_the_reference_has_each_key_with_its_default(page, table):
    rows = {key: (default, meaning) for key, default, meaning in tables(page)[table]}
    fields = {field.alias or name: field for name, field in TABLES[table].model_fields.items()}
    assert list(rows) == list(fields), "in the order of the models"
    for key, (default, meaning) in rows.items():
        assert meaning, key
        if fields[key].is_required():
            assert default == "required", key
        elif default:
            assert same(fields[key].default, default), f"{key}: {fields[key].default!r}"
        else:
            empty = fields[key].default
            assert not empty or isinstance(empty, BaseModel), f"{key}: {empty!r}"


def same(default, text):
    """Whether a default is what the table says: a value of YAML, or a duration."""
    value = yaml.safe_load(text)
    if value == default:
        return True
    return isinstance(default, float) and parse_duration(value) == default


@pytest.mark.parametrize("name", sorted(set(pymanip_run.__all__) - {"__version__"}))
def test_every_public_name_is_in_the_reference(name):
    page = (REFERENCE / "python-api.md").read_text("utf-8")
    assert f"pymanip_run.{name}\n" in page or name.endswith("Error")


@pytest.mark.parametrize(
    "name", [n for n in pymanip_run.__all__ if isinstance(getattr(pymanip_run, n), type)]
)
def test_every_public_class_has_a_docstring(name):
    assert getattr(pymanip_run, name).__doc__


def options():
    """The commands of the application, and their options, as the parser has them."""
    application = typer.main.get_command(build())
    for name, command in application.commands.items():
        yield (
            name,
            [
                option
                for p in command.params
                for option in [*p.opts, *p.secondary_opts]
                if "-" in option
            ],
        )


@pytest.mark.parametrize(
    ("command", "names"), list(options()), ids=lambda x: x if isinstance(x, str) else ""
)
def test_every_option_of_a_command_is_in_the_reference(command, names):
    page = (REFERENCE / "command-line.md").read_text("utf-8")
    assert f"## {command}\n" in page or command == "observe"
    assert [name for name in names if not re.search(rf"`{name}\b", page)] == []
