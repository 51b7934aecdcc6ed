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
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PROJECT = Path(__file__).parents[2]
PYMANIP, QCODES = "pymanip 0.4.4", "QCoDeS"
REQUIREMENTS = {
    PYMANIP: ["pymanip==0.4.4", "six", "requests"],  # it needs the last two without saying so
    QCODES: ["qcodes"],
}
QUICK = "PYMANIP_RUN_BENCHMARKS_QUICK"


@dataclass(frozen=True)
class Options:
    """How to measure."""

    rounds: int = 3
    peers: Path = Path.home() / ".cache" / "pymanip-run" / "benchmarks"
    #: For each peer a Python that has it; made in `peers` when not given.
    pythons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Target:
    """What was aimed at: the median of a subject, or of its ratio to another, is at most this."""

    text: str
    subject: str
    most: float
    against: str | None = None
    #: Why it is missed, and what was tried; shown only when it is.
    remark: str = ""


@dataclass(frozen=True)
class Verdict:
    """How a target was met."""

    quantity: str
    target: Target
    measured: str
    reached: bool


@dataclass
class Table:
    """The rounds of one quantity, for each subject."""

    quantity: str
    unit: str
    #: The subject that the others are divided by, "" for none.
    reference: str = ""
    digits: int = 3
    values: dict[str, list[float]] = field(default_factory=dict)
    targets: Sequence[Target] = ()

    def markdown(self) -> str:
        """Return the table: median, spread, and the median ratio to the reference, round by round."""
        lines = [f"| {self.quantity} | median | least … most |", "|---|---:|---:|"]
        if self.reference:
            lines = [f"{lines[0]} against {self.reference} |", f"{lines[1]}---:|"]
        for subject, values in self.values.items():
            middle = self._shown(statistics.median(values))
            line = f"| {subject} | {middle} {self.unit} | {self._spread(values)} |"
            lines.append(f"{line} {self._against(subject)} |" if self.reference else line)
        return "\n".join(lines)

    def _against(self, subject: str) -> str:
        if subject == self.reference:
            return "1"
        return f"{self._shown(statistics.median(self._ratios(subject, self.reference)))} ×"

    def verdicts(self) -> list[Verdict]:
        """Compare with the targets; those of peers that are not installed are left out."""
        result = []
        for target in self.targets:
            if target.against is None:
                found = self.values[target.subject]
                measured = (
                    f"{self._shown(statistics.median(found))} {self.unit} ({self._spread(found)})"
                )
            elif target.against not in self.values:
                continue
            else:
                found = self._ratios(target.subject, target.against)
                shown = found if target.most >= 1 else [1 / ratio for ratio in found]
                measured = f"{self._shown(statistics.median(shown))} × ({self._spread(shown)})"
            reached = statistics.median(found) <= target.most
            result.append(Verdict(self.quantity, target, measured, reached))
        return result

    def _ratios(self, subject: str, reference: str) -> list[float]:
        pairs = zip(self.values[subject], self.values[reference], strict=True)
        return [value / max(other, 1e-12) for value, other in pairs]

    def _spread(self, values: Sequence[float]) -> str:
        return f"{self._shown(min(values))} … {self._shown(max(values))}"

    def _shown(self, value: float) -> str:
        return f"{value:.{self.digits}g}" if abs(value) < 1000 else f"{float(f'{value:.3g}'):,.0f}"


Command = Callable[[Path], Sequence[str | Path]]


def interleave(subjects: Mapping[str, Command], rounds: int) -> dict[str, dict[str, list[float]]]:
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
    done = subprocess.run(
        command, cwd=folder, env=environment(folder), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{command} failed:\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def environment(folder: Path) -> dict[str, str]:
    """Return an environment in which a subject leaves nothing outside of `folder`."""
    matplotlib = Path(tempfile.gettempdir()) / "matplotlib"  # shared, for it takes seconds to make
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name != "PYTHONDONTWRITEBYTECODE"  # what is compiled anew for each process is never fast
    }
    return inherited | {
        "PYTHONPATH": str(PROJECT),
        "XDG_STATE_HOME": str(folder),
        "HOME": str(folder),
        "MPLCONFIGDIR": str(matplotlib),
    }


def scaled(full: int, quick: int) -> int:
    """Return how much to measure: `quick` when only the benchmark itself is being tried."""
    return quick if os.environ.get(QUICK) else full


def commands(
    script: str, subjects: Iterable[str], options: Options, *arguments: object
) -> dict[str, Command]:
    """Return for each subject the command ``python SCRIPT SUBJECT ARGUMENTS``, with its own Python.

    Peers that cannot be installed here are left out, and that is said.
    """
    result: dict[str, Command] = {}
    for name in subjects:
        python: str | None = sys.executable
        for peer in REQUIREMENTS:
            if name.startswith(peer):
                python = python_with(peer, options)
        if python is not None:
            command = [python, script, name, *map(str, arguments)]
            result[name] = lambda _folder, command=command: command
    return result


def python_with(peer: str, options: Options) -> str | None:
    """Return a Python that has a peer, in an environment of its own that is made once; None without one."""
    if peer in options.pythons:
        return options.pythons[peer]
    folder = options.peers / peer.replace(" ", "-").lower()
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        print(f"  making {folder}", file=sys.stderr, flush=True)
        venv.create(folder, with_pip=True, clear=True)
        install = [python, "-m", "pip", "install", "-q", *REQUIREMENTS[peer]]
        if subprocess.run(install, check=False).returncode:
            print(f"  {peer} cannot be installed here and is left out", file=sys.stderr)
            return None
        (folder / "complete").touch()
    return str(python)


def resident(pid: int | str = "self") -> float:
    """Return the resident memory of a process now, in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 1e6


def peak() -> float:
    """Return the largest resident memory of this process so far, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6
