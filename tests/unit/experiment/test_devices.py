"""The devices of an experiment file: found, checked, opened around the tasks, made safe."""

import json
import os

import pytest

from pymanip_run.errors import ConfigError, DeviceOpenError
from pymanip_run.experiment.build.plan import prepare
from pymanip_run.experiment.run.running import run_experiment
from pymanip_run.experiment.run.safe import make_safe, running_now
from pymanip_run.registry import RegisteredRun, Registration, registered_runs, unsafe_run
from pymanip_run.session import AsyncSession, RunOptions, SavedAsyncSession
from pymanip_run.session.names import SESSION_NAMES

MODULE = """\
import pathlib

def log(*words):
    with pathlib.Path(__file__).with_name("log.txt").open("a") as file:
        print(*words, file=file)

class Supply:
    def __init__(self, address, channel=1):
        if address == "nowhere":
            raise OSError("no such address")
        self.address = address
        self.volts = 0.0
    def set_voltage(self, value):
        log("voltage", value)
        self.volts = value
    def read(self):
        return self.volts
    @property
    def level(self):
        return self.volts
    @level.setter
    def level(self, value):
        log("level", value)
        self.volts = value
    def set_output(self, on):
        log("output", on)
    def fail(self):
        raise OSError("broken")
    def close(self):
        log("closed")

class FakeSupply:
    def __init__(self, address=None, channel=1, noise=0):
        self.noise = noise
    async def set_voltage(self, value):
        log("fake voltage", value)
        self.volts = value
    async def read(self):
        return self.volts
    async def set_output(self, on):
        log("fake output", on)

class Thermo:
    async def __aenter__(self):
        return self
    async def __aexit__(self, *error):
        log("thermo closed")
    async def read(self):
        return 20.0

def make_thermo():
    return Thermo()

def setup(sesn):
    log("setup")

def teardown(sesn):
    log("teardown", sesn.supply is not None)

async def read(sesn):
    sesn.add_entry(T=await sesn.thermo.read())
    sesn.ask_exit()

async def scan(sesn, value):
    sesn.add_entry(V=await sesn.device_call(sesn.supply.read))

async def ascan(sesn, value):
    sesn.add_entry(V=await sesn.supply.read())

async def fail(sesn):
    raise ValueError("a task failed")

def __getattr__(name):  # as packages have that load their parts when they are asked for
    if name == "Late":
        raise ImportError("no library for Late")
    raise AttributeError(name)
"""
DEVICES = """\
module: tasks.py
devices:
  thermo: {use: Thermo}
  supply:
    use: tasks:Supply
    args: [GPIB0]
    simulate: {use: FakeSupply, kwargs: {noise: 1e-3}}
    safe: {call: set_output, args: [false]}
tasks: [read]
"""
QUIET = RunOptions(handle_signals=False)


@pytest.fixture
def lab(folder):
    """Runs experiments with devices, and tells what was done with these."""

    class Lab:
        def run(self, text=DEVICES, *overrides, module=MODULE):
            folder.write(text, module)
            run_experiment("experiment.yaml", overrides, options=QUIET)
            return self.saved

        @property
        def saved(self):
            return SavedAsyncSession(folder.path / "experiment.h5", verbose=False)

        @property
        def events(self):
            kinds = ("device", "recovery")
            return [f"{e.source}: {e.text}" for e in self.saved.events() if e.kind in kinds]

        @property
        def log(self):
            return (folder.path / "log.txt").read_text().splitlines()

        def complaint(self, text, *, simulated=False):
            folder.write(text, MODULE)
            with (
                pytest.raises(ConfigError) as caught,
                prepare("experiment.yaml", simulated=simulated),
            ):
                raise AssertionError
            return str(caught.value)

    return Lab()


# -- the file -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            ("tasks:Supply", "tasks:Suply"),
            "tasks.py: defines no class or factory 'Suply'; did you mean 'Supply'? "
            "(asked for at experiment.yaml:5:10)",
        ),
        (
            ("args: [GPIB0]", "kwargs: {adress: GPIB0}"),
            "experiment.yaml:6:14: devices.supply.kwargs.adress: "
            "Supply() has no argument 'adress'; did you mean 'address'?",
        ),
        (
            ("args: [GPIB0]", "args: []"),
            "experiment.yaml:4:3: devices.supply: Supply() needs 'address': "
            "give it under 'args' or 'kwargs'",
        ),
        (
            ("args: [GPIB0]", "args: [GPIB0, 1, 2]"),
            "Supply() takes 2 arguments, but 'args' has 3",
        ),
        (
            ("args: [GPIB0]", "args: [GPIB0]\n    kwargs: {address: GPIB1}"),
            "Supply() gets 'address' twice",
        ),
        (
            ("noise: 1e-3", "nois: 1e-3"),
            "devices.supply.simulate.kwargs.nois: FakeSupply() has no argument 'nois'; did you mean 'noise'?",
        ),
        (
            ("call: set_output", "call: set_outptu"),
            "devices.supply.safe.call: Supply has no method 'set_outptu'; did you mean 'set_output'?",
        ),
        (
            ("thermo: {use: Thermo}", "sweep: {use: Thermo}"),
            "experiment.yaml:3:3: devices.sweep: sesn.sweep is a part of the session itself; "
            "give the device another name",
        ),
        (
            ("thermo: {use: Thermo}", "_session: {use: Thermo}"),
            "devices._session: sesn._session is a part of the session itself",
        ),
        (
            ("use: Thermo", "use: Late"),
            "tasks.py: cannot give 'Late': ImportError: no library for Late",
        ),
        (
            ("use: Thermo", "use: serail:Serial"),
            "devices.thermo.use: there is no module 'serail'",
        ),
        (("use: Thermo", "use: MODULE_NAME"), "defines no class or factory 'MODULE_NAME'"),
        (
            ("tasks: [read]", "tasks: {scan: {sweep: {values: [1], set: supply.set_voltge}}}"),
            "tasks.scan.sweep.set: Supply has no method 'set_voltge'; did you mean 'set_voltage'?",
        ),
    ],
)
def test_what_is_wrong_with_a_device_is_told_with_its_place(lab, change, complaint):
    assert complaint in lab.complaint(DEVICES.replace(*change))


INHERITED = """
class Base:
    def __init__(self):
        self.all_off = lambda: None

class Derived(Base):
    def outputs(self): ...

class Open(Base):
    def __init__(self):
        for name in ("reset", "outputs_off"):
            setattr(self, name, print)
"""


@pytest.mark.parametrize(
    ("use", "call", "warned"),
    [
        ("Derived", "all_off", False),
        ("Derived", "zzz", True),
        ("Open", "zzz", False),
        ("collections:deque", "zzz", False),
    ],
)
def test_a_method_that_a_class_does_not_seem_to_have_is_a_warning(folder, use, call, warned):
    folder.write(
        f"module: tasks.py\ntasks: [read]\ndevices: {{d: {{use: '{use}', safe: {call}}}}}\n",
        MODULE + INHERITED,
    )
    with prepare("experiment.yaml") as plan:
        said = [w for w in plan.loaded.warnings if "does not seem to have a method" in w]
    assert len(said) == warned
    if warned:
        assert said[0].endswith("devices.d.safe: Derived does not seem to have a method 'zzz'")


def test_a_rehearsal_needs_what_stands_for_each_device(lab):
    text = lab.complaint(DEVICES, simulated=True)
    assert "experiment.yaml:3:3: devices.thermo: 'simulate' is missing" in text
    assert "simulate: FakeThermo" in text


def test_a_short_simulate_gets_the_arguments_of_the_device(lab, folder):
    text = DEVICES.replace("{use: FakeSupply, kwargs: {noise: 1e-3}}", "FakeSupply").replace(
        "{use: Thermo}", "{use: Thermo, simulate: Thermo}"
    )
    folder.write(text, MODULE)
    with prepare("experiment.yaml", simulated=True) as plan:
        assert [d.make().__class__.__name__ for d in plan.devices] == ["Thermo", "FakeSupply"]
        assert all(device.simulated for device in plan.devices)
    wrong = text.replace("args: [GPIB0]", "kwargs: {address: GPIB0, chanel: 2}")
    assert "without arguments of its own it gets those of the device" in lab.complaint(
        wrong, simulated=True
    )


def test_a_rehearsal_does_not_need_the_drivers_library(folder):
    text = DEVICES.replace("use: tasks:Supply", "use: vendor_library:Supply").replace(
        "{use: Thermo}", "{use: Thermo, simulate: Thermo}"
    )
    folder.write(text, MODULE)
    with prepare("experiment.yaml", simulated=True) as plan:
        assert len(plan.devices) == 2
    with pytest.raises(ConfigError, match="vendor_library"), prepare("experiment.yaml"):
        raise AssertionError


def test_the_names_of_the_session_are_known():
    assert frozenset(n for n in dir(AsyncSession) if not n.startswith("_")) == SESSION_NAMES


# -- the run --------------------------------------------------------------------------------------


def test_devices_are_opened_before_setup_and_made_safe_and_closed_after_teardown(lab):
    saved = lab.run()
    assert saved["T"].last[1] == 20
    assert lab.log == ["setup", "teardown True", "output False", "closed", "thermo closed"]
    assert lab.events == [
        "thermo: opened (Thermo)",
        "supply: opened (tasks:Supply)",
        "supply: safe: output off",
        "supply: closed",
        "thermo: closed",
    ]
    (run,) = registered_runs()
    assert (run.safe_state, run.simulated) == ("done", False)


def test_while_a_run_goes_on_its_devices_are_still_to_be_made_safe(lab):
    look = (
        "async def look(sesn):\n"
        "    from pymanip_run.registry import registered_runs\n"
        "    log('state', registered_runs()[0].safe_state)\n"
        "    sesn.ask_exit()\n"
    )
    lab.run(DEVICES.replace("[read]", "[look]"), module=MODULE + look)
    assert lab.log[1] == "state pending"
    assert registered_runs()[0].safe_state == "done"


def test_the_run_keeps_what_its_devices_were(lab):
    (run,) = lab.run().runs()
    devices = json.loads(run.texts["devices"])
    assert devices[1] == {
        "name": "supply",
        "use": "tasks:Supply",
        "class": "tasks.Supply",
        "simulated": False,
        "blocking": False,
        "required": True,
    }


def test_devices_are_closed_when_a_task_or_setup_fails(lab):
    with pytest.raises(ValueError, match="a task failed"):
        lab.run(DEVICES.replace("[read]", "[fail]"))
    assert lab.log[-4:] == ["teardown True", "output False", "closed", "thermo closed"]
    with pytest.raises(ZeroDivisionError):
        lab.run(DEVICES, module=MODULE.replace('log("setup")', "1 / 0"))
    assert lab.log[-3:] == ["output False", "closed", "thermo closed"]


def test_a_device_that_cannot_be_opened_ends_the_run_with_exit_code_3(lab):
    with pytest.raises(DeviceOpenError) as caught:
        lab.run(DEVICES, 'devices.supply.args=["nowhere"]')
    text = str(caught.value)
    assert "device 'supply' cannot be opened: OSError: no such address" in text
    assert "tasks:Supply, declared at experiment.yaml:4:3" in text
    (run,) = lab.saved.runs()
    assert run.exit_code == 3
    assert (
        run.exit_reason
        == "DeviceOpenError: device 'supply' cannot be opened: OSError: no such address"
    )
    assert lab.log == ["thermo closed"]
    assert "supply: cannot be opened: OSError: no such address" in lab.events


def test_a_device_that_is_not_required_is_none(lab):
    lab.run(DEVICES, 'devices.supply.args=["nowhere"]', "devices.supply.required=false")
    assert lab.log == ["setup", "teardown False", "thermo closed"]
    assert lab.saved.runs()[0].exit_code == 0


SCAN = DEVICES.replace(
    "tasks: [read]", "tasks: {scan: {use: SCAN, sweep: {values: [1, 2], set: supply.METHOD}}}"
)


@pytest.mark.parametrize("method", ["set_voltage", "level"])
@pytest.mark.parametrize(("task", "blocking"), [("scan", "false"), ("ascan", "true")])
def test_a_sweep_sets_its_device_at_each_point(lab, method, task, blocking):
    text = SCAN.replace("SCAN", task).replace("METHOD", method)
    saved = lab.run(text, f"devices.supply.blocking={blocking}")
    assert saved["V"].values.tolist() == [1, 2]
    word = method.removeprefix("set_")
    assert lab.log[1:3] == [f"{word} 1", f"{word} 2"]


def test_a_sweep_without_its_device_fails(lab):
    with pytest.raises(
        Exception,
        match=r"supply.set_voltage cannot be called at this point: supply could not be opened",
    ):
        lab.run(
            SCAN.replace("SCAN", "ascan").replace("METHOD", "set_voltage"),
            'devices.supply.args=["nowhere"]',
            "devices.supply.required=false",
        )
    assert lab.saved.runs()[0].exit_code == 1


# -- after an unclean end -------------------------------------------------------------------------


def left(folder, **changes):
    """Register a run of the experiment that ended as `changes` say."""
    registration = Registration(
        RegisteredRun(
            session="",
            pid=2**22 + 1,  # nobody has it
            host=os.uname().nodename,
            start=changes.pop("start", 1.7e9),
            experiment=str(folder.path / "experiment.yaml"),
        )
    )
    registration.update(**changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "ended without a word"),
        ({"safe_state": "pending"}, "ended without a word"),
        ({"stop": 1.7e9, "safe_state": "failed"}, "could not make its devices safe"),
        ({"stop": 1.7e9, "safe_state": "pending"}, "ended without making its devices safe"),
    ],
)
def test_after_an_unclean_end_the_safe_actions_run_first(lab, folder, changes, words):
    left(folder, **changes)
    lab.run()
    assert lab.log[:3] == ["output False", "setup", "teardown True"]
    assert lab.log.count("output False") == 2
    assert f"(process {2**22 + 1}) {words}: the safe actions are run first" in lab.events[2]
    lab.run()
    assert lab.log[6:] == lab.log[1:6]  # that end was clean


def test_beside_a_run_that_goes_on_nothing_is_made_safe(lab, folder):
    left(folder)
    left(folder, pid=os.getpid(), start=1.75e9)
    lab.run()
    assert lab.log[0] == "setup"


@pytest.mark.parametrize(
    "changes",
    [
        {"stop": 1.7e9},
        {"stop": 1.7e9, "safe_state": "done"},
        {"safe_state": "done"},
        {"simulated": True},
        {"host": "another"},
        {"experiment": "/lab/other.yaml"},
    ],
)
def test_after_a_clean_end_or_that_of_others_they_do_not(lab, folder, changes):
    left(folder, **changes)
    lab.run()
    assert lab.log[0] == "setup"


def test_what_could_not_be_made_safe_is_tried_again_at_the_next_start(lab, folder):
    failing = DEVICES.replace("{call: set_output, args: [false]}", "fail")
    lab.run(failing)
    assert registered_runs()[0].safe_state == "failed"
    with pytest.raises(DeviceOpenError):  # it is not there meanwhile: still to be done
        lab.run(DEVICES, 'devices.supply.args=["nowhere"]')
    before = len(lab.log)
    lab.run()
    assert lab.log[before] == "output False"


def test_a_simulated_run_tells_nothing_about_the_instruments(lab, folder):
    left(folder)
    text = DEVICES.replace("{use: Thermo}", "{use: Thermo, simulate: Thermo}")
    folder.write(text, MODULE)
    with prepare("experiment.yaml", simulated=True) as plan:
        assert plan.devices[1].simulated
        from pymanip_run.experiment.run.running import execute, open_session

        with open_session(plan) as sesn:
            import asyncio

            asyncio.run(execute(plan, sesn, QUIET))
    assert lab.log.count("fake output False") == 1
    assert unsafe_run(str(folder.path / "experiment.yaml")) is not None


# -- pymanip-run safe -----------------------------------------------------------------------------


def test_safe_opens_only_what_has_safe_actions_and_settles_the_matter(lab, folder):
    left(folder)
    folder.write(DEVICES, MODULE)
    with prepare("experiment.yaml") as plan:
        assert running_now(plan) is None
        assert make_safe(plan) == [("supply", "output off", False)]
    assert lab.log == ["output False", "closed"]
    lab.run()
    assert lab.log[2] == "setup"
    assert not list(folder.path.glob("*.h5.*"))


def test_safe_says_what_failed_and_does_the_rest(lab, folder):
    left(folder)
    text = DEVICES.replace(
        "  supply:",
        "  absent: {use: Supply, args: [nowhere], safe: fail}\n"
        "  broken: {use: Supply, args: [x], safe: fail}\n"
        "  supply:",
    )
    folder.write(text, MODULE)
    with prepare("experiment.yaml") as plan:
        outcomes = make_safe(plan)
    assert [(o.device, o.failed) for o in outcomes] == [
        ("absent", True),
        ("broken", True),
        ("supply", False),
    ]
    assert "cannot be opened: OSError: no such address" in outcomes[0].text
    assert outcomes[1].text == "fail: OSError: broken"
    assert unsafe_run(str(folder.path / "experiment.yaml")) is not None


# -- in a rehearsal -------------------------------------------------------------------------------

SLOW = """
import time

class Heater:
    def __init__(self):
        time.sleep(3)
    def read(self):
        time.sleep(5)
        return 1.0
    def off(self):
        time.sleep(1)

def setup(sesn):
    sesn.heater.off()

TASK
"""


@pytest.mark.parametrize(
    "task",
    [
        "async def read(sesn): sesn.add_entry(x=await sesn.heater.read())",
        "def read(sesn): sesn.add_entry(x=sesn.heater.read())",
    ],
    ids=["coroutine", "plain function"],
)
def test_the_threads_of_devices_follow_the_virtual_clock(folder, task):
    from pymanip_run.experiment.rehearsal.rehearse import rehearsed

    folder.write(
        "module: tasks.py\n"
        "devices: {heater: {use: Heater, simulate: Heater, blocking: true, safe: 'off'}}\n"
        "tasks: {read: {every: 20s}}\n",
        SLOW.replace("TASK", task),
    )
    with rehearsed("experiment.yaml", duration=3600) as rehearsal:
        report = rehearsal.report(0)
    assert rehearsal.failure is None
    assert report.variables["x"].n == 180
    assert rehearsal.findings.real_seconds < 10


def test_secrets_of_a_device_are_stored_nowhere(lab, folder, monkeypatch):
    monkeypatch.setenv("LAB_PASSWORD", "hunter2secret")
    module = MODULE + (
        "class Locked:\n"
        "    def __init__(self, password):\n"
        "        self.password = password\n"
        "    def off(self):\n"
        "        raise OSError(f'refused: {self.password}')\n"
        "    def close(self):\n"
        "        raise OSError(f'refused: {self.password}')\n"
    )
    text = DEVICES.replace(
        "  supply:",
        "  locked: {use: Locked, kwargs: {password: '${LAB_PASSWORD}'}, safe: 'off'}\n  supply:",
    )
    lab.run(text, module=module)
    assert "locked: NOT SAFE: off: OSError: refused: ***" in lab.events
    assert "locked: not closed: OSError: refused: ***" in lab.events
    found = [p.name for p in folder.path.rglob("*") if p.is_file() and b"hunter2" in p.read_bytes()]
    assert found == []
