"""Measure and write docs/explanations/performance.md.

    python tests/benchmarks/run.py [add_entry ticker startup interrupt] [--rounds 5] [-o FILE]

Every number is the median of interleaved rounds in fresh processes, with its spread. The page is only
written when all benchmarks were run; a selection is printed.
"""

import argparse
import importlib
import os
import platform
import sys
import time
from pathlib import Path

from measuring import PROJECT, Options

NAMES = ["add_entry", "ticker", "startup", "interrupt"]
PAGE = PROJECT / "docs" / "explanations" / "performance.md"
HEAD = """\
# Measured speed

This page was written by `python tests/benchmarks/run.py`: {rounds} rounds, in each round all subjects one
after the other, each in a fresh process; the table shows the median, the spread, and the median of the
ratios within the rounds. Other computers give other times; the ratios travel better.

Measured on {date}: {machine}, {cores} cores, Linux {kernel}, Python {python}, load {load:.1f} at the start.
"""


def parse(arguments):
    defaults = Options()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(NAMES)}")
    parser.add_argument("--rounds", type=int, default=defaults.rounds, help="at least 3")
    parser.add_argument(
        "-o", "--output", type=Path, help=f"default for all: {PAGE.relative_to(PROJECT)}"
    )
    parser.add_argument("--pymanip", help="a Python that has pymanip 0.4.4; made when not given")
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


def head(rounds):
    return HEAD.format(
        rounds=rounds,
        date=time.strftime("%Y-%m-%d"),
        machine=platform.machine(),
        cores=os.cpu_count(),
        kernel=platform.release(),
        python=platform.python_version(),
        load=os.getloadavg()[0],
    )


def main(arguments=None):
    parsed = parse(arguments)
    options = Options(parsed.rounds, parsed.peers, parsed.pymanip)
    parts = [head(options.rounds)]
    for name in parsed.names or NAMES:
        print(name, file=sys.stderr)
        benchmark = importlib.import_module(name)
        tables = [table.markdown() for table in benchmark.measure(options)]
        parts.append("\n\n".join([f"## {benchmark.TITLE}", benchmark.TEXT, *tables]) + "\n")
    page = "\n".join(parts)
    output = parsed.output or (None if parsed.names else PAGE)
    if output:
        output.write_text(page, "utf-8")
        print(f"written: {output}", file=sys.stderr)
    else:
        print(page)


if __name__ == "__main__":
    main()
