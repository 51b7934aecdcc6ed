"""How long a rehearsal of 24 hours takes, with ten tasks every ten seconds."""

import json
import subprocess
import sys
import time
from pathlib import Path

from measuring import Options, Table, Target, commands, interleave, scaled

TITLE = "Rehearsing a day"
TEXT = """\
`pymanip-run experiment.yaml --dry-run --for 24h` with ten tasks every ten seconds: 86 400 steps. In *entries* each
step logs a value; *simulated answers* awaits `asyncio.sleep(0.05)` before; *threads* is plain functions, thus each
step a call in a thread; *regulation* reads the last value back and computes with the latest minute. The time is
that of the whole command, start included."""
TASKS = 10
BODIES = {
    "entries": "async def task{i}(sesn):\n    sesn.add_entry(T{i}=random.random())\n",
    "simulated answers": (
        "async def task{i}(sesn):\n    await asyncio.sleep(0.05)\n    sesn.add_entry(T{i}=random.random())\n"
    ),
    "threads": "def task{i}(sesn):\n    sesn.add_entry(T{i}=random.random())\n",
    "regulation": (
        "async def task{i}(sesn):\n    sesn.add_entry(T{i}=random.random())\n"
        "    series = sesn['T{i}']\n    series.last[1] - series.since(sesn.now() - 60).values.mean()\n"
    ),
}


def rehearse(subject, hours):
    """Write the experiment into this folder, rehearse it in a process of its own, and measure."""
    tasks = "\n".join(BODIES[subject].replace("{i}", str(i)) for i in range(TASKS))
    Path("tasks.py").write_text(f"import asyncio, random\n{tasks}")
    listed = "".join(f"  task{i}: {{every: 10s}}\n" for i in range(TASKS))
    Path("experiment.yaml").write_text(f"module: tasks.py\ntasks:\n{listed}")
    command = [sys.executable, "-m", "pymanip_run", "experiment.yaml", "--dry-run", "--json"]
    began = time.perf_counter()
    done = subprocess.run(
        [*command, "--for", f"{hours}h", "--seed", "1"], capture_output=True, text=True, check=True
    )
    seconds = time.perf_counter() - began
    report = json.loads(done.stdout)
    assert [t["runs"] for t in report["tasks"].values()] == [hours * 360] * TASKS
    print(json.dumps({"24 h rehearsed": seconds}))


def measure(options: Options) -> list[Table]:
    found = interleave(commands(__file__, BODIES, options, scaled(24, 1)), options.rounds)
    targets = {"24 h rehearsed": [Target("≤ 20 s", "entries", 20.0)]}
    return [
        Table(quantity, "s", "entries", values=values, targets=targets.get(quantity, ()))
        for quantity, values in found.items()
    ]


if __name__ == "__main__":
    rehearse(sys.argv[1], int(sys.argv[2]))
