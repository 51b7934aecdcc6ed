"""What plot windows, mails with plots, and alarms cost a ticker beside them."""

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys

from alarms import mail_server, rules
from measuring import Options, Table, Target, commands, interleave, scaled
from ticker import idle, ticker

TITLE = "Plots, mails and alarms together"
TEXT = """\
*Lateness* is that of a ticker on a 10 ms grid, as above. Beside it 100 variables are logged ten times a second on disk:
alone, and with all displays of a script at once: four windows of 25 variables each (on a virtual screen; without one as
files), 20 alarms, and every 4 s a mail with the four plots as pictures to a local server. Windows and pictures are drawn by
processes of their own, of low priority."""
LOGGED, SHOWN = "100 variables", "100 variables, windows, mails, alarms"
REMARK = (
    "Nothing of the run waits for what is drawn: a window may be frozen. Where the ticker is late, its thread mostly waits in "
    "the kernel to be woken, while the screen, matplotlib and the mail server want the same two cores; shorter turns of the "
    "threads (1 ms instead of 5) change little."
)
TARGETS = {
    "lateness, p50": [
        Target("≤ 1.05 × idle", LOGGED, 1.05, "idle", REMARK),
        Target("with displays: ≤ 1.05 × idle", SHOWN, 1.05, "idle", REMARK),
    ],
    "lateness, p99": [
        Target("≤ 1.2 × idle", LOGGED, 1.2, "idle", REMARK),
        Target("with displays: ≤ 1.2 × idle", SHOWN, 1.2, "idle", REMARK),
    ],
}
VARIABLES = [f"v{i}" for i in range(100)]


async def log(sesn):
    sesn.add_entry({name: random.gauss(0, 20) for name in VARIABLES})


def logged(late, duration):
    """Let the ticker run beside a session without displays."""
    from pymanip_run import AsyncSession, every

    async def tick(sesn):
        await ticker(late, duration)
        sesn.ask_exit()

    with AsyncSession("data", verbose=False) as sesn:
        sesn.run(every(0.1, log), tick, server_port=None)


def shown(late, duration):
    """Let the ticker run beside a session with all displays."""
    from pymanip_run import AsyncSession, every
    from pymanip_run.alarms.engine import Engine
    from pymanip_run.alarms.watcher import Watcher
    from pymanip_run.clock import as_ns
    from pymanip_run.session import internals

    async def tick(sesn):
        feed = internals(sesn).feed
        watcher = Watcher(Engine(rules(VARIABLES)), feed, lambda: as_ns(sesn.now()), lambda _: None)
        async with watcher:
            watcher.begin()
            await sesn.sleep(scaled(4, 2))  # until the windows are open
            await ticker(late, duration)
        sesn.ask_exit()

    with screen() as has_screen, mail_server() as port, AsyncSession("data", verbose=False) as sesn:
        plots = [sesn.plot(VARIABLES[i::4]) for i in range(4)]
        mails = sesn.send_email("a@b.org", "c@d.org", "127.0.0.1", port, delay_hours=4 / 3600)
        sesn.run(
            every(0.1, log), tick, mails, *plots, server_port=None, offscreen_figures=not has_screen
        )


@contextlib.contextmanager
def screen():
    """Run a virtual screen; yield whether there is one."""
    if shutil.which("Xvfb") is None:
        yield False
        return
    ours, theirs = os.pipe()
    process = subprocess.Popen(
        ["Xvfb", "-displayfd", str(theirs), "-screen", "0", "1600x1200x24", "-nolisten", "tcp"],
        pass_fds=(theirs,), stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(theirs)
    with os.fdopen(ours) as told:
        os.environ["DISPLAY"] = f":{told.readline().strip()}"
    try:
        yield True
    finally:
        process.terminate()
        process.wait()


SUBJECTS = {"idle": idle, LOGGED: logged, SHOWN: shown}


def measure(options: Options) -> list[Table]:
    found = interleave(commands(__file__, SUBJECTS, options, scaled(12, 3)), options.rounds)
    return [
        Table(quantity, "ms", "idle", values=values, targets=TARGETS.get(quantity, ()))
        for quantity, values in found.items()
    ]


if __name__ == "__main__":
    late: list[float] = []
    SUBJECTS[sys.argv[1]](late, float(sys.argv[2]))
    late.sort()
    print(
        json.dumps(
            {
                "lateness, p50": late[len(late) // 2] * 1e3,
                "lateness, p99": late[len(late) * 99 // 100] * 1e3,
                "lateness, most": late[-1] * 1e3,
            }
        )
    )
