"""What the benchmarks share: interleaved rounds in fresh processes, medians, spreads, tables.

Only the standard library is used here, because the peers run in environments of their own.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PROJECT = Path(__file__).parents[2]
PYMANIP = ["pymanip==0.4.4", "six", "requests"]  # it needs the last two without saying so


@dataclass(frozen=True)
class Options:
    """How to measure."""

    rounds: int = 5
    peers: Path = Path.home() / ".cache" / "pymanip-run" / "benchmarks"
    pymanip: str | None = None  # a Python that has pymanip; made in `peers` when not given


@dataclass
class Table:
    """The rounds of one quantity, for each subject."""

    quantity: str
    unit: str
    reference: str
    digits: int = 3
    values: dict[str, list[float]] = field(default_factory=dict)

    def markdown(self) -> str:
        """Return the table: median, spread, and the median ratio to the reference, round by round."""
        lines = [
            f"| {self.quantity} | median | least … most | against {self.reference} |",
            "|---|---:|---:|---:|",
        ]
        for subject, values in self.values.items():
            ratios = [v / r for v, r in zip(values, self.values[self.reference], strict=True)]
            low, high = self._shown(min(values)), self._shown(max(values))
            ratio = (
                "1" if subject == self.reference else f"{self._shown(statistics.median(ratios))} ×"
            )
            middle = self._shown(statistics.median(values))
            lines.append(f"| {subject} | {middle} {self.unit} | {low} … {high} | {ratio} |")
        return "\n".join(lines)

    def _shown(self, value: float) -> str:
        return f"{value:.{self.digits}g}" if value < 1000 else f"{float(f'{value:.3g}'):,.0f}"


def interleave(
    subjects: Mapping[str, Callable[[Path], Sequence[str | Path]]], rounds: int
) -> dict[str, dict[str, list[float]]]:
    """Run each subject once per round, each time in a fresh process and an empty folder.

    Parameters
    ----------
    subjects
        For each name, what makes its command from the folder; the command's last line of output is
        a JSON object of numbers.

    Returns
    -------
    dict
        The numbers: quantity → subject → one value per round.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for number in range(rounds):
        for name, command in subjects.items():
            print(f"  round {number + 1} of {rounds}: {name}", file=sys.stderr, flush=True)
            with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
                for quantity, value in numbers(command(Path(folder)), Path(folder)).items():
                    found.setdefault(quantity, {}).setdefault(name, []).append(value)
    return found


def numbers(command: Sequence[str | Path], folder: Path) -> dict[str, float]:
    """Run a command in a folder and return the JSON object in its last line of output."""
    env = os.environ | {"PYTHONPATH": str(PROJECT), "XDG_STATE_HOME": str(folder)}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command} failed:\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def python_with_pymanip(options: Options) -> str:
    """Return a Python that has pymanip 0.4.4, in an environment of its own that is made once."""
    if options.pymanip:
        return options.pymanip
    folder = options.peers / "pymanip-0.4.4"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        print(f"  making {folder}", file=sys.stderr, flush=True)
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *PYMANIP], check=True)
        (folder / "complete").touch()
    return str(python)
