"""``pymanip-run report`` as it is typed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pymanip_run
from pymanip_run.session import AsyncSession

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(pymanip_run.__file__).parent.parent)}
OLD = Path(__file__).parents[1] / "storage" / "pymanip_sessions"


def run(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "pymanip_run", "report", *map(str, arguments)],
        cwd=cwd, capture_output=True, text=True, timeout=60, check=False, env=ENVIRONMENT,
    )  # fmt: skip


@pytest.fixture
def lab(tmp_path):
    with AsyncSession(tmp_path / "cell", verbose=False) as sesn:
        for i in range(30):
            sesn.add_entry(T=i / 7)
    return tmp_path


def test_it_is_beside_the_session_and_said_to_be_there(lab):
    done = run("cell", cwd=lab)
    assert done.returncode == 0, done.stderr
    page = (lab / "cell.html").read_text("utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert done.stdout == ""
    assert done.stderr.startswith("cell.html, ")
    assert sorted(p.name for p in lab.iterdir()) == ["cell.h5", "cell.html"]


def test_an_older_one_is_replaced_when_the_new_one_is_complete(lab):
    target = lab / "page.html"
    target.write_text("old")
    assert run("cell.h5", "-o", "page.html", cwd=lab).returncode == 0
    assert "Statistics" in target.read_text("utf-8")
    assert run("cell.h5", "-o", "-", cwd=lab).stdout.rstrip().endswith("</html>")


@pytest.mark.parametrize("name", ["schema_1.db", "schema_4.1.db", "sync_by_0.4.4.hdf5"])
def test_sessions_of_pymanip_have_one_too(tmp_path, name):
    done = run(OLD / name, "-o", "old.html", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "session of pymanip" in (tmp_path / "old.html").read_text("utf-8")


def test_a_session_that_is_being_written_has_one(tmp_path):
    with AsyncSession(tmp_path / "cell", verbose=False) as sesn:
        sesn.add_entry(T=12345.5)
        done = run("cell", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "12345.5" in (tmp_path / "cell.html").read_text("utf-8")
        sesn.add_entry(T=1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["cel"], "did you mean 'cell.h5'?"),
        (["cell", "-o", "no/such/page.html"], "mkdir -p no/such"),
        (["cell", "-o", "."], "is a folder; name a file in it"),
        (["cell", "-o", "cell.h5"], "is the session itself; choose another: -o cell.html"),
        (["cell", "-o", "other.h5"], "is no name for a page; choose another: -o cell.html"),
    ],
)
def test_what_cannot_be_is_refused_with_what_would(lab, arguments, said):
    before = (lab / "cell.h5").read_bytes()
    done = run(*arguments, cwd=lab)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert (lab / "cell.h5").read_bytes() == before
    assert [p.name for p in lab.iterdir()] == ["cell.h5"]


def test_another_page_beside_it_is_not_replaced_unasked(lab):
    (lab / "cell.html").write_text("my notes")
    refused = run("cell", cwd=lab)
    assert refused.returncode == 2
    assert refused.stderr == "cell.html exists, and was not made from cell.h5; replace it with --force, or name another:\n  -o cell_2.html\n"  # fmt: skip
    assert (lab / "cell.html").read_text() == "my notes"
    for options in (["--force"], []):
        assert run("cell", *options, cwd=lab).returncode == 0


def test_it_tells_in_what_another_session_differs(lab):
    with AsyncSession(lab / "first", verbose=False) as sesn:
        sesn.add_entry(T=100.0)
        sesn.save_parameter(voltage=3.5)
    done = run("cell", "--diff", "first", "-o", "-", cwd=lab)
    assert done.returncode == 0, done.stderr
    page = done.stdout[done.stdout.index('id="comparison"') :]
    assert "first.h5" in page
    assert "parameter voltage" in page
    assert "3.5" in page
    assert "−" in page or "-97.93" in page  # the mean of T
    wrong = run("cell", "--diff", "frist", cwd=lab)
    assert wrong.returncode == 2
    assert "pymanip-run report cell.h5 --diff first.h5" in wrong.stderr
    old = run("cell", "--diff", OLD / "schema_4.1.db", "-o", "-", cwd=lab)
    assert "schema_4.1.db" in old.stdout
