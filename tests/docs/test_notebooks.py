"""The notebooks of the tutorials run from the first cell to the last, and show what they say."""

import os
import subprocess
import sys

import pytest
from documents import PROJECT

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

NOTEBOOKS = sorted((PROJECT / "docs").rglob("*.ipynb"))
#: In a process of its own: the warnings of Jupyter's libraries are not ours.
EXECUTE = """
import sys
import nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[2])
"""


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.name)
def executed(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebook")
    kernel = folder / "kernels" / "python3"
    kernel.mkdir(parents=True)
    command = f'["{sys.executable}", "-m", "ipykernel_launcher", "-f", "{{connection_file}}"]'
    (kernel / "kernel.json").write_text(
        f'{{"argv": {command}, "display_name": "Python 3", "language": "python"}}'
    )
    folders = {"HOME": folder, "JUPYTER_PATH": folder, "IPYTHONDIR": folder / "ipython", "JUPYTER_RUNTIME_DIR": folder / "run",
               "XDG_STATE_HOME": folder / "state", "MPLCONFIGDIR": folder / "matplotlib"}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", EXECUTE, request.param, folder / "executed.ipynb"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(PROJECT)} | {k: str(v) for k, v in folders.items()},
        capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return nbformat.read(folder / "executed.ipynb", as_version=4)


def outputs(notebook, kind):
    """What the cells showed, in this form."""
    found = []
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            found += [data[kind]] if kind in data else []
            found += [output["text"]] if kind == "text/plain" and "text" in output else []
    return found


@pytest.mark.timeout(120)
def test_the_tutorial_shows_tables_plots_and_what_it_prints(executed):
    tables = outputs(executed, "text/html")
    assert any("cooling_2" in html and "cold enough" in html for html in tables), "a session"
    assert any("Temperature of the body" in html for html in tables), "a series"
    assert any("cooling_3" in html and "sample" in html for html in tables), "the table of all"
    assert len(outputs(executed, "image/png")) == 2
    printed = "\n".join(outputs(executed, "text/plain"))
    assert "values in the last half second" in printed
    assert "did you mean 'voltage'?" in printed


def test_notebooks_are_kept_without_what_they_showed():
    for path in NOTEBOOKS:
        for cell in nbformat.read(path, as_version=4).cells:
            assert not cell.get("outputs"), path.name
            assert cell.get("execution_count") is None, path.name
