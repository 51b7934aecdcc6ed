"""How long `pymanip-run --help` and `check` take, against a Python that does nothing."""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from measuring import Options, Table, Target, commands, interleave

TITLE = "The start of the command"
TEXT = """\
The median wall time of 10 processes in each round, byte code already compiled. What is checked is the complete
experiment file, with every key there is."""
HELP = "import sys; sys.argv[1:] = ['--help']; from pymanip_run.cli import main; main()"
IMPORT = "import h5py, typer, rich"
COMPLETE = Path(__file__).parents[1] / "unit" / "experiment" / "complete" / "experiment.yaml"
CHECK = (
    f"import sys; sys.argv[1:] = ['check', '{COMPLETE}']; from pymanip_run.cli import main; main()"
)
SUBJECTS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "pymanip-run --help": [sys.executable, "-c", HELP],
    "pymanip-run check": [sys.executable, "-c", CHECK],
    "python -c 'import h5py, typer, rich'": [sys.executable, "-c", IMPORT],
}


def measure(options: Options) -> list[Table]:
    found = interleave(commands(__file__, SUBJECTS, options), options.rounds)
    targets = [
        Target("≤ 10 × python -c pass", "pymanip-run --help", 10, "python -c pass"),
        Target("≤ 0.5 s", "pymanip-run check", 500),
    ]
    return [Table("start and exit", "ms", "python -c pass", values=found["time"], targets=targets)]


if __name__ == "__main__":
    times = []
    environment = os.environ | {"LAB_SMTP_PASSWORD": "not used"}
    for _ in range(11):
        start = time.perf_counter()
        subprocess.run(
            SUBJECTS[sys.argv[1]], check=True, stdout=subprocess.DEVNULL, env=environment
        )
        times.append(time.perf_counter() - start)
    print(json.dumps({"time": statistics.median(times[1:]) * 1e3}))
