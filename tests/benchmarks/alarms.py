"""How long alarms take over a recorded session, and what alarms and mails cost a ticker beside them."""

import contextlib
import json
import random
import socket
import subprocess
import sys
import time

from measuring import Options, Table, Target, commands, interleave, scaled
from ticker import idle, ticker

TITLE = "Alarms and mails"
TEXT = """\
*Replay* feeds a session of 10⁶ entries through 20 alarms (values, ages, rates, with and without `for`), read from its
file; all 20 watch the one variable of each entry, or one each of 20. *Lateness* is that of a ticker on a 10 ms grid, as
above: beside it 100 variables are logged ten times a second on disk, 20 alarms watch them, and a mail is composed and
sent to a local server each second."""
ENTRIES = 1_000_000
CONDITIONS = [
    "{v} > 60", "{v} < -60", "abs({v}) >= 70", "age({v}) > 2min", "age({v}) > 10s",
    "rate({v}) > 200 per 1s", "abs(rate({v})) > 500 per 1min",
]  # fmt: skip
LOADED = "100 variables, 20 alarms, mails"
REPLAYS = {"replay, 1 variable": 1, "replay, 20 variables": 20}
TARGETS = {
    "replay": [Target("≤ 20 s", name, 20.0) for name in REPLAYS],
    "lateness, p50": [Target("≤ 1.05 × idle", LOADED, 1.05, "idle")],
    "lateness, p99": [Target("≤ 1.2 × idle", LOADED, 1.2, "idle")],
}


def rules(variables):
    from pymanip_run.alarms.grammar import parse_condition
    from pymanip_run.alarms.rules import Rule

    texts = [
        CONDITIONS[i % len(CONDITIONS)].format(v=variables[i % len(variables)]) for i in range(20)
    ]
    return [Rule(f"a{i}", parse_condition(t), hold=(0, 5, 30)[i % 3]) for i, t in enumerate(texts)]


def replay(count, entries):
    """Record a session in this folder, and measure how long its alarms take."""
    from pymanip_run import AsyncSession, SavedAsyncSession
    from pymanip_run.alarms.replay import replayed

    chance, variables = random.Random(1), [f"v{i}" for i in range(count)]

    with AsyncSession("old", verbose=False) as sesn:

        async def log():
            for _ in range(entries):
                sesn.add_entry({name: chance.gauss(0, 20) for name in variables})

        sesn.run(log(), server_port=None)
    with SavedAsyncSession("old", verbose=False) as view:
        began = time.perf_counter()
        for _ in replayed(view, rules(variables)):
            pass
        return {"replay": time.perf_counter() - began}


@contextlib.contextmanager
def mail_server():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    address = f"127.0.0.1:{port}"
    command = [
        sys.executable,
        "-m",
        "aiosmtpd",
        "-n",
        "-l",
        address,
        "-c",
        "aiosmtpd.handlers.Sink",
    ]
    process = subprocess.Popen(command)
    try:
        yield port
    finally:
        process.kill()
        process.wait()


def loaded(late, duration):
    """Let the ticker run beside a session with alarms and mails."""
    from pymanip_run import AsyncSession, every
    from pymanip_run.alarms.engine import Engine
    from pymanip_run.alarms.watcher import Watcher
    from pymanip_run.clock import as_ns
    from pymanip_run.session import internals

    variables = [f"v{i}" for i in range(100)]

    async def log(sesn):
        sesn.add_entry({name: random.gauss(0, 20) for name in variables})

    async def tick(sesn):
        feed = internals(sesn).feed
        watcher = Watcher(Engine(rules(variables)), feed, lambda: as_ns(sesn.now()), lambda _: None)
        async with watcher:
            watcher.begin()
            await ticker(late, duration)
        sesn.ask_exit()

    with mail_server() as port, AsyncSession("data", verbose=False) as sesn:
        mails = sesn.send_email("a@b.org", "c@d.org", "127.0.0.1", port, delay_hours=1 / 3600)
        sesn.run(every(0.1, log), tick, mails, server_port=None)


def measure(options: Options) -> list[Table]:
    replays = commands(__file__, REPLAYS, options, scaled(ENTRIES, ENTRIES // 50))
    tickers = commands(__file__, ["idle", LOADED], options, scaled(12, 3))
    found = interleave(replays | tickers, options.rounds)
    return [
        Table(
            quantity,
            "s" if quantity == "replay" else "ms",
            "" if quantity == "replay" else "idle",
            values=values,
            targets=TARGETS.get(quantity, ()),
        )
        for quantity, values in found.items()
    ]


if __name__ == "__main__":
    if sys.argv[1] in REPLAYS:
        print(json.dumps(replay(REPLAYS[sys.argv[1]], int(sys.argv[2]))))
        sys.exit()
    late: list[float] = []
    {"idle": idle, LOADED: loaded}[sys.argv[1]](late, float(sys.argv[2]))
    late.sort()
    print(
        json.dumps(
            {
                "lateness, p50": late[len(late) // 2] * 1e3,
                "lateness, p99": late[len(late) * 99 // 100] * 1e3,
            }
        )
    )
