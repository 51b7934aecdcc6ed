"""Ctrl-C and SIGTERM, once, twice and three times, in real processes."""

import signal

import numpy as np
import pytest

TASKS = {
    "sesn.sleep": "await sesn.sleep(1000)",
    "asyncio.sleep": "await asyncio.sleep(1000)",
    "a busy loop": "compute()",
    "time.sleep": "time.sleep(1000)",
}
SCRIPT = """
def compute():
    while True:
        pass

async def task(sesn):
    sesn.add_entry(begun=1)
    say("ready")
    try:
        {body}
    finally:
        say("finally", "asked" if not sesn.running else "")
        sesn.add_entry(finished=1)

with AsyncSession("a") as sesn:
    say_when_asked(sesn)
    try:
        asyncio.run(sesn.monitor(task, server_port=None))
        say("returned")
    finally:
        restored = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        say("restored", restored and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
say("closed")
"""
BOTH = pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
HINTS = {
    signal.SIGINT: "Ctrl-C: finishing the present step; press Ctrl-C again to cancel it\n",
    signal.SIGTERM: "SIGTERM: finishing the present step; send SIGTERM again, or press Ctrl-C, to cancel it\n",
}


def name_of(signum):
    return "Ctrl-C" if signum == signal.SIGINT else "SIGTERM"


@BOTH
def test_the_first_lets_the_present_step_finish_and_the_script_goes_on(script, healed, signum):
    process = script(SCRIPT.format(body=TASKS["sesn.sleep"]))
    process.wait_for("ready")
    process.send(signum)
    code, errors = process.end()
    assert (code, errors) == (0, HINTS[signum])
    for line in ("returned", "restored True", "closed"):
        assert line in process.lines
    sesn = healed()
    assert sesn["begun"].size == sesn["finished"].size == 1
    (run,) = sesn.runs()
    assert (run.exit_code, run.exit_reason) == (0, name_of(signum))


@BOTH
@pytest.mark.parametrize(
    "body",
    [TASKS[t] for t in ("asyncio.sleep", "a busy loop", "time.sleep")],
    ids=lambda b: b.split("(")[0],
)
def test_the_second_cancels_and_raises_keyboard_interrupt(script, healed, body, signum):
    process = script(SCRIPT.format(body=body))
    process.wait_for("ready")
    process.send(signum)
    process.wait_for("asked")
    process.send(signum)
    code, errors = process.end()
    assert code == -signal.SIGINT  # so Python ends after a KeyboardInterrupt
    assert "KeyboardInterrupt" in errors
    assert "returned" not in process.lines
    assert "restored True" in process.lines
    sesn = healed()
    assert sesn["begun"].size == sesn["finished"].size == 1
    (run,) = sesn.runs()
    assert run.exit_code == 128 + signum
    assert name_of(signum) in run.exit_reason


def test_the_first_says_how_to_go_on(script):
    process = script(SCRIPT.format(body=TASKS["asyncio.sleep"]))
    process.wait_for("ready")
    process.send(signal.SIGINT)
    assert process.next_error() == HINTS[signal.SIGINT]  # it waits until it has said so
    process.send(signal.SIGINT)
    assert process.end()[0] == -signal.SIGINT


def test_the_second_ends_a_setup_that_blocks_and_is_announced(script, healed):
    process = script("""
        import logging
        from pathlib import Path
        from pymanip_run.experiment.run.running import run_experiment

        class Tell(logging.Handler):
            def emit(self, record):
                say(record.getMessage())

        logging.getLogger().addHandler(Tell())
        Path("a.yaml").write_text("module: a.py\\ntasks: [read]\\n")
        Path("a.py").write_text("import os, time\\nasync def read(): ...\\n"
            "def setup():\\n    os.write(1, b'ready\\\\n')\\n    time.sleep(1000)\\n")
        try:
            run_experiment("a.yaml")
        except KeyboardInterrupt:
            say("interrupted")
        """)
    process.wait_for("ready")
    process.send(signal.SIGINT)
    assert "press Ctrl-C again" in process.wait_for("Ctrl-C: finishing")
    process.send(signal.SIGINT)
    assert process.end()[0] == 0
    assert "interrupted" in process.lines
    (run,) = healed().runs()
    assert run.exit_code == 130


def test_the_second_ends_a_script_whose_thread_does_not_return(script, healed):
    process = script("""
        def read():
            say("ready")
            time.sleep(1000)

        async def task(sesn):
            sesn.add_entry(n=1)
            await asyncio.to_thread(read)

        with AsyncSession("a") as sesn:
            say_when_asked(sesn)
            asyncio.run(sesn.monitor(task, server_port=None))
        """)
    process.wait_for("ready")
    process.send(signal.SIGINT)
    process.wait_for("asked")
    process.send(signal.SIGINT)
    code, errors = process.end()
    assert code == 130
    assert "KeyboardInterrupt" in errors
    assert errors.rstrip().endswith("in read; the process ends without it")
    assert healed()["n"].size == 1
    assert healed().runs()[0].exit_code == 130


STUBBORN = """
async def task(sesn):
    for i in range(500):
        sesn.add_entry(n=i)
    say("ready")
    while True:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            say("cancelled")

with AsyncSession("a") as sesn:
    say_when_asked(sesn)
    asyncio.run(sesn.monitor(task, server_port=None))
"""


@BOTH
def test_the_third_ends_the_process_at_once_and_no_entry_is_lost(script, healed, signum):
    process = script(STUBBORN)
    for word in ("ready", "asked", "cancelled"):
        process.wait_for(word)
        process.send(signum)
    code, _ = process.end()
    assert code == 128 + signum
    assert list(healed()["n"].values) == list(range(500))


def test_a_kill_loses_no_entry_and_the_file_heals_by_itself(script, healed):
    process = script(STUBBORN)
    process.wait_for("ready")
    process.send(signal.SIGKILL)
    assert process.end()[0] == -signal.SIGKILL
    assert list(healed()["n"].values) == list(range(500))


def test_an_interrupt_outside_a_run_closes_the_session(script, healed):
    process = script("""
        with AsyncSession("a") as sesn:
            sesn.add_entry(n=1)
            say("ready")
            time.sleep(1000)
        """)
    process.wait_for("ready")
    process.send(signal.SIGINT)
    code, errors = process.end()
    assert code == -signal.SIGINT
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert healed()["n"].size == 1


def test_interrupts_at_any_moment_lose_and_invent_nothing(script, healed, tmp_path):
    process = script("""
        import json

        acknowledged, interrupts, armed, over = [], 0, False, threading.Event()

        def interrupted(*_):
            global armed
            if armed:  # only within add_entry, and once
                armed = False
                raise KeyboardInterrupt

        def interrupt():
            while not over.wait(0.0005):
                os.kill(os.getpid(), signal.SIGINT)

        signal.signal(signal.SIGINT, interrupted)
        sesn = AsyncSession("a")
        thread = threading.Thread(target=interrupt)
        thread.start()
        for n in range(30_000):
            try:
                armed = True
                sesn.add_entry(n=n, **{f"own_{n % 7}": n})
                armed = False
                acknowledged.append(n)
            except KeyboardInterrupt:
                interrupts += 1
        over.set()
        thread.join()
        sesn.close()
        say(interrupts)
        json.dump(acknowledged, open("acknowledged.json", "w"))
        """)
    code, errors = process.end()
    assert (code, errors) == (0, "")
    assert int(process.lines[0]) > 20
    acknowledged = np.loadtxt([(tmp_path / "acknowledged.json").read_text()[1:-1]], delimiter=",")
    t, n = healed()["n"]
    assert np.all(np.diff(t) > 0)
    assert np.all(np.diff(n) > 0)
    assert set(acknowledged) <= set(n)
    assert len(n) - len(acknowledged) <= int(process.lines[0])


def test_calls_that_hang_in_threads_of_asyncio_keep_neither_others_nor_the_end(script, healed):
    process = script("""
        async def read(sesn):
            await asyncio.to_thread(time.sleep, 1000)

        async def other(sesn):
            sesn.add_entry(n=1)
            await sesn.aadd_dataset(frame=[1, 2, 3])
            if sesn["n"].size == 30:
                sesn.ask_exit("enough")

        with AsyncSession("a") as sesn:
            asyncio.run(
                sesn.monitor(
                    every(0.02, read, timeout=0.02, on_error={"then": "continue"}),
                    every(0.02, other),
                    server_port=None,
                )
            )
            say("returned")
        """)
    process.wait_for("returned")
    code, errors = process.end()
    assert code == 0
    assert "the process ends without it" in errors
    sesn = healed()
    assert sesn["n"].size == len(sesn.dataset_times("frame")) == 30
    (run,) = sesn.runs()
    assert (run.exit_code, run.exit_reason) == (0, "enough")
