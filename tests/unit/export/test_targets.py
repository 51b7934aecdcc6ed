"""Where an export goes: files appear when they are complete, what is no file of its own is written to."""

import os

import pytest
from helpers_export import session

from pymanip_run.export import targets
from pymanip_run.export.job import Job
from pymanip_run.export.run import export_to

SINGLE = ["csv", "jsonl", "npz", "sqlite"]


@pytest.fixture
def made(tmp_path):
    """The bytes of an export in each format."""

    def make(to):
        export_to(Job(VIEW), to, path := tmp_path / f"made.{to}")
        content = path.read_bytes()
        path.unlink()
        return content

    return make


VIEW = session(["T"], entries=3)


@pytest.mark.parametrize("to", SINGLE)
def test_a_pipe_or_device_is_written_to_not_replaced(tmp_path, made, to):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    export_to(Job(VIEW), to, pipe)
    assert os.read(reader, 1 << 16) == made(to)
    os.close(reader)
    assert pipe.is_fifo()
    assert [p.name for p in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.parametrize("to", SINGLE)
def test_a_name_of_the_system_is_written_to_not_replaced(tmp_path, made, monkeypatch, to):
    # /dev/stdout is a link to a file where the shell has put standard output into one.
    monkeypatch.setattr(targets, "SYSTEM", (f"{tmp_path}/dev/",))
    output, name = tmp_path / "output", tmp_path / "dev" / "stdout"
    output.write_bytes(b"")
    number = output.stat().st_ino
    name.parent.mkdir()
    name.symlink_to(output)
    export_to(Job(VIEW), to, name)
    assert output.read_bytes() == made(to)
    assert output.stat().st_ino == number
    assert name.is_symlink()


@pytest.mark.parametrize("to", [*SINGLE, "zarr"])
def test_a_link_stays_one(tmp_path, to):
    if to == "zarr":
        pytest.importorskip("zarr")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = tmp_path / "link"
    link.symlink_to(elsewhere / "meant")
    for _ in range(2):
        export_to(Job(VIEW), to, link)
        assert link.is_symlink()
        assert [p.name for p in elsewhere.iterdir()] == ["meant"]
        assert sorted(p.name for p in tmp_path.iterdir()) == ["elsewhere", "link"]
