"""Real signals, in processes of their own."""

import asyncio
import ctypes
import signal
import threading
import time

import pytest

from pymanip_run.runtime.interrupts import Interrupts

RUN = """
import asyncio, logging, signal
from pymanip_run.runtime.interrupts import Interrupts
from pymanip_run.runtime.stop import StopSignal
from pymanip_run.runtime.supervise import Supervisor
from pymanip_run.runtime.tasks import normalise

stop = StopSignal()
supervisor = Supervisor(stop, patience=5.0)

def first(signum):
    supervisor.interrupt(signum)
    say(f"first {signum}")

def second(signum):
    say(f"second {signum}")
    supervisor.force(signum)

async def main(*tasks):
    interrupts = Interrupts(
        first, second, on_third=lambda n: say("third"), on_hangup=lambda n: say("hung up")
    )
    with interrupts:
        await supervisor.run(normalise(tasks, stop))

def start(*tasks):
    try:
        asyncio.run(main(*tasks))
    except KeyboardInterrupt:
        say("interrupted")
    say(f"{stop.reason} {stop.exit_code}")
    raise SystemExit(stop.exit_code)

async def sleeping(stop):
    say("sleeping")
    await stop.sleep(3600)
    say("slept")
"""

HANG = """
async def hanging():
    try:
        asyncio.get_running_loop().call_soon(say, "hanging")  # when we already wait
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0.01)
        say("cleaned up")
start(hanging)
"""


@pytest.fixture
def untouched():
    """Fail a test that changed a handler of this process."""
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    yield
    assert before == [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]


@pytest.mark.parametrize(
    ("signum", "name"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")]
)
def test_the_first_signal_lets_the_step_end_though_the_loop_is_idle(child, signum, name):
    with child(RUN + "start(sleeping)") as run:
        run.wait_for("sleeping")
        run.send(signum)
        assert run.end() == 0
    assert run.lines == ["sleeping", f"first {signum:d}", "slept", f"{name} 0"]


def test_the_second_signal_cancels_and_interrupts(child):
    with child(RUN + HANG) as run:
        run.wait_for("hanging")
        run.send(signal.SIGINT)
        run.wait_for("first 2")
        run.send(signal.SIGINT)
        assert run.end() == 130
    assert run.lines[2:] == ["second 2", "cleaned up", "interrupted", "Ctrl-C 130"]


def test_interrupt_and_termination_count_together(child):
    with child(RUN + HANG) as run:
        run.wait_for("hanging")
        run.send(signal.SIGINT)
        run.wait_for("first 2")
        run.send(signal.SIGTERM)
        assert run.end() == 143
    assert run.lines[2:] == ["second 15", "cleaned up", "interrupted", "Ctrl-C 143"]


BUSY = """
async def busy():
    try:
        say("busy")
        while True:
            pass
    finally:
        say("left")
start(busy, sleeping)
"""


def test_the_second_signal_ends_a_step_that_holds_the_loop(child):
    with child(RUN + BUSY) as run:
        run.wait_for("busy")
        run.send(signal.SIGINT)
        run.wait_for("first 2")
        run.send(signal.SIGINT)
        assert run.end() == 130
    assert run.lines[2:] == ["second 2", "left", "interrupted", "Ctrl-C 130"]


def test_a_second_signal_within_the_handler_of_the_first_ends_it_too(child):
    # Both at once, as from a wrapper that passes Ctrl-C on: the handler is itself interrupted.
    nested = """
def first(signum):
    signal.raise_signal(signal.SIGTERM)
    supervisor.interrupt(signum)
"""
    with child(RUN + nested + BUSY) as run:
        run.wait_for("busy")
        run.send(signal.SIGINT)
        assert run.end() == 143
    assert run.lines[1:] == ["second 15", "left", "interrupted", "SIGTERM 143"]


def test_the_second_signal_ends_a_blocking_call(child):
    code = """
import time
async def blocking():
    say("blocking")
    time.sleep(3600)
start(blocking)
"""
    with child(RUN + code) as run:
        run.wait_for("blocking")
        run.wait_until_blocked()
        run.send(signal.SIGTERM)
        run.wait_for("first 15")
        run.wait_until_blocked()
        run.send(signal.SIGTERM)
        assert run.end() == 143
    assert run.lines[2:] == ["second 15", "interrupted", "SIGTERM 143"]


def test_the_second_signal_ends_a_call_that_blocks_only_since_the_first(child):
    code = """
import time
async def blocking_later(stop):
    say("sleeping")
    await stop.sleep(3600)
    await asyncio.sleep(0.05)  # the loop has turned since the signal
    say("blocking")
    time.sleep(3600)
start(blocking_later)
"""
    with child(RUN + code) as run:
        run.wait_for("sleeping")
        run.send(signal.SIGINT)
        run.wait_for("blocking")
        time.sleep(0.3)  # as people do; it must be held for some time
        run.wait_until_blocked()
        run.send(signal.SIGINT)
        assert run.end() == 130
    assert run.lines[3:] == ["second 2", "interrupted", "Ctrl-C 130"]


def test_the_second_signal_raises_nothing_while_the_loop_turns(child):
    code = """
async def turning():
    signal.raise_signal(signal.SIGINT)
    await asyncio.sleep(0.01)
    try:
        signal.raise_signal(signal.SIGINT)
        say("undisturbed")
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        say("cancelled")
start(turning)
"""
    with child(RUN + code) as run:
        assert run.end() == 130
    assert run.lines[1:] == ["second 2", "undisturbed", "cancelled", "interrupted", "Ctrl-C 130"]


def test_who_holds_the_loop_is_told_though_it_does_not_turn(child):
    code = """
import time
class Tell(logging.Handler):
    def emit(self, record):
        say(record.getMessage())
logging.getLogger().addHandler(Tell())
async def read():
    say("blocking")
    time.sleep(3600)
start(read)
"""
    with child(RUN + code) as run:
        run.wait_for("blocking")
        run.wait_until_blocked()
        run.send(signal.SIGINT)
        run.wait_for("first 2")
        line = run.next_line()
        run.send(signal.SIGINT)
        assert run.end() == 130
    assert line.startswith(
        "Ctrl-C: finishing the present step, which holds all others at <string>:"
    )
    assert line.endswith(" in read; press Ctrl-C again to cancel it")
    assert run.lines[-3:] == ["second 2", "interrupted", "Ctrl-C 130"]


def test_a_thread_that_does_not_return_does_not_keep_the_process(child):
    code = """
import time
from pymanip_run.runtime import stuck
stuck.PATIENCE = 0.1
def read():
    say("in a thread")
    time.sleep(3600)
async def task():
    await asyncio.to_thread(read)
class Tell(logging.Handler):
    def emit(self, record):
        say(record.getMessage())
logging.getLogger().addHandler(Tell())
start(task)
"""
    with child(RUN + code) as run:
        run.wait_for("in a thread")
        run.send(signal.SIGTERM)
        run.wait_for("first 15")
        run.send(signal.SIGTERM)
        assert run.end() == 143
    assert run.lines[-3:-1] == ["interrupted", "SIGTERM 143"]
    assert run.lines[-1].startswith("a call in a thread does not return, at <string>:")
    assert run.lines[-1].endswith(" in read; the process ends without it")


@pytest.mark.parametrize("pool", ["ThreadPoolExecutor", "ProcessPoolExecutor"])
def test_a_call_in_a_pool_of_the_user_that_does_not_return_does_not_keep_the_process(child, pool):
    code = f"""
import time
from concurrent.futures import {pool}
from pymanip_run.runtime import stuck
stuck.PATIENCE = 0.1
async def task():
    global pool
    pool = {pool}(1)
    await asyncio.get_running_loop().run_in_executor(pool, say, "in a pool")
    await asyncio.get_running_loop().run_in_executor(pool, time.sleep, 3600)
start(task)
"""
    with child(RUN + code) as run:
        run.wait_for("in a pool")
        run.send(signal.SIGTERM)
        run.wait_for("first 15")
        run.send(signal.SIGTERM)
        assert run.end() == 143


def test_runs_leave_no_thread_behind(child):
    # In a process of its own: the loops of other libraries have threads that stay.
    code = """
import asyncio, threading, time
from pymanip_run.runtime.stop import StopSignal
from pymanip_run.runtime.supervise import Supervisor
from pymanip_run.runtime.tasks import normalise

async def run():
    stop = StopSignal()
    async def step():
        await asyncio.to_thread(stop.request)
    await Supervisor(stop, force_after_grace=True).run(normalise([step], stop))

before = set(threading.enumerate())
for _ in range(3):
    asyncio.run(run())
deadline = time.monotonic() + 10
while left := set(threading.enumerate()) - before:
    assert time.monotonic() < deadline, left
    time.sleep(0.01)
print("none")
"""
    with child(code) as run:
        assert run.end() == 0
    assert run.lines == ["none"]


def test_threads_of_the_user_are_waited_for_as_ever(child):
    code = """
import threading, time
from pymanip_run.runtime import stuck
stuck.PATIENCE = 0.05
ended = threading.Event()
def write():
    ended.wait()
    time.sleep(0.5)
    say("written")
async def task():
    threading.Thread(target=write).start()
    await asyncio.to_thread(lambda: (say("in a thread"), time.sleep(3600)))
try:
    start(task)
finally:
    ended.set()
"""
    with child(RUN + code) as run:
        run.wait_for("in a thread")
        run.send(signal.SIGINT)
        run.wait_for("first 2")
        run.send(signal.SIGINT)
        assert run.end() == 130
    assert run.lines[-1] == "written"


def test_a_signal_that_does_not_interrupt_the_wait_of_the_loop_ends_it_all_the_same(child):
    # As one that comes just before the wait begins. Sent to another thread, it is so each time.
    code = """
import threading

from pathlib import Path

def is_waiting():
    return Path(f"/proc/self/task/{os.getpid()}/stat").read_text().rpartition(")")[2].split()[0] == "S"

def send():
    for _ in range(20):  # not only for the lock of the interpreter
        while not is_waiting():
            pass
    say("sending")
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
    threading.Event().wait()

async def idle(stop):
    asyncio.get_running_loop().call_soon(threading.Thread(target=send, daemon=True).start)
    await stop.sleep(3600)
start(idle)
"""
    with child(RUN + code) as run:
        assert run.end() == 0
    assert run.lines == ["sending", "first 2", "Ctrl-C 0"]


def test_the_second_signal_ends_a_child_task_that_holds_the_loop(child):
    code = """
async def parent():
    try:
        await asyncio.gather(blocking())
    finally:
        say("cleaned up")

async def blocking():
    say("blocking")
    while True:
        pass
start(parent)
"""
    with child(RUN + code) as run:
        run.wait_for("blocking")
        run.send(signal.SIGINT)
        run.wait_for("first 2")
        run.send(signal.SIGINT)
        assert run.end() == 130
    assert run.lines[2:] == ["second 2", "cleaned up", "interrupted", "Ctrl-C 130"]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_the_third_signal_ends_the_process_at_once(child, signum):
    code = """
async def stubborn():
    try:
        say("stubborn")
        while True:
            pass
    except KeyboardInterrupt:
        say("swallowed")
    while True:
        pass
start(stubborn)
"""
    with child(RUN + code) as run:
        run.wait_for("stubborn")
        run.send(signal.SIGINT)
        run.wait_for("first 2")
        run.send(signal.SIGINT)
        run.wait_for("swallowed")
        run.send(signum)
        assert run.end() == 128 + signum
    assert run.lines[-1] == "third"


STUCK = """
import ctypes, os
def stuck():
    library, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)
    library.pthread_mutex_lock(mutex)
    library.pthread_mutex_lock(mutex)
"""


@pytest.mark.parametrize("when", ["from the first on", "since the second"])
def test_the_third_signal_ends_a_process_that_is_in_a_call_in_c_that_never_returns(child, when):
    """No handler of Python runs then."""
    code = (
        STUCK
        + """
async def task():
    say("stuck")
    stuck()
async def deaf():
    say("begun")
    try:
        await asyncio.sleep(3600)
    finally:
        say("stuck")
        stuck()
logging.basicConfig(level=logging.WARNING)
"""
    )
    from_the_first = when == "from the first on"
    with child(RUN + code + f"start({'task' if from_the_first else 'deaf'})") as run:
        run.wait_for("stuck" if from_the_first else "begun")
        run.send(signal.SIGINT)
        if not from_the_first:
            run.wait_for("first 2")
        time.sleep(0.7)  # so that the next signal is not the same one
        run.send(signal.SIGINT)
        time.sleep(0.7)
        run.send(signal.SIGTERM)
        assert run.end() == 143
    assert run.lines[-1] == "third"


def test_signals_to_forked_children_are_not_taken_for_those_of_the_run(child):
    code = """
import ctypes, os
async def task():
    for _ in range(4):
        if not (pid := os.fork()):
            say("forked")
            signal.pause()
        pids.append(pid)
    await stop.sleep(3600)
pids = []
async def kill():
    while len(pids) < 4:
        await asyncio.sleep(0.01)
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    ctypes.CDLL(None).usleep(900_000)  # no handler would run
    stop.request("enough")
start(task, kill())
"""
    with child(RUN + code) as run:
        assert run.end() == 0
    assert run.lines[-1] == "enough 0"


def test_a_third_step_that_fails_ends_the_process_all_the_same(child):
    code = """
import signal
from pymanip_run.runtime.interrupts import Interrupts
with Interrupts(print, print, on_third=lambda n: 1 / 0):
    for _ in range(3):
        signal.raise_signal(signal.SIGINT)
"""
    with child(code) as run:
        assert run.end() == 130


def test_a_lost_terminal_does_not_end_the_run(child):
    with child(RUN + "start(sleeping)") as run:
        run.wait_for("sleeping")
        run.send(signal.SIGHUP)
        run.wait_for("hung up")
        run.send(signal.SIGHUP)
        run.wait_for("hung up")
        run.send(signal.SIGINT)
        assert run.end() == 0


def test_ctrl_c_works_where_a_script_had_it_ignored(child):
    with child(RUN + "start(sleeping)", ignored=[signal.SIGINT]) as run:
        run.wait_for("sleeping")
        run.send(signal.SIGINT)
        assert run.end() == 0
    assert "Ctrl-C 0" in run.lines


def test_nohup_stays_in_force(child):
    code = RUN + "start(sleeping)"
    with child(code, ignored=[signal.SIGHUP]) as run:
        run.wait_for("sleeping")
        run.send(signal.SIGHUP)
        run.send(signal.SIGINT)
        assert run.end() == 0
    assert "hung up" not in run.lines


def nothing(signum):
    pass


@pytest.mark.parametrize("handler", [signal.SIG_DFL, signal.SIG_IGN, lambda *_: None])
def test_handlers_are_given_back(untouched, handler):
    before = signal.signal(signal.SIGINT, handler)
    try:
        with Interrupts(nothing, nothing) as interrupts:
            assert signal.getsignal(signal.SIGINT) == interrupts._interrupted
            assert signal.getsignal(signal.SIGTERM) == interrupts._interrupted
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_handlers_are_given_back_after_an_error(untouched):
    with pytest.raises(OSError, match="broken"), Interrupts(nothing, nothing):
        raise OSError("broken")


def test_runs_may_be_nested(untouched):
    outer, inner = [], []
    with Interrupts(outer.append, outer.append):
        with Interrupts(inner.append, inner.append):
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
    assert (outer, inner) == ([signal.SIGTERM], [signal.SIGINT])


def test_an_exception_of_a_callback_is_raised_where_the_signal_came(untouched):
    def fail(signum):
        raise KeyboardInterrupt

    with Interrupts(nothing, fail) as interrupts:
        signal.raise_signal(signal.SIGINT)
        assert interrupts.count == 1
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_outside_the_main_thread_nothing_is_done(untouched):
    seen = []

    def run():
        with Interrupts(nothing, nothing):
            seen.append(signal.getsignal(signal.SIGINT))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [before]


def action_of(signum):
    """What the system has noted of a signal: handler, flags, mask."""
    action = ctypes.create_string_buffer(512)
    assert ctypes.CDLL(None).sigaction(signum, None, action) == 0
    return action.raw[:16], action.raw[136:140]  # the rest of the mask is not filled in


def test_the_flags_of_handlers_are_given_back(untouched):
    signal.siginterrupt(signal.SIGTERM, False)
    before = action_of(signal.SIGTERM)
    with Interrupts(nothing, nothing):
        assert action_of(signal.SIGTERM) != before
    assert action_of(signal.SIGTERM) == before
    signal.siginterrupt(signal.SIGTERM, True)


NATIVE = """
import ctypes, os, signal
from pymanip_run.runtime.interrupts import Interrupts

HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_int)
heard = []
handler = HANDLER(heard.append)
ctypes.CDLL(None).signal(signal.SIGTERM, handler)
for _ in range(2):
    with Interrupts(lambda n: None, lambda n: None):
        os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
say(heard)
"""


def test_a_handler_of_a_c_library_is_given_back_each_time(child):
    with child(NATIVE) as run:
        assert run.end() == 0
    assert run.lines == ["[15, 15]"]


async def test_the_wake_up_descriptor_is_given_back():
    with Interrupts(nothing, nothing):
        ours = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(ours, warn_on_full_buffer=False)
        assert ours != -1
    assert signal.set_wakeup_fd(-1) == -1


async def test_the_wake_up_descriptor_of_a_loop_that_has_one_is_left_alone():
    loop = asyncio.get_running_loop()
    heard = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, heard.set)
    try:
        with Interrupts(nothing, nothing):
            signal.raise_signal(signal.SIGUSR1)
            async with asyncio.timeout(5):
                await heard.wait()
        heard.clear()
        signal.raise_signal(signal.SIGUSR1)
        async with asyncio.timeout(5):
            await heard.wait()
    finally:
        loop.remove_signal_handler(signal.SIGUSR1)


async def test_a_wake_up_descriptor_that_came_during_the_run_stays():
    loop = asyncio.get_running_loop()
    heard = asyncio.Event()
    with Interrupts(nothing, nothing):
        loop.add_signal_handler(signal.SIGUSR1, heard.set)
    try:
        signal.raise_signal(signal.SIGUSR1)
        async with asyncio.timeout(5):
            await heard.wait()
    finally:
        loop.remove_signal_handler(signal.SIGUSR1)
