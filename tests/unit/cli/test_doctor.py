"""``pymanip-run doctor``: it finds what is wrong, says the cure, and never hangs."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

import pymanip_run
from pymanip_run.checkup import clocks, folders, instruments, versions
from pymanip_run.checkup.finding import Finding, Look, all_findings, output_of
from pymanip_run.registry import RegisteredRun, Registration

PROJECT = Path(pymanip_run.__file__).parent.parent
ENVIRONMENT = os.environ | {"PYTHONPATH": str(PROJECT)}


def doctor(*arguments, cwd, **environment):
    return subprocess.run(
        [sys.executable, "-m", "pymanip_run", "doctor", *map(str, arguments)],
        cwd=cwd, capture_output=True, text=True, timeout=60, check=False,
        env=ENVIRONMENT | {"XDG_STATE_HOME": os.environ["XDG_STATE_HOME"]} | environment,
    )  # fmt: skip


def level(findings, subject):
    return [finding.level for finding in findings if finding.subject == subject]


def test_a_computer_that_is_fit_is_said_to_be(tmp_path):
    done = doctor(cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^ok       Python +3\.", done.stdout, re.M)
    assert re.search(r"^ok       h5py +\d.* with HDF5 \d", done.stdout, re.M)
    assert re.search(r"^ok       file locks +work here", done.stdout, re.M)
    assert re.search(rf"^(ok|WARNING) +folder {tmp_path} .* free", done.stdout, re.M)
    assert "fit to measure" in done.stdout.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_json_has_the_same(tmp_path):
    done = doctor(tmp_path, "--json", cwd=tmp_path, HDF5_USE_FILE_LOCKING="FALSE")
    told = json.loads(done.stdout)
    assert told["fit"] is True
    (finding,) = [f for f in told["findings"] if f["subject"] == "HDF5 locks"]
    assert (finding["level"], finding["cure"]) == ("warning", "unset HDF5_USE_FILE_LOCKING")


def test_what_is_broken_is_exit_1_with_the_cure(tmp_path):
    (tmp_path / "state").write_text("a file in the way")
    done = doctor(cwd=tmp_path, XDG_STATE_HOME=str(tmp_path / "state"))
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    index = next(i for i, line in enumerate(lines) if line.startswith("BROKEN   state"))
    assert lines[index + 1].strip().startswith("mkdir -p -m 700")
    assert lines[-1].startswith("1 broken")


def test_a_folder_that_is_not_there_is_exit_2(tmp_path):
    done = doctor("nowhere", cwd=tmp_path)
    assert done.returncode == 2
    assert "mkdir -p nowhere" in done.stderr


# -- looks --------------------------------------------------------------------------------------


def test_a_look_that_hangs_or_fails_is_told_and_the_others_go_on():
    began = time.monotonic()
    found = all_findings(
        [
            Look("hanging", lambda: time.sleep(30), "unplug it"),
            Look("failing", lambda: 1 / 0),
            Look("quick", lambda: [Finding("quick", "ok", "here")]),
        ],
        0.2,
    )
    assert time.monotonic() - began < 5
    assert [(f.subject, f.level) for f in found] == [
        ("hanging", "warning"), ("failing", "warning"), ("quick", "ok"),
    ]  # fmt: skip
    assert (found[0].text, found[0].cure) == ("does not answer in time", "unplug it")
    assert "ZeroDivisionError" in found[1].text


def test_a_program_that_hangs_fails_or_is_missing_gives_nothing():
    assert output_of([sys.executable, "-c", "print(1)"], 20) == "1\n"
    assert output_of([sys.executable, "-c", "import time; time.sleep(30)"], 0.1) is None
    assert output_of([sys.executable, "-c", "print(1); raise SystemExit(3)"], 20) is None
    assert output_of(["a-program-that-nobody-has"], 1) is None


def test_the_packages_are_those_of_the_project():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    asked = {f"{name}>={least}" for name, (_, least) in versions.REQUIRED.items()}
    assert asked == set(project["dependencies"])
    optional = project["optional-dependencies"]
    for extra, (names, _) in versions.EXTRAS.items():
        assert {re.split(r"[\[>=<]", one)[0] for one in optional[extra]} == set(names)
    assert optional["all"] == [f"pymanip-run[{','.join(versions.EXTRAS)}]"]
    assert project["requires-python"] == ">=" + ".".join(map(str, versions.MIN_PYTHON))


def test_a_package_that_is_missing_broken_or_old_is_told(monkeypatch):
    monkeypatch.setattr(
        versions, "REQUIRED",
        {"nosuchpackage": ("nosuchpackage", "1.0"), "numpy": ("numpy", "99.0"), "rich": ("rich", "1.0")},
    )  # fmt: skip
    _, missing, old, fine = versions.look_at_packages("1.0")
    assert (missing.level, missing.cure) == ("broken", "pip install 'nosuchpackage>=1.0'")
    assert (old.level, old.cure) == ("warning", "pip install 'numpy>=99.0'")
    assert fine.level == "ok"


def test_an_extra_that_is_not_there_tells_how_to_get_it(monkeypatch):
    monkeypatch.setattr(
        versions, "EXTRAS", {"plot": (("nosuchpackage",), "figures"), "x": (("rich",), "y")}
    )
    absent, there = versions.extras()
    assert (absent.level, absent.cure) == ("absent", "pip install 'pymanip-run[plot]'")
    assert absent.text == "figures: nosuchpackage is not installed"
    assert there.level == "ok"


def test_device_files_are_told_once_and_under_their_lasting_name(tmp_path, monkeypatch):
    (tmp_path / "serial" / "by-id").mkdir(parents=True)
    (tmp_path / "ttyUSB0").touch()
    (tmp_path / "ttyACM3").touch()
    (tmp_path / "serial" / "by-id" / "usb-Keithley").symlink_to(tmp_path / "ttyUSB0")
    monkeypatch.setattr(instruments, "DEVICES", tmp_path)
    found = instruments.look_at_serial()
    assert [f.text for f in found] == [
        f"{tmp_path}/serial/by-id/usb-Keithley → ttyUSB0", f"{tmp_path}/ttyACM3",
    ]  # fmt: skip
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert {f.level for f in instruments.look_at_serial()} == {"warning"}
    assert "sudo usermod -aG" in instruments.look_at_serial()[0].cure
    monkeypatch.setattr(instruments, "DEVICES", tmp_path / "none")
    assert [f.text for f in instruments.look_at_serial()] == ["no instrument found"]


def test_a_visa_library_that_hangs_is_left(monkeypatch):
    monkeypatch.setattr(instruments, "find_spec", lambda _: True)
    monkeypatch.setattr(instruments, "LIST", "import time; time.sleep(30)")
    (found,) = instruments.look_at_visa(0.2)
    assert found.level == "warning"
    monkeypatch.setattr(
        instruments, "LIST", "print('noise'); print('[\"lib\", [\"GPIB0::8::INSTR\"]]')"
    )
    assert [f.text for f in instruments.look_at_visa(20)] == ["GPIB0::8::INSTR"]
    monkeypatch.setattr(instruments, "LIST", "print('[\"lib\", []]')")
    assert [f.text for f in instruments.look_at_visa(20)] == ["no instrument found by lib"]
    monkeypatch.setattr(instruments, "find_spec", lambda _: None)
    assert [f.level for f in instruments.look_at_visa(20)] == ["absent"]


def test_the_clocks_are_looked_at():
    wall, monotonic = clocks.look_at_clocks()
    assert wall.level in ("ok", "warning", "absent")
    assert monotonic.level in ("ok", "warning")
    assert "ns a reading" in monotonic.text


@pytest.mark.parametrize(
    ("free", "expected"), [(10_000_000, "broken"), (500_000_000, "warning"), (10**11, "ok")]
)
def test_little_room_is_told(tmp_path, monkeypatch, free, expected):
    monkeypatch.setattr(folders, "_file_system", lambda _: "ext4")
    monkeypatch.setattr(folders.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    assert level(folders.look_at_folder(tmp_path), f"folder {tmp_path}") == [expected]


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "tmpfs"])
def test_a_file_system_that_is_none_for_months_is_told(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(folders, "_file_system", lambda _: kind)
    found = folders.look_at_folder(tmp_path)
    assert level(found, f"folder {tmp_path}") == ["warning"]
    assert kind in found[0].text


def test_the_file_system_of_a_folder_is_found(tmp_path):
    assert folders._file_system(Path("/proc")) == "proc"


def test_locks_that_do_not_work_are_broken(tmp_path, monkeypatch):
    assert level(folders.look_at_folder(tmp_path), "file locks") == ["ok"]
    monkeypatch.setattr(folders, "TRY_LOCK", "print('granted')")
    assert level(folders.look_at_folder(tmp_path), "file locks") == ["broken"]
    monkeypatch.setattr(folders, "TRY_LOCK", "raise SystemExit(1)")
    assert level(folders.look_at_folder(tmp_path), "file locks") == ["warning"]


def test_a_slow_disk_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "SLOW_SYNC", 0.0)
    assert level(folders.look_at_folder(tmp_path), "disk") == ["warning"]


def test_a_folder_that_is_none_is_broken(tmp_path):
    (tmp_path / "file").touch()
    (found,) = folders.look_at_folder(tmp_path / "file")
    assert found.level == "broken"


def test_own_folders_that_others_can_read_are_told(tmp_path):
    state, config = tmp_path / "state", tmp_path / "config"
    look = folders.look_at_own_files
    assert [f.level for f in look(state, None)] == ["ok"]
    assert [f.level for f in look(state, config / "config.yaml")] == ["ok", "absent"]
    state.mkdir(mode=0o755)
    config.mkdir()
    (config / "config.yaml").write_text("email: {password: hunter2}")
    (config / "config.yaml").chmod(0o644)
    found = look(state, config / "config.yaml")
    assert [f.level for f in found] == ["warning", "warning"]
    assert [f.cure for f in found] == [f"chmod 700 '{state}'", f"chmod 600 '{config}/config.yaml'"]
    state.chmod(0o700)
    (config / "config.yaml").chmod(0o600)
    assert [f.level for f in look(state, config / "config.yaml")] == ["ok", "ok"]


KILLED = """
import os, signal, sys
from pymanip_run.session import AsyncSession, internals
sesn = AsyncSession(sys.argv[1], verbose=False, checkpoint_period=1000)
sesn.add_entry(T=1)
os.kill(internals(sesn).store._child.pid, signal.SIGKILL)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_journal_of_a_killed_run_is_found_with_the_command_that_recovers(tmp_path):
    path = tmp_path / "cell.h5"
    died = subprocess.run([sys.executable, "-c", KILLED, path], env=ENVIRONMENT, check=False)
    assert died.returncode == -signal.SIGKILL
    Registration(RegisteredRun(str(path), 2**22 + 1, socket.gethostname(), 1000.0))
    done = doctor(cwd=tmp_path)
    cure = f"pymanip-run recover '{path}'"
    assert cure in done.stdout
    assert "nothing is lost" in done.stdout
    subprocess.run(
        [sys.executable, "-m", "pymanip_run", "recover", path],
        env=ENVIRONMENT,
        check=True,
        capture_output=True,
    )
    assert cure not in doctor(cwd=tmp_path).stdout
