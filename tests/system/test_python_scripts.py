"""Experiments written as Python scripts, as their users write and end them."""

import os
import signal
import time
from pathlib import Path

import pytest


def test_the_published_form_runs_as_it_stands(script, healed):
    process = script("""
        class SomeDevice:
            value = 0

            async def __aenter__(self):
                say("opened")
                return self

            async def __aexit__(self, *_):
                say("released")

            async def aget(self):
                self.value += 1
                return self.value

        async def monitoring_task(sesn):
            some_value = await sesn.some_device.aget()
            sesn.add_entry(some_value=some_value)
            say("logged", some_value)
            await sesn.sleep(10)

        async def main(sesn):
            async with SomeDevice() as sesn.some_device:
                await sesn.monitor(monitoring_task)

        with AsyncSession("a") as sesn:
            asyncio.run(main(sesn))
        """)
    process.wait_for("logged 1")
    process.send(signal.SIGINT)
    assert process.end()[0] == 0
    assert process.lines[:3] == ["opened", "logged 1", "released"]
    assert healed()["some_value"].last[1] == 1


def test_the_subclass_form_runs(script, healed):
    process = script("""
        class Monitoring(AsyncSession):
            count = 0

            async def measure(self):
                self.count += 1
                self.add_entry(count=self.count)
                if self.count == 20:
                    self.ask_exit()
                await self.sleep(0.001, verbose=False)

            async def watch(self):
                while self.running:
                    await self.sleep(0.001)

        with Monitoring("a") as sesn:
            sesn.save_parameter(power=12.0)
            sesn.run(sesn.measure, sesn.watch(), server_port=None)
            t, v = sesn["count"]
            say(len(t), v[-1])
        """)
    assert process.end() == (0, "")
    assert process.lines[0] == "20 20.0"
    sesn = healed()
    assert sesn["count"].size == 20
    assert sesn.parameters() == {"power": 12.0}


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("os._exit(4)", 4),
        ("os.abort()", -signal.SIGABRT),
        ("raise ValueError('x')", 1),
    ],
    ids=["runs out", "sys.exit", "os._exit", "abort", "exception"],
)
def test_a_session_that_nobody_closed_heals_by_itself(script, healed, end, code):
    process = script(f"""
        sesn = AsyncSession("a")
        for i in range(100):
            sesn.add_entry(n=i)
        sesn.add_dataset(d=[1, 2])
        sesn.save_parameter(p="x")
        {end}
        """)
    assert process.end()[0] == code
    sesn = healed()
    assert list(sesn["n"].values) == list(range(100))
    assert (sesn.dataset("d"), sesn.parameter("p")) == ([1, 2], "x")


def test_a_failing_script_closes_its_session_and_shows_its_own_traceback(script, healed):
    process = script("""
        async def measure(sesn):
            sesn.add_entry(n=1)
            raise OSError("the pump does not answer")

        with AsyncSession("a") as sesn:
            asyncio.run(sesn.monitor(measure, server_port=None))
        """)
    code, errors = process.end()
    assert code == 1
    assert errors.splitlines()[-2:] == ["OSError: the pump does not answer", "in task 'measure'"]
    sesn = healed()
    assert sesn["n"].size == 1
    assert (sesn.runs()[0].exit_code, sesn.runs()[0].exit_reason) == (
        1,
        "OSError: the pump does not answer",
    )


def test_a_forked_worker_neither_records_nor_disturbs(script, healed):
    process = script("""
        sesn = AsyncSession("a")
        over = threading.Event()

        def hammer():
            n = 0
            while not over.is_set():
                sesn.add_entry(n=n)
                n += 1
            say("recorded", n)

        thread = threading.Thread(target=hammer)
        thread.start()
        for _ in range(20):  # while the other thread holds the lock most of the time
            pid = os.fork()
            if not pid:
                signal.alarm(10)
                try:
                    sesn.add_entry(forked=1)
                    os._exit(1)
                except UsageError as error:
                    os._exit(0 if "belongs to the parent process" in str(error) else 2)
            _, status = os.waitpid(pid, 0)
            say("worker", os.waitstatus_to_exitcode(status))
        over.set()
        thread.join()
        sesn.close()
        """)
    code, errors = process.end()
    assert (code, errors) == (0, "")
    assert process.lines[:20] == ["worker 0"] * 20
    count = int(process.lines[20].split()[1])
    sesn = healed()
    assert sesn.logged_variables() == {"n"}
    assert list(sesn["n"].values) == list(range(count))


def test_runs_are_registered_where_the_environment_says(script, monkeypatch, tmp_path):
    from pymanip_run.registry import registered_runs

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    process = script("""
        async def measure(sesn):
            say("ready")
            await sesn.sleep(1000)

        with AsyncSession("a") as sesn:
            sesn.run(measure, server_port=None)
        """)
    process.wait_for("ready")
    (run,) = registered_runs()
    assert (run.pid, run.session, run.is_running) == (process.pid, str(tmp_path / "a.h5"), True)
    process.send(signal.SIGINT)
    process.end()
    (run,) = registered_runs()
    assert (run.exit_code, run.exit_reason, run.is_running) == (0, "Ctrl-C", False)


def test_a_killed_run_is_not_running(script, monkeypatch, tmp_path):
    from pymanip_run.registry import registered_runs

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    process = script("""
        async def measure(sesn):
            say("ready")
            await sesn.sleep(1000)

        AsyncSession("a").run(measure, server_port=None)
        """)
    process.wait_for("ready")
    process.send(signal.SIGKILL)
    process.end()
    (run,) = registered_runs()
    assert (run.stop, run.is_running) == (None, False)


FORKS = """
    import multiprocessing

    def work():
        try:
            say("child", os.getpid())
            time.sleep(60)
        except KeyboardInterrupt:
            say("interrupted")
            sys.exit(7)
        say("worked")

    async def measure(sesn):
        child = multiprocessing.get_context("fork").Process(target=work)
        child.start()
        {then}
        await asyncio.to_thread(child.join, 20)
        say("ended", child.exitcode)
        child.kill()
        sesn.ask_exit()

    with AsyncSession() as sesn:
        sesn.run(measure, server_port=None)
    say("stopped", sesn.running)
"""


def wait_until_heard(pid, signum):
    """Wait until a process has taken a signal: two that wait are one."""
    mask = 1 << (signum - 1)
    until = time.monotonic() + 10
    while time.monotonic() < until:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        waiting = [line.split()[1] for line in lines if line.startswith(("SigPnd", "ShdPnd"))]
        if not any(int(each, 16) & mask for each in waiting):
            return
        time.sleep(0.01)
    pytest.fail(f"process {pid} never took signal {signum}")


def test_a_forked_child_of_a_run_can_be_terminated(script):
    process = script(FORKS.format(then="await asyncio.sleep(0.1); child.terminate()"))
    assert process.wait_for("ended") == "ended -15"
    assert process.end() == (0, "")


def test_a_first_ctrl_c_leaves_a_forked_child_to_the_present_step_and_a_second_does_not(script):
    process = script(FORKS.format(then=""))
    pid = int(process.wait_for("child").split()[1])
    os.kill(pid, signal.SIGHUP)
    os.kill(pid, signal.SIGINT)
    wait_until_heard(pid, signal.SIGINT)
    time.sleep(0.2)  # it must not end
    os.kill(pid, signal.SIGINT)
    assert process.wait_for("interrupted")
    assert process.wait_for("ended") == "ended 7"
    assert process.end() == (0, "")


def test_a_script_whose_terminal_is_closed_goes_on_and_says_so_once(script):
    process = script("""
        async def measure(sesn):
            say("ready")
            await sesn.sleep(1000)

        with AsyncSession() as sesn:
            sesn.run(measure, server_port=None)
        """)
    process.wait_for("ready")
    process.send(signal.SIGHUP)
    assert process.next_error() == "the terminal was closed (SIGHUP); the run goes on\n"
    process.send(signal.SIGHUP)
    process.send(signal.SIGINT)
    code, errors = process.end()
    assert code == 0
    assert "SIGHUP" not in errors
