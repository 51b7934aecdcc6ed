"""A secret, however it is given, is in nothing that a run leaves behind or says."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

import pymanip_run

PACKAGE = str(Path(pymanip_run.__file__).parent.parent)
#: One value for each way, so that a leak names its way.
SECRETS = {
    way: f"hunter2-{way}"
    for way in (
        "literal", "comment", "anchor", "block", "metadata", "parameter", "task", "device", "set", "set-list", "environment",
        "variable", "variable-in-args", "configuration", "module", "module-call", "old-value",
    )
}  # fmt: skip
FILE = f"""\
# the old password: {SECRETS["comment"]}
module: tasks.py
tasks:
  - read: {{every: 50ms, kwargs: {{passphrase: {SECRETS["task"]}, plain: "${{LAB_DB_PASSWORD}}"}}}}
  - fail: {{once: true, start_after: 300ms}}
devices:
  db:
    use: tasks:Database
    args: ["lab:${{LAB_ARGS_TOKEN}}@db"]
    kwargs: {{api_key: {SECRETS["device"]}, more: {{client_secret: {SECRETS["block"]}}}}}
parameters: {{access_token: {SECRETS["parameter"]}, plain: "see ${{LAB_DB_PASSWORD}}"}}
metadata:
  smtp: {{password: {SECRETS["metadata"]}, note: "${{LAB_DB_PASSWORD}}"}}
x-mail: &mail {{password: {SECRETS["anchor"]}}}
email: {{from: a@b.org, to: c@d.org, user: lab, password: {SECRETS["literal"]}}}
session: data.h5
"""
MODULE = f"""\
import logging, shutil, pathlib

PASSWORD = "{SECRETS["module"]}"

def login(password):
    raise ConnectionError("login failed")

class Database:
    def __init__(self, address, api_key, more, token=None):
        self.said = [address, api_key, more["client_secret"], token]
        logging.getLogger("lab").warning("connecting with %s", self.said)
    def close(self):
        raise OSError(f"cannot close {{self.said}}")

async def read(sesn, passphrase, plain):
    global said
    said = [passphrase, plain]
    sesn.add_entry(T=1.0)
    sesn.note(f"logged in with {{passphrase}} and {{plain}}")
    logging.getLogger("lab").warning("key %r", passphrase)
    try:
        login(password="{SECRETS["module-call"]}")
    except ConnectionError:
        logging.getLogger("lab").exception("with %s", plain)

async def fail(sesn):
    copies = pathlib.Path("copies")
    copies.mkdir()
    for side_file in pathlib.Path().glob("data.*"):
        shutil.copy(side_file, copies)
    raise RuntimeError(f"refused: {{said}} {{getattr(sesn, 'db', None) and sesn.db.said}}")
"""


@pytest.fixture
def lab(tmp_path):
    folder = tmp_path / "lab"
    folder.mkdir()
    (folder / "experiment.yaml").write_text(FILE)
    (folder / "tasks.py").write_text(MODULE)
    settings = tmp_path / "config" / "pymanip-run" / "config.yaml"
    settings.parent.mkdir(parents=True)
    settings.write_text(
        f"email: {{password: {SECRETS['configuration']}, host: smtp.example.org}}\n"
    )
    settings.chmod(0o600)
    return Lab(folder, tmp_path)


class Lab:
    """A folder with an experiment full of secrets, and a user."""

    OVERRIDES = (
        "--set", f"metadata.api_key={SECRETS['set']}",
        "--set", f"metadata.list=[{{token: {SECRETS['set-list']}}}]",
        "--set", f"metadata.where=at {SECRETS['literal']}",
    )  # fmt: skip

    def __init__(self, folder, home):
        self.folder, self.state = folder, home / "state"
        self.environment = os.environ | {
            "PYTHONPATH": PACKAGE,
            "XDG_CONFIG_HOME": str(home / "config"),
            "XDG_STATE_HOME": str(self.state),
            "LAB_DB_PASSWORD": SECRETS["variable"],
            "LAB_ARGS_TOKEN": SECRETS["variable-in-args"],
            "PYMANIP_RUN_DEVICES__DB__KWARGS__TOKEN": SECRETS["environment"],
        }

    def command(self, *words):
        return [sys.executable, "-m", "pymanip_run", *words]

    def run(self, *words):
        done = subprocess.run(
            self.command(*words), cwd=self.folder, env=self.environment,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    def leaks(self, *texts):
        """Return which secrets are in the texts, or in any file but those that a person wrote."""
        found = {
            f"{way} in what was said" for way, one in SECRETS.items() if one in "\n".join(texts)
        }
        for path in (p for top in (self.folder, self.state) for p in top.rglob("*") if p.is_file()):
            if path.name in ("experiment.yaml", "tasks.py", "broken.yaml"):
                continue
            content = path.read_bytes()
            if path.suffix == ".h5":
                content += stored_texts(path)
            found |= {
                f"{way} in {path.name}" for way, one in SECRETS.items() if one.encode() in content
            }
        return found


def stored_texts(path):
    """Return all that an HDF5 file holds, also where it is compressed."""
    found = []

    def collect(name, thing):
        found.extend([name, *map(str, thing.attrs.items())])
        if isinstance(thing, h5py.Dataset):
            value = thing[()]
            found.append(str(value.tolist() if hasattr(value, "tolist") else value))

    with h5py.File(path) as file:
        collect("/", file)
        file.visititems(collect)
    return "\n".join(found).encode()


def test_the_search_finds_what_is_there(lab):
    with h5py.File(lab.folder / "x.h5", "w") as file:
        file.create_dataset(
            "d", data=[f"a {SECRETS['set']}".encode()] * 99, chunks=True, compression="gzip"
        )
    (lab.folder / "x.log").write_text(SECRETS["task"])
    assert lab.leaks(SECRETS["literal"]) == {
        "literal in what was said",
        "set in x.h5",
        "task in x.log",
    }


@pytest.mark.parametrize("options", [(), ("-vv",), ("--json",)], ids=" ".join)
def test_a_failed_run_leaves_and_says_no_secret(lab, options):
    code, said = lab.run("run", "experiment.yaml", *lab.OVERRIDES, *options)
    assert code == 1, said
    assert "refused" in said
    assert "***" in said
    assert lab.leaks(said) == set()
    assert any(path.name.startswith("data.h5.wal") for path in (lab.folder / "copies").iterdir())
    inspected = [
        lab.run("inspect", "data.h5", *words)[1] for words in (["--json"], ["--events"], [])
    ]
    assert "logged in with *** and ***" in inspected[1]
    assert lab.leaks(*inspected) == set()
    metadata = json.loads(inspected[0])["metadata"]
    assert metadata["smtp"] == {"password": "***", "note": "***"}


def test_a_killed_run_leaves_no_secret(lab):
    (lab.folder / "tasks.py").write_text(
        MODULE.replace("raise RuntimeError", "await sesn.sleep(60) or print")
    )
    with subprocess.Popen(
        lab.command("run", "experiment.yaml", *lab.OVERRIDES),
        cwd=lab.folder,
        env=lab.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as run:
        said = ""
        for line in run.stdout:
            said += line
            if "key '***'" in line:
                break
        run.send_signal(signal.SIGKILL)
        said += run.stdout.read()
    assert lab.leaks(said) == set()


@pytest.mark.parametrize(
    "words",
    [
        ("run", "experiment.yaml", "--show-config", *Lab.OVERRIDES),
        ("check", "experiment.yaml", *Lab.OVERRIDES),
        ("run", "experiment.yaml", "--dry-run", "--for", "2s", *Lab.OVERRIDES),
        ("run", "broken.yaml", *Lab.OVERRIDES, "--set", f"email.password=[{SECRETS['set']}]"),
        ("run", "broken.yaml", "--set", f"email.passwrod={SECRETS['old-value']}"),
        ("run", "no_yaml.yaml"),
    ],
    ids=["show-config", "check", "dry run", "broken", "misspelt", "not YAML"],
)  # fmt: skip
def test_what_is_said_without_a_run_has_no_secret(lab, words):
    broken = FILE.replace("every: 50ms", "evry: 50ms").replace(
        "api_key:", "api_key: [1], api_keys:"
    )
    (lab.folder / "broken.yaml").write_text(broken.replace("to: c@d.org", "to: 5"))
    (lab.folder / "no_yaml.yaml").write_text(FILE.replace("tasks:\n", "tasks\n"))
    _, said = lab.run(*words)
    (lab.folder / "no_yaml.yaml").unlink()
    assert said
    assert lab.leaks(said) == set()


def test_an_error_of_the_module_shows_no_secret(lab):
    (lab.folder / "tasks.py").write_text(
        f'import os\npassword = "{SECRETS["module"]}"; raise ValueError(os.environ["LAB_DB_PASSWORD"])\n'
    )
    code, said = lab.run("run", "experiment.yaml")
    assert code == 2
    assert "ValueError: ***" in said
    assert lab.leaks(said) == set()
