"""What the documentation tells people to type, and a place to type it in."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[2]
OLD_SESSION = PROJECT / "tests" / "unit" / "storage" / "pymanip_sessions" / "schema_4.1.db"
FENCE = re.compile(
    r"^(?:<!-- file: (?P<file>\S+) -->\n)?(?P<ticks>`{3,})(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=ticks)\s*$",
    re.M | re.S,
)
OPTION = re.compile(r":(\w+): *(.*)\n")
# Steps that the tests replace: the environment they run in is already there.
INSTALLS = re.compile(
    r"(sudo )?apt(-get)? |python3? -m venv |(\.venv/bin/)?pip install |(source|\.) |\.venv/bin/pytest|git clone "
)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the file that a caption or a comment names."""

    language: str
    text: str
    caption: str | None = None

    def commands(self) -> list[str]:
        """The lines after a ``$`` prompt, with their continuations."""
        joined = self.text.replace("\\\n", " ")
        return [line[2:] for line in joined.splitlines() if line.startswith("$ ")]

    def shown(self) -> list[str]:
        """The lines of output that the block shows; those with ``…`` are left out."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [line for line in lines if line and not line.startswith("$ ") and "…" not in line]


def pages() -> list[Path]:
    """All documents that people read."""
    return [
        PROJECT / "README.md",
        *sorted((PROJECT / "docs").rglob("*.md")),
        *sorted((PROJECT / "sample_experiments").rglob("*.md")),
    ]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a document, in their order."""
    found = []
    for fence in FENCE.finditer(page.read_text("utf-8")):
        info, text = fence["info"].strip(), fence["body"]
        if not info.startswith("{code-block}"):
            found.append(Block(info, text, fence["file"]))
            continue
        options = {}
        while option := OPTION.match(text):
            options[option[1]], text = option[2].strip(), text[option.end() :]
        language = info.removeprefix("{code-block}").strip()
        found.append(Block(language, text.lstrip("\n"), options.get("caption")))
    return found


def typed(command: str) -> str:
    """Return a documented command without its steps of installation, and with a short ``--for``."""
    steps = [step for step in command.split(" && ") if not INSTALLS.match(step)]
    return re.sub(r"--for \w+", "--for 3s", " && ".join(steps)).replace(".venv/bin/", "")


def script(page: Path) -> str:
    """Return a shell script that does what the document says, from its first block to its last."""
    lines = ["set -euo pipefail"]
    for number, block in enumerate(blocks(page)):
        if block.caption:
            lines += _written(block.caption, block.text)
        elif block.language == "console":
            for command in filter(None, map(typed, block.commands())):
                lines += [f"echo '$' {shlex.quote(command)}", command]
        elif block.language == "python":
            name = f"block_{number}.py"
            lines += [*_written(name, block.text), f"echo {name}", f"python {name}"]
    return "\n".join(lines) + "\n"


def _written(name: str, text: str) -> list[str]:
    return [f'mkdir -p "$(dirname {name})"', f"cat > {name} <<'END_OF_BLOCK'\n{text}END_OF_BLOCK"]


class Desk:
    """A temporary copy of the samples, with the project's commands on the PATH and a home of its own."""

    def __init__(self, folder: Path):
        self.folder = folder / "project"
        self.samples = self.folder / "sample_experiments"
        shutil.copytree(
            PROJECT / "sample_experiments",
            self.samples,
            ignore=shutil.ignore_patterns("*.h5*", "*.log", "*.csv", "__pycache__"),
        )
        # What people who come from pymanip have.
        shutil.copy(OLD_SESSION, self.folder / "old_convection.db")
        commands = folder / "bin"
        commands.mkdir()
        scripts = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"][
            "scripts"
        ]
        for name, target in scripts.items():
            module, function = target.split(":")
            start = f"import sys; sys.argv[0] = '{name}'; from {module} import {function}; sys.exit({function}())"
            (commands / name).write_text(f'#!/bin/sh\nexec {sys.executable} -c "{start}" "$@"\n')
            (commands / name).chmod(0o755)
        self.env = os.environ | {
            "PATH": os.pathsep.join(
                [str(commands), str(Path(sys.executable).parent), os.environ["PATH"]]
            ),
            "PYTHONPATH": str(PROJECT),
            "HOME": str(folder),
            "XDG_STATE_HOME": str(folder / "state"),
            "XDG_CONFIG_HOME": str(folder / "config"),
        }

    def run(self, command: str, folder: Path | None = None, timeout: float = 100) -> str:
        """Run shell commands and return their standard output; a failure shows all that was printed."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder or self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout
