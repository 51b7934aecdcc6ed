"""Every documented command and Python block runs, in the order of the document."""

import pytest
from documents import PROJECT, Desk, blocks, pages, script, typed


def runnable(page):
    return any(b.language in {"console", "python"} for b in blocks(page))


def folder_of(page, desk):
    """Samples describe themselves from where they are; all others from the project's folder."""
    inside = page.relative_to(PROJECT)
    return desk.folder / inside.parent if inside.parts[0] == "sample_experiments" else desk.folder


@pytest.mark.parametrize(
    "page", [p for p in pages() if runnable(p)], ids=lambda p: str(p.relative_to(PROJECT))
)
def test_what_a_document_tells_people_to_type_works(page, tmp_path):
    desk = Desk(tmp_path)
    printed = desk.run(f"exec 2>&1\n{script(page)}", folder_of(page, desk)).splitlines()
    shown = [
        line for block in blocks(page) if block.language == "console" for line in block.shown()
    ]
    assert [line for line in shown if line not in printed] == [], printed


@pytest.mark.parametrize("page", pages(), ids=lambda p: str(p.relative_to(PROJECT)))
def test_every_block_says_what_it_is(page):
    languages = {"console", "python", "yaml", "text", "toml", "{eval-rst}", "{toctree}"}
    assert {b.language for b in blocks(page)} <= languages
    for block in blocks(page):
        if block.language == "console":
            assert block.commands(), f"a console block without a prompt: {block.text!r}"


def test_installation_is_left_out_of_what_is_typed():
    command = "python3 -m venv .venv && .venv/bin/pip install -q . && .venv/bin/pymanip-run a.yaml --for 30s"
    assert typed(command) == "pymanip-run a.yaml --for 3s"


def test_a_command_that_fails_fails_the_document(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```console\n$ true\n$ false\n```\n")
    with pytest.raises(AssertionError, match="exit code 1"):
        Desk(tmp_path).run(script(page))


def test_the_readme_shows_an_error_as_it_is():
    errors = next(b for b in blocks(PROJECT / "README.md") if "did you mean" in b.text)
    reference = (PROJECT / "docs" / "reference" / "experiment-file.md").read_text("utf-8")
    assert [line for line in errors.text.splitlines() if line not in reference] == []
