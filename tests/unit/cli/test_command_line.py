"""The commands as a user types them: in a process of their own."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import pymanip_run
from pymanip_run.session import AsyncSession

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(pymanip_run.__file__).parent.parent)}
HEAVY = ("numpy", "h5py", "aiohttp", "pydantic", "matplotlib", "rich", "yaml", "asyncio")


def run(*arguments, command="main", cwd=None, **options):
    options.setdefault("env", ENVIRONMENT)
    code = f"from pymanip_run.cli import {command} as main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=cwd, capture_output=True, text=True, timeout=60, check=False, **options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """A session file that holds a little of everything."""
    path = tmp_path_factory.mktemp("data") / "convection.h5"
    with AsyncSession(path, verbose=False) as sesn:
        sesn.describe("T_bottom", unit="°C")
        for value in (20.5, 21.5, float("nan")):
            sesn.add_entry(T_bottom=value, power=12)
        sesn.add_entry(power=13)
        sesn.save_parameter(voltage=4)
        sesn.save_metadata(operator="Anna [red]\x1b[31m")
        sesn.add_dataset(frame=[[1, 2], [3, 4]])
        sesn.note("refilled nitrogen")
    return path


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_import_nothing_heavy(option):
    code = (
        "import sys\nfrom pymanip_run.cli import main\ntry: main()\nexcept SystemExit: pass\n"
        f"print('heavy', [m for m in {HEAVY} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, option],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=ENVIRONMENT,
    )
    assert done.stderr.strip() == "heavy []"
    assert "pymanip-run" in done.stdout


def test_the_version_names_python_h5py_and_hdf5():
    import h5py

    shown = run("--version").stdout
    assert f"h5py {h5py.version.version}" in shown
    assert f"HDF5 {h5py.version.hdf5_version}" in shown
    assert f"Python {'.'.join(map(str, sys.version_info[:3]))}" in shown


def test_the_first_contact_is_ten_lines_that_fit():
    done = run()
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert len(lines) <= 10
    assert max(map(len, lines)) <= 80
    assert "pymanip-run new my_experiment" in done.stdout
    assert "pymanip-run my_experiment/experiment.yaml" in done.stdout


def test_the_help_has_a_whole_line_for_each_command():
    shown = run("--help", env=ENVIRONMENT | {"COLUMNS": "80"}).stdout
    lines = shown.partition("Commands:\n")[2].splitlines()
    assert {line.split()[0] for line in lines} >= {
        "run",
        "check",
        "new",
        "status",
        "stop",
        "doctor",
    }
    assert [line for line in lines if line.endswith("...") or len(line) > 80] == []


def test_a_folder_with_an_experiment_is_answered_with_its_command(tmp_path):
    (tmp_path / "cell").mkdir()
    (tmp_path / "cell" / "experiment.yaml").touch()
    done = run("cell", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.rstrip().endswith("pymanip-run cell/experiment.yaml")


@pytest.mark.parametrize(
    ("there", "last"),
    [
        ([], "pymanip-run new {folder}/my_experiment"),
        (["heat.yaml"], "pymanip-run {folder}/heat.yaml"),
        (["b.yml", "a.yaml"], "  pymanip-run {folder}/a.yaml\n  pymanip-run {folder}/b.yml"),
    ],
)
@pytest.mark.parametrize("word", ["cell", "."])
def test_a_folder_is_answered_with_what_to_type_instead(tmp_path, there, last, word):
    folder = tmp_path / word
    folder.mkdir(exist_ok=True)
    for name in there:
        (folder / name).touch()
    done = run(word, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.rstrip().endswith(
        last.format(folder=word).replace("./", "" if word == "." else "./")
    )


@pytest.mark.parametrize(
    ("arguments", "offered"),
    [
        (["my cell"], ["pymanip-run", "my cell/experiment.yaml"]),
        (["inspcet", "two words.h5"], ["pymanip-run", "inspect", "two words.h5"]),
        (["check", "two words.h5"], ["pymanip-inspect", "two words.h5"]),
        (["recover", "two wrods.h5"], ["pymanip-run", "recover", "two words.h5"]),
        (["new", "my cell"], ["pymanip-run", "new", "my cell", "--force"]),
        (["new", "--", "-o"], ["pymanip-run", "new", "./-o", "--force"]),
    ],
)
def test_the_command_that_is_offered_can_be_typed_as_it_is(tmp_path, arguments, offered):
    (tmp_path / "two words.h5").touch()
    for folder in ("my cell", "-o"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "experiment.yaml").touch()
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert shlex.split(done.stderr.rstrip().splitlines()[-1].split("  ")[-1]) == offered


@pytest.mark.parametrize("arguments", [("new", "x"), ("inspect", "x.h5"), ("doctor",)])
def test_in_a_folder_that_was_removed_one_is_told_to_leave_it(tmp_path, arguments):
    (tmp_path / "gone").mkdir()
    script = 'cd gone && rmdir ../gone && exec "$@"'
    command = [sys.executable, "-c", "from pymanip_run.cli import main; main()", *arguments]
    done = subprocess.run(
        ["sh", "-c", script, "sh", *command],
        cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "the present folder is not there any more; go to one that is:  cd\n"


def test_a_mistyped_command_is_answered_with_the_one_that_works():
    done = run("inpsect", "x.h5")
    assert done.returncode == 2
    assert "did you mean 'inspect'?" in done.stderr
    assert "pymanip-run inspect x.h5" in done.stderr


def test_a_first_word_that_is_neither_command_nor_file_names_the_commands():
    done = run("measure")
    assert done.returncode == 2
    assert "the commands are run, check, " in done.stderr
    assert ", inspect, export, " in done.stderr


def test_a_first_word_that_looks_like_a_file_is_run(tmp_path):
    done = run("missing.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "missing.yaml" in done.stderr
    assert "Traceback" not in done.stderr


def test_options_may_come_before_the_file(tmp_path):
    done = run("--for", "1s", "missing.yaml", cwd=tmp_path)
    assert "missing.yaml" in done.stderr
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--for", "soon"], "--for"),
        (["--for", "0s"], "above 0"),
        (["--display", "lvie"], "did you mean 'live'"),
        (["--color", "red"], "auto, always or never"),
        (["--print-every", "often"], "--print-every"),
    ],
)
def test_a_wrong_option_is_refused_with_what_would_work(tmp_path, options, said):
    done = run("run", "missing.yaml", *options, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_running_a_session_file_says_how_to_look_into_it(session):
    done = run(session)
    assert done.returncode == 2
    assert f"pymanip-inspect {session}" in done.stderr


def test_inspect_shows_what_is_in_the_session(session):
    done = run(session, command="main_inspect")
    assert done.returncode == 0
    assert done.stderr == ""
    for part in (
        "format 1",
        "healthy",
        "T_bottom",
        "°C",
        "21",
        "voltage 4",
        "frame",
        "(2, 2)",
        "refilled nitrogen",
    ):
        assert part in done.stdout, part
    assert "\x1b" not in done.stdout
    assert "Anna [red]\\x1b[31m" in done.stdout


def test_inspect_can_be_encoded_everywhere(session):
    done = run("inspect", session, env=ENVIRONMENT | {"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert "degC" in done.stdout


def test_inspect_json_is_strict_and_complete(session):
    summary = json.loads(run("inspect", session, "--json").stdout, parse_constant=lambda _: 1 / 0)
    assert summary["variables"]["T_bottom"]["n"] == 3
    assert summary["variables"]["T_bottom"]["last"][1] is None
    assert summary["variables"]["power"]["max"] == 13
    assert summary["parameters"] == {"voltage": 4}
    assert summary["datasets"]["frame"]["n"] == 1


def test_inspect_tail_events_and_names(session):
    tail = run("inspect", session, "power", "--tail", "2").stdout.splitlines()
    assert [line.split()[-1] for line in tail] == ["12.0", "13.0"]
    assert "note: refilled nitrogen" in run("inspect", session, "--events").stdout
    assert "power" not in run("inspect", session, "T_bottom").stdout


def test_inspect_reads_while_the_session_is_being_written(tmp_path):
    with AsyncSession(tmp_path / "growing", verbose=False) as sesn:
        sesn.add_entry(T=1)
        sesn.add_entry(T=2)
        summary = json.loads(run("inspect", tmp_path / "growing.h5", "--json").stdout)
        assert summary["variables"]["T"]["n"] == 2
        sesn.add_entry(T=3)


@pytest.mark.parametrize("command", ["main_inspect", "main_export"])
def test_a_missing_file_is_exit_2_with_the_nearest_name(session, command):
    done = run(session.with_name("convecton.h5"), command=command)
    assert done.returncode == 2
    assert "did you mean 'convection.h5'?" in done.stderr
    assert done.stderr.rstrip().splitlines()[-1].endswith(str(session))


def test_the_suffix_may_be_left_out(session):
    assert run("inspect", session.with_suffix("")).returncode == 0


@pytest.mark.parametrize(
    "content", [b"", b"no session at all", b"\x89HDF\r\n\x1a\n" + b"\0" * 3000]
)
@pytest.mark.parametrize("command", ["main_inspect", "main_export"])
def test_garbage_is_exit_4_in_one_sentence_and_stays_as_it_was(tmp_path, content, command):
    path = tmp_path / "garbage.h5"
    path.write_bytes(content)
    done = run(path, command=command)
    assert done.returncode == 4
    assert "Traceback" not in done.stderr
    assert "garbage.h5" in done.stderr
    assert path.read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == ["garbage.h5"]


def test_a_folder_is_refused_with_a_file_in_it(session):
    done = run("export", session.parent)
    assert done.returncode == 2
    assert str(session) in done.stderr


def test_an_unknown_name_is_exit_2_with_near_ones(session):
    done = run("inspect", session, "T_botom")
    assert done.returncode == 2
    assert "T_bottom" in done.stderr


def test_export_writes_beside_the_session_or_to_standard_output(session, tmp_path):
    to_pipe = run("export", session, "-o", "-").stdout.splitlines()
    assert sorted(to_pipe[0].split(",")) == ["T_bottom [°C]", "power", "time"]
    assert len(to_pipe) == 5
    target = tmp_path / "a.csv"
    done = run("export", session, "power", "--to", "csv", "-o", target)
    assert done.returncode == 0
    assert done.stdout == ""
    assert target.read_text().splitlines()[0] == "time,power"
    assert len(target.read_text().splitlines()) == 5


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--to", "excel"], "'excel' is no format"),
        (["--to", "paquet"], "did you mean 'parquet'?"),
        (["--how", "fill"], "did you mean 'ffill'?"),
        (["--resample", "often"], "'often' is not a duration"),
        (["--tz", "Europe/Pariss"], "did you mean 'Europe/Paris'?"),
        (["--tz", "Paris"], "did you mean 'Europe/Paris'?"),
        (["--datasets", "npy"], "--datasets npy -o convection_records"),
        (["--datasets", "jpg", "-o", "x"], "did you mean"),
        (["--datasets", "npy", "-o", "x", "--resample", "1s"], "--resample is for variables"),
        (["--to", "zarr", "-o", "-"], "zarr makes a folder"),
        (["--until", "start+late"], "is not a duration"),
        (["--since", "yesterday"], "is not a time"),
        (["-o", "no/such/folder/a.csv"], "mkdir -p no/such/folder"),
        (["nosuch"], "no logged variable 'nosuch'"),
    ],
)
def test_export_refuses_with_what_would_work(session, tmp_path, arguments, said):
    done = run("export", session, *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_export_does_not_overwrite_the_session(session):
    before = session.read_bytes()
    done = run("export", session, "--to", "csv", "-o", session)
    assert done.returncode == 2
    assert session.read_bytes() == before


def test_export_goes_quietly_when_its_reader_leaves(tmp_path):
    with AsyncSession(tmp_path / "a", verbose=False) as sesn:
        for i in range(20_000):
            sesn.add_entry(T=i / 7)
    code = "from pymanip_run.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "export", tmp_path / "a.h5", "-o", "-"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "time,T\n"
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(30) == 0


def test_observe_says_clearly_that_nobody_is_there():
    done = run("127.0.0.1:9", "--once", command="main_observe")
    assert done.returncode == 3
    assert "nobody listens there" in done.stderr


def test_an_experiment_without_its_suffix_is_offered_with_it(tmp_path):
    (tmp_path / "exp.yaml").touch()
    done = run("exp", cwd=tmp_path)
    assert done.returncode == 2
    assert "pymanip-run exp.yaml" in done.stderr


def test_nested_metadata_are_shown_as_they_were_written(tmp_path):
    path = tmp_path / "a.h5"
    with AsyncSession(path, verbose=False) as sesn:
        sesn.save_metadata(body={"material": "brass", "sizes": [1, 2.5, None, True]})
    shown = run(path, command="main_inspect").stdout
    assert "body: {material: brass, sizes: [1, 2.5, null, true]}" in shown
