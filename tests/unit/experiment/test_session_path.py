"""Where the session file is."""

import re

import pytest

from pymanip_run.errors import UsageError
from pymanip_run.experiment.model.session_path import SessionPath


def name(folder, template, exists=None):
    return (
        SessionPath(template, folder, "convection", exists).resolve().relative_to(folder).as_posix()
    )


def test_without_a_name_it_is_that_of_the_experiment(tmp_path):
    assert name(tmp_path, None) == "convection.h5"


def test_the_suffix_is_added_where_there_is_none(tmp_path):
    assert name(tmp_path, "T=1.5K") == "T=1.5K.h5"
    assert name(tmp_path, "a.hdf5") == "a.hdf5"


def test_a_tilde_is_the_home_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    found = SessionPath("~/data/run_{n}", tmp_path / "lab", "x", None).resolve()
    assert found == tmp_path / "home" / "data" / "run_1.h5"


def test_placeholders_are_filled_in(tmp_path):
    found = name(tmp_path, "data/{experiment}_{date}_{time}_{n:03}_{{x}}.h5")
    assert re.fullmatch(r"data/convection_\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_001_{x}\.h5", found)


def test_an_existing_file_is_continued(tmp_path):
    (tmp_path / "a.h5").touch()
    assert name(tmp_path, "a.h5") == "a.h5"
    assert not SessionPath("a.h5", tmp_path, "x", None).must_be_new


def test_new_takes_the_next_free_number(tmp_path):
    assert name(tmp_path, "a.h5", "new") == "a.h5"
    for expected in ("a_2.h5", "a_3.h5"):
        (tmp_path / "a.h5").touch()
        assert name(tmp_path, "a.h5", "new") == expected
        (tmp_path / expected).touch()


def test_a_number_in_the_name_is_the_next_free_one(tmp_path):
    for expected in ("run_1.h5", "run_2.h5", "run_3.h5"):
        assert name(tmp_path, "run_{n}") == expected
        (tmp_path / expected).touch()
    assert SessionPath("run_{n}", tmp_path, "x", None).must_be_new


def test_where_append_is_written_out_the_last_number_is_continued(tmp_path):
    assert name(tmp_path, "run_{n}", "append") == "run_1.h5"
    for number in (1, 2):
        (tmp_path / f"run_{number}.h5").touch()
    assert name(tmp_path, "run_{n}", "append") == "run_2.h5"


def test_fail_refuses_an_existing_file(tmp_path):
    assert name(tmp_path, "a.h5", "fail") == "a.h5"
    (tmp_path / "a.h5").touch()
    with pytest.raises(UsageError, match="exists; choose another"):
        name(tmp_path, "a.h5", "fail")


def test_an_absolute_name_stays_where_it_is(tmp_path):
    path = tmp_path / "else" / "a.h5"
    assert SessionPath(str(path), tmp_path / "here", "x", None).resolve() == path


def test_a_folder_is_refused_with_what_to_write(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "old.h5").mkdir()
    (tmp_path / "convection").mkdir()
    with pytest.raises(UsageError) as caught:
        name(tmp_path, "data")
    assert str(caught.value) == (
        f"{tmp_path}/data is a folder; write {tmp_path}/data/convection.h5 for a file in it, "
        f"or {tmp_path}/data.h5 for one beside it"
    )
    with pytest.raises(UsageError) as caught:
        name(tmp_path, "old.h5")
    expected = (
        f"{tmp_path}/old.h5 is a folder; write {tmp_path}/old.h5/convection.h5 for a file in it"
    )
    assert str(caught.value) == expected
    assert name(tmp_path, None) == "convection.h5", (
        "a folder of the experiment's own name is none of its sessions"
    )
