"""The dashboard's JavaScript: its types are checked, its parts tested, and it asks nobody else for anything."""

import re
import shutil
import subprocess

import pytest
from source import PACKAGE, PROJECT

STATIC = PACKAGE / "web" / "static"
MAX_LINES = 400


def test_a_module_can_be_read_in_one_sitting():
    lengths = {p.name: len(p.read_text("utf-8").splitlines()) for p in STATIC.iterdir()}
    assert {name: n for name, n in lengths.items() if n > MAX_LINES} == {}


def test_no_text_becomes_markup_and_nothing_is_asked_of_other_servers():
    markup = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|\.style\s*=|srcdoc"
    )
    elsewhere = re.compile(r"(?:https?:)?//[a-z0-9]+\.[a-z]", re.IGNORECASE)
    for path in STATIC.iterdir():
        text = path.read_text("utf-8")
        assert not markup.search(text), path.name
        shown = re.sub(r"xmlns=\"[^\"]*\"", "", text)
        assert not elsewhere.search(shown), path.name


def test_the_page_has_no_scripts_and_styles_in_itself():
    page = (STATIC / "index.html").read_text("utf-8")
    assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=", page)


@pytest.mark.needs_system("node")
def test_the_parts_that_need_no_page_work():
    done = subprocess.run(
        ["node", "--test", "tests/unit/web/js/dashboard.test.mjs"],
        cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.needs_system("tsc")
def test_the_types_are_right():
    assert shutil.which("tsc")
    done = subprocess.run(
        ["tsc", "--noEmit", "--checkJs", "--allowJs", "--strict", "--target", "es2022", "--module", "esnext",
         "--lib", "es2022,dom,dom.iterable", *sorted(map(str, STATIC.glob("*.js")))],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
