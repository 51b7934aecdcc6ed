"""How long it takes to list ten thousand sessions, and to find those of one parameter."""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measuring import Options, Table, Target, commands, environment, interleave, peak, scaled

TITLE = "Listing many sessions"
TEXT = """\
A folder of 10⁴ session files of 3 parameters and 4 variables: all are listed, and those with `voltage=3` are found.
*Sessions, warm* has the cache beside the files; *cold* has none and opens each file, from a warm page cache. *h5py* opens
each file and reads one parameter of it; *stat* asks only the file system. *pymanip-inspect* is the whole command, which
prints the table. Memory is the largest of the process."""
SESSIONS = 10_000
VARIANTS = 100
CACHE = ".pymanip-run-sessions.json"


def stat(folder):
    return len([p.stat().st_mtime_ns for p in folder.glob("*.h5")]) // 5


def plain_h5py(folder):
    import h5py

    found = 0
    for path in folder.glob("*.h5"):
        with h5py.File(path) as h5:
            found += h5["parameters/voltage"][()] == 3
    return found


def sessions(folder):
    from pymanip_run import Sessions

    return len(Sessions(folder).where(voltage=3))


def cold(folder):
    (folder / CACHE).unlink(missing_ok=True)
    return sessions(folder)


def inspect(folder):
    code = "import sys; sys.argv[0] = 'pymanip-inspect'; from pymanip_run.cli import main_inspect; main_inspect()"
    command = [sys.executable, "-c", code, folder, "--where", "voltage=3"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout.split()[0])


SUBJECTS = {
    "stat": stat,
    "h5py": plain_h5py,
    "Sessions, cold": cold,
    "Sessions, warm": sessions,
    "pymanip-inspect, warm": inspect,
}


def prepare(folder, count):
    """Make some sessions, and copy each of them many times."""
    import asyncio

    from pymanip_run import AsyncSession
    from pymanip_run.storage.compact import compact

    async def measure(sesn):
        for i in range(20):
            sesn.add_entry(T_bottom=20 + i / 7, T_top=15 - i / 9, flux=i / 3)
            sesn.add_entry(power=i)
        await sesn.sleep(0)
        sesn.ask_exit("enough")

    originals = []
    for number in range(min(VARIANTS, count)):
        path = folder / f"original_{number}"
        with AsyncSession(path, verbose=False, title="A cell of convection") as sesn:
            sesn.describe("T_bottom", unit="°C")
            sesn.save_parameter(voltage=number % 5, gain=2.5, sample=f"Ta{number}")
            sesn.save_metadata(operator="Ann")
            asyncio.run(sesn.monitor(measure, server_port=None))
        originals.append(compacted(path.with_suffix(".h5"), compact))
    for number in range(count):
        target = folder / f"run_{number:05}.h5"
        shutil.copyfile(originals[number % len(originals)], target)
        os.utime(target, (1.7e9 + number, 1.7e9 + number))
    for original in originals:
        original.unlink()


def compacted(path, compact):
    compact(path)
    return path


def measure(options: Options) -> list[Table]:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        count = scaled(SESSIONS, 200)
        environ = environment(Path(folder))
        subprocess.run(
            [sys.executable, __file__, "prepare", folder, str(count)], check=True, env=environ
        )
        found = interleave(commands(__file__, SUBJECTS, options, folder, count), options.rounds)
    targets = [Target("≤ 1 s for 10⁴ sessions", "Sessions, warm", 1000.0)]
    return [
        Table("listing", "ms", "stat", values=found["listing"], targets=targets),
        Table("memory", "MB", values=found["memory"]),
    ]


def main(subject, folder, count):
    if subject == "prepare":
        prepare(Path(folder), int(count))
        return
    if "warm" in subject and not (Path(folder) / CACHE).exists():
        sessions(Path(folder))
    start = time.perf_counter()
    found = SUBJECTS[subject](Path(folder))
    listing = 1e3 * (time.perf_counter() - start)
    assert found == int(count) // 5, found
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6
    print(
        json.dumps(
            {
                "listing": listing,
                "memory": children if subject == "pymanip-inspect, warm" else peak(),
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
