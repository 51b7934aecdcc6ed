"""How long `pymanip-run --help` takes, against a Python that does nothing."""

import json
import statistics
import subprocess
import sys
import time

from measuring import Options, Table, Target, commands, interleave

TITLE = "The start of the command"
TEXT = """\
The median wall time of 10 processes in each round, byte code already compiled."""
HELP = "import sys; sys.argv[1:] = ['--help']; from pymanip_run.cli import main; main()"
IMPORT = "import h5py, typer, rich"
SUBJECTS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "pymanip-run --help": [sys.executable, "-c", HELP],
    "python -c 'import h5py, typer, rich'": [sys.executable, "-c", IMPORT],
}


def measure(options: Options) -> list[Table]:
    found = interleave(commands(__file__, SUBJECTS, options), options.rounds)
    target = Target("≤ 10 × python -c pass", "pymanip-run --help", 10, "python -c pass")
    return [Table("start and exit", "ms", "python -c pass", values=found["time"], targets=[target])]


if __name__ == "__main__":
    times = []
    for _ in range(11):
        start = time.perf_counter()
        subprocess.run(SUBJECTS[sys.argv[1]], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    print(json.dumps({"time": statistics.median(times[1:]) * 1e3}))
