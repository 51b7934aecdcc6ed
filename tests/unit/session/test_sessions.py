"""Many sessions as one table: found, filtered, sorted, iterated, damaged ones said with their reason."""

import os
import re
import shutil
from pathlib import Path

import pytest

from pymanip_run import AsyncSession, NotFoundError, SavedAsyncSession, Sessions, UsageError

OLD = Path(__file__).parents[1] / "storage" / "pymanip_sessions" / "schema_4.1.db"


def record(path, voltage, *, operator="Ann", n=3):
    with AsyncSession(path, verbose=False) as sesn:
        sesn.describe("T", unit="°C")
        sesn.save_parameter({"voltage": voltage}, gain=2.5, mode="slow")
        sesn.save_metadata(operator=operator, story="x" * 2000)
        for i in range(n):
            sesn.add_entry(T=20 + voltage + i, p=i)
        sesn.add_dataset(frame=[[1.0, 2.0]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    for number, (voltage, operator) in enumerate(
        [(1, "Ann"), (2, "Bob"), (3, "Ann"), (3, "Bob")], 8
    ):
        record(path / f"run_{number}", voltage, operator=operator)
    (path / "notes.txt").write_text("no session")
    return path


@pytest.fixture
def sessions(folder):
    return Sessions(folder)


# -- which files --------------------------------------------------------------------------------


def test_the_sessions_of_a_folder_are_in_natural_order(sessions):
    assert sessions.names == ["run_8", "run_9", "run_10", "run_11"]
    assert len(sessions) == 4
    assert sessions.unreadable == {}


def test_a_pattern_a_list_and_single_files_are_the_same(folder, sessions, monkeypatch):
    assert Sessions(str(folder / "*.h5")).paths == sessions.paths
    assert Sessions([folder / "run_9.h5", str(folder / "run_1*.h5")]).names == [
        "run_9",
        "run_10",
        "run_11",
    ]
    assert Sessions(folder / "run_8").names == ["run_8"]
    monkeypatch.chdir(folder.parent)
    assert Sessions(f"{folder.name}/*.h5").paths == sessions.paths
    monkeypatch.chdir(folder)
    assert Sessions("**/*.h5").paths == sessions.paths
    assert Sessions().paths == sessions.paths


def test_a_file_that_several_places_name_is_there_once(folder):
    assert len(Sessions([folder, folder / "run_9.h5", str(folder / "run_*.h5")])) == 4


def test_sessions_of_pymanip_are_in_the_table(tmp_path):
    shutil.copy(OLD, tmp_path)
    record(tmp_path / "new", 3)
    assert Sessions(tmp_path).names == ["new", "schema_4.1"]


def test_a_pattern_may_match_nothing_and_a_name_may_not(tmp_path):
    nothing = Sessions(str(tmp_path / "*.h5"))
    assert list(nothing) == list(nothing.where(voltage=3)) == list(nothing.sorted("x")) == []
    assert nothing._repr_html_() == "<p>no session</p>"
    with pytest.raises(FileNotFoundError, match="no folder or session"):
        Sessions(tmp_path / "nowhere")
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(UsageError, match=r"sessions end in \.h5"):
        Sessions(tmp_path / "a.txt")


# -- a sequence ---------------------------------------------------------------------------------


def test_it_is_a_sequence_of_saved_sessions(sessions):
    assert [type(one) for one in sessions] == [SavedAsyncSession] * 4
    assert sessions[0].session_name == "run_8"
    assert sessions[-1].parameter("voltage") == 3
    assert sessions["run_9"]["T"].values.tolist() == [22, 23, 24]
    assert sessions["run_9.h5"].session_name == "run_9"
    assert sessions[1:3].names == ["run_9", "run_10"]
    assert "run_9" in sessions
    assert "run_1" not in sessions
    assert sessions._ipython_key_completions_() == sessions.names


def test_what_is_not_there_is_said(sessions, tmp_path):
    with pytest.raises(IndexError, match="there are 4 sessions, and no number 7"):
        sessions[7]
    with pytest.raises(NotFoundError, match="no session 'run_99'; did you mean 'run_9'"):
        sessions["run_99"]
    record(tmp_path / "run_9", 5)
    both = Sessions([sessions.paths[1], tmp_path])
    with pytest.raises(NotFoundError, match="several sessions are called 'run_9'"):
        both["run_9"]


def test_a_session_that_is_gone_meanwhile_says_what_to_do(tmp_path):
    record(tmp_path / "a", 1)
    sessions = Sessions(tmp_path)
    (tmp_path / "a.h5").unlink()
    with pytest.raises(OSError, match=r"a\.h5 is gone; refresh\(\)"):
        sessions[0]
    assert sessions.refresh().names == []


# -- filtered and sorted ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("conditions", "wanted", "expected"),
    [
        ((), {"voltage": 3}, ["run_10", "run_11"]),
        ((), {"voltage": 3, "operator": "Bob"}, ["run_11"]),
        ((), {"voltage": lambda v: 1 < v < 3}, ["run_9"]),
        (("voltage > 2",), {}, ["run_10", "run_11"]),
        (("voltage>=2", "voltage != 3"), {}, ["run_9"]),
        (("operator = Ann",), {"voltage": 3}, ["run_10"]),
        (("operator == 'Ann'",), {}, ["run_8", "run_10"]),
        (("mode = slow", "gain = 2.5", "voltage < 2"), {}, ["run_8"]),
        (("T >= 24",), {}, ["run_9", "run_10", "run_11"]),  # its last value
        (("name = run_9",), {}, ["run_9"]),
        (("start > 2000-01-01", "start < -1d"), {}, None),
        (("operator > 3",), {}, []),  # a text is neither more nor less than a number
        (("operator != 3",), {}, ["run_8", "run_9", "run_10", "run_11"]),
        ((), {"voltage": "3"}, ["run_10", "run_11"]),
        ((), {"voltage": "three"}, []),
    ],
)
def test_conditions(sessions, conditions, wanted, expected):
    if expected is None:
        with pytest.raises(UsageError, match="start: '-1d' is not a time"):
            sessions.where(*conditions, **wanted)
    else:
        assert sessions.where(*conditions, **wanted).names == expected


def test_a_text_that_looks_like_a_number_is_found_as_it_is_shown(tmp_path):
    for name, sample in (("a", "12"), ("b", "true"), ("c", "007")):
        record(tmp_path / name, 1, operator=sample)
    found = Sessions(tmp_path)
    assert found.where("operator = 12").names == ["a"]
    assert found.where("operator != 12").names == ["b", "c"]
    assert found.where("operator = true").names == ["b"]
    assert found.where("operator = 007").names == ["c"]
    assert found.where("operator > 3").names == []


def test_conditions_can_be_given_one_after_the_other(sessions):
    assert sessions.where(voltage=3).where("operator = Bob").names == ["run_11"]


def test_what_cannot_be_a_condition_is_said(sessions):
    with pytest.raises(UsageError, match="'voltage' is no condition; write for example"):
        sessions.where("voltage")
    with pytest.raises(NotFoundError, match="no session has 'voltag'; did you mean 'voltage'"):
        sessions.where("voltag > 3")
    with pytest.raises(NotFoundError, match="no session has 'Voltag'"):
        sessions.where(Voltag=3)
    with pytest.raises(NotFoundError):
        sessions.sorted("volt")


def test_sorted_by_a_column_with_those_that_have_none_at_the_end(folder, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    with AsyncSession(tmp_path / "empty", verbose=False):
        pass
    sessions = Sessions(tmp_path)
    assert sessions.sorted("voltage").names == ["run_8", "run_9", "run_10", "run_11", "empty"]
    assert sessions.sorted("voltage", reverse=True).names == [
        "run_10",
        "run_11",
        "run_9",
        "run_8",
        "empty",
    ]
    assert sessions.sorted("operator").names[:2] == ["run_8", "run_10"]
    assert sessions.sorted("start").names[0] == "run_8"
    assert sessions.where("voltage > 0").names == sessions.names[1:]


def test_a_column_is_looked_up_as_parameter_then_metadata_then_last_value(sessions):
    assert sessions.column("voltage") == [1, 2, 3, 3]
    assert sessions.column("operator") == ["Ann", "Bob", "Ann", "Bob"]
    assert sessions.column("T") == [23, 24, 25, 25]
    assert sessions.column("runs") == [0] * 4
    assert all(time > 1e9 for time in sessions.column("start"))


# -- what a session is like ---------------------------------------------------------------------


def test_what_the_table_knows_of_a_session(sessions):
    card = sessions.cards[1]
    assert card.parameters["voltage"].value == 2
    assert card.results["T"].unit == "°C"
    assert (card.results["T"].n, card.results["T"].mean) == (3, 23.0)
    assert card.datasets == {"frame": 1}
    assert card.metadata == {"operator": "Bob"}  # without what is longer than a table
    assert card.duration is None


def test_a_dataframe_has_a_row_for_each_session(sessions):
    pytest.importorskip("pandas")
    frame = sessions.to_dataframe()
    assert frame.index.tolist() == sessions.names
    assert list(frame.columns) == ["start", "exit_code", "duration", "gain", "mode", "voltage", "T", "p"]  # fmt: skip
    assert frame["T"].tolist() == [23, 24, 25, 25]
    assert str(frame["start"].dt.tz) == "UTC"
    assert frame["start"].iloc[0].timestamp() == pytest.approx(sessions.column("start")[0])
    means = sessions.to_dataframe("voltage", "T", statistic="mean")
    assert means["T"].tolist() == [22, 23, 24, 24]
    assert means["voltage"].tolist() == [1, 2, 3, 3]
    with pytest.raises(UsageError, match="statistic is one of last, first"):
        sessions.to_dataframe(statistic="median")
    with pytest.raises(NotFoundError):
        sessions.to_dataframe("volt")


def test_a_variable_called_as_a_parameter_has_a_column_of_its_own(tmp_path):
    pytest.importorskip("pandas")
    with AsyncSession(tmp_path / "a", verbose=False) as sesn:
        sesn.save_parameter(voltage=3)
        sesn.add_entry(voltage=2.9)
    frame = Sessions(tmp_path).to_dataframe()
    assert frame["voltage"].tolist() == [3]
    assert frame["voltage (last)"].tolist() == [2.9]


def test_a_notebook_shows_the_table_with_all_texts_escaped(tmp_path):
    for number in range(3):
        with AsyncSession(tmp_path / f"<b>{number}", verbose=False) as sesn:
            sesn.save_parameter({"<i>": "<script>", "number": number})
            sesn.add_entry({"<u>": 1.5})
            sesn.describe("<u>", unit="<unit>")
    (tmp_path / "<bad>.h5").write_bytes(b"x")
    html = Sessions(tmp_path)._repr_html_()
    for text in ("<b>0", "<i>", "<script>", "<u>", "<unit>", "<bad>"):
        assert text not in html.replace("<b>the same in all</b>", "").replace("<b>not readable</b>", "")  # fmt: skip
        assert text.replace("<", "&lt;").replace(">", "&gt;") in html
    assert set(re.findall(r"color[^;\"]*", html)) == {"color:inherit"}, (
        "colours are the notebook's, which may be dark"
    )
    assert html.count("&lt;script&gt;") == 1, "what is the same in all is said once"


def test_a_long_table_is_cut_in_a_notebook(folder, tmp_path):
    for number in range(60):
        shutil.copy(folder / "run_8.h5", tmp_path / f"run_{number}.h5")
    html = Sessions(tmp_path)._repr_html_()
    assert "run_49<" in html
    assert "run_50<" not in html
    assert "… and 10 more sessions" in html


def test_it_tells_in_a_line_what_it_is(sessions, folder):
    assert repr(sessions) == f"<Sessions {folder}: 4>"


# -- files that are none, and those that are being written --------------------------------------


def test_files_that_cannot_be_read_are_listed_with_their_reason(folder, tmp_path):
    h5py = pytest.importorskip("h5py")
    good = shutil.copy(folder / "run_8.h5", tmp_path)
    (tmp_path / "empty.h5").write_bytes(b"")
    (tmp_path / "text.h5").write_text("these are no data " * 10)
    (tmp_path / "text.db").write_text("neither are these")
    (tmp_path / "cut.h5").write_bytes(Path(good).read_bytes()[:5000])
    with h5py.File(tmp_path / "other.h5", "w", libver=("v110", "v110")) as h5:
        h5["data"] = [1, 2, 3]
    os.mkfifo(tmp_path / "pipe.h5")
    (tmp_path / "folder.h5").mkdir()
    (tmp_path / "nowhere.h5").symlink_to("gone")
    sessions = Sessions(tmp_path)
    assert sessions.names == ["run_8"]
    found = {path.name: why for path, why in sessions.unreadable.items()}
    assert set(found) == {"empty.h5", "text.h5", "text.db", "cut.h5", "other.h5"}
    assert found["empty.h5"].startswith("empty; remove it")
    assert "not an HDF5 file" in found["text.h5"]
    assert "not a session of pymanip-run" in found["other.h5"]
    assert "no SQLite database" in found["text.db"]
    assert "cut.h5" in sessions._repr_html_()
    assert "5 unreadable" in repr(sessions)
    assert sessions.where(voltage=1).unreadable == sessions.unreadable


def test_a_file_that_may_not_be_read_is_no_end_of_the_list(folder, tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "run_8.h5").chmod(0)
    sessions = Sessions(tmp_path)
    assert len(sessions) == 3
    assert "Permission denied" in next(iter(sessions.unreadable.values()))


def test_a_session_that_is_being_written_is_there_as_it_is_now(tmp_path):
    with AsyncSession(tmp_path / "now", verbose=False) as sesn:
        sesn.add_entry(T=1)
        assert Sessions(tmp_path).column("T") == [1]
        sesn.add_entry(T=2)
        sesn.save_parameter(late=True)
        sessions = Sessions(tmp_path)
        assert sessions.column("T") == [2]
        assert sessions.column("late") == [True]
    assert Sessions(tmp_path).cards[0].results["T"].n == 2
