"""The reference leaves nothing out: keys of the experiment file, commands and options, public names."""

import re

import pytest
import typer.main
from documents import PROJECT

import pymanip_run
from pymanip_run.cli.app import build
from pymanip_run.experiment.model import Experiment

REFERENCE = PROJECT / "docs" / "reference"


def keys(schema, definitions):
    """All keys that a JSON schema knows, at any depth."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            return keys(definitions.pop(schema["$ref"].rsplit("/", 1)[1], {}), definitions)
        found = set(schema.get("properties", {}))
        return found.union(*(keys(part, definitions) for part in schema.values()))
    if isinstance(schema, list):
        return set().union(*(keys(part, definitions) for part in schema))
    return set()


def test_every_key_of_the_experiment_file_is_in_the_reference():
    schema = Experiment.model_json_schema()
    page = (REFERENCE / "experiment-file.md").read_text("utf-8")
    known = keys(schema, schema.pop("$defs"))
    assert {"module", "every", "max_step", "snake"} <= known
    assert {key for key in known if f"`{key}`" not in page} == set()


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
