"""Measure and write docs/explanations/performance.md.

    python tests/benchmarks/run.py [NAME ...] [--rounds 3] [--quick] [-o FILE]

Every number is the median of interleaved rounds in fresh processes, with its spread. The page is only
written when all benchmarks were run; a selection, or a quick try, is printed.
"""

import argparse
import importlib
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measuring import PROJECT, PYMANIP, QCODES, QUICK, Options, Verdict

NAMES = [
    "add_entry", "ticker", "stalls", "add_dataset", "reading", "last_values", "opening", "size", "checkpoint",
    "startup", "interrupt", "iterations", "grid",
    "dry_run", "resume", "alarms", "displays", "export", "listing", "server", "dashboard",
]  # fmt: skip
PAGE = PROJECT / "docs" / "explanations" / "performance.md"
HEAD = """\
# Measured speed

This page was written by `python tests/benchmarks/run.py`: {rounds} rounds, in each round all subjects one
after the other, each in a fresh process; the tables show the median, the spread, and the median of the
ratios within the rounds. Other computers give other times; the ratios travel better.

Measured on {date}: {machine}, {cores} cores, Linux {kernel}, Python {python}, {versions}; load {load:.1f} at the start.

## Targets

| what | target | measured (least … most) | |
|---|---|---:|---|
{targets}
"""


def parse(arguments):
    defaults = Options()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(NAMES)}")
    parser.add_argument("--rounds", type=int, default=defaults.rounds, help="at least 3")
    parser.add_argument("--quick", action="store_true", help="one round of little, to try it")
    parser.add_argument(
        "-o", "--output", type=Path, help=f"default for all: {PAGE.relative_to(PROJECT)}"
    )
    parser.add_argument("--pymanip", help="a Python that has pymanip 0.4.4; made when not given")
    parser.add_argument("--qcodes", help="a Python that has QCoDeS; made when not given")
    parser.add_argument(
        "--peers",
        type=Path,
        default=Path(os.environ.get("PYMANIP_RUN_BENCHMARKS", defaults.peers)),
        help="folder for the environments of the peers (PYMANIP_RUN_BENCHMARKS; %(default)s)",
    )
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    if options.rounds < 3:
        parser.error("a median needs at least 3 rounds")
    return options


def head(rounds, verdicts):
    import h5py
    import numpy as np

    return HEAD.format(
        rounds=rounds,
        date=time.strftime("%Y-%m-%d"),
        machine=processor(),
        cores=os.cpu_count(),
        kernel=platform.release(),
        python=platform.python_version(),
        versions=f"numpy {np.__version__}, h5py {h5py.__version__}, HDF5 {h5py.version.hdf5_version}",
        load=LOAD,
        targets="\n".join(map(line, verdicts)),
    )


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def line(verdict: Verdict):
    sign = "reached" if verdict.reached else "**missed**"
    return f"| {verdict.quantity} | {verdict.target.text} | {verdict.measured} | {sign} |"


def remarks(verdicts):
    missed = [v for v in verdicts if not v.reached]
    texts = [
        f"- {v.quantity}, {v.target.text}: {v.measured}. {v.target.remark}".rstrip() for v in missed
    ]
    return ["Missed:\n\n" + "\n".join(texts)] if texts else []


def measured(parsed):
    """Return the page."""
    pythons = {PYMANIP: parsed.pymanip, QCODES: parsed.qcodes}
    options = Options(
        1 if parsed.quick else parsed.rounds,
        parsed.peers,
        {peer: python for peer, python in pythons.items() if python},
    )
    parts, all_verdicts, begin = [], [], time.monotonic()
    for name in parsed.names or NAMES:
        print(f"{name} ({time.monotonic() - begin:.0f} s)", file=sys.stderr)
        benchmark = importlib.import_module(name)
        try:
            tables = benchmark.measure(options)
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            print(f"{name} failed: {error}", file=sys.stderr)
            parts.append(f"## {benchmark.TITLE}\n\nCould not be measured this time.\n")
            continue
        verdicts = [verdict for table in tables for verdict in table.verdicts()]
        shown = [table.markdown() for table in tables]
        parts.append(
            "\n\n".join([f"## {benchmark.TITLE}", benchmark.TEXT, *shown, *remarks(verdicts)])
            + "\n"
        )
        all_verdicts += verdicts
    print(f"done in {time.monotonic() - begin:.0f} s", file=sys.stderr)
    return "\n".join([head(options.rounds, all_verdicts), *parts])


def main(arguments=None):
    parsed = parse(arguments)
    sys.path.insert(0, str(PROJECT))
    if parsed.quick:
        os.environ[QUICK] = "1"
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))  # so that the folder is removed
    with tempfile.TemporaryDirectory(prefix="pymanip-run-benchmarks-") as folder:
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        page = measured(parsed)
    output = parsed.output or (None if parsed.names or parsed.quick else PAGE)
    if output:
        output.write_text(page, "utf-8")
        print(f"written: {output}", file=sys.stderr)
    else:
        print(page)


LOAD = os.getloadavg()[0]

if __name__ == "__main__":
    main()
