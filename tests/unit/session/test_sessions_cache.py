"""The cache beside sessions: used where nothing changed, and never an error."""

import json
import os
import shutil
import zlib

import pytest

from pymanip_run import AsyncSession, Sessions
from pymanip_run.session.collection import finding
from pymanip_run.session.collection.cache import CACHE_NAME, WORTHWHILE
from pymanip_run.storage.files import SYSTEM_FILES, Files

COUNT = WORTHWHILE + 2


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    path = tmp_path_factory.mktemp("original")
    for number in range(2):
        with AsyncSession(path / str(number), verbose=False) as sesn:
            sesn.save_parameter(number=number)
            sesn.add_entry(T=number)
    return path


@pytest.fixture
def folder(original, tmp_path):
    for number in range(COUNT):
        copy(original / "0.h5", tmp_path / f"run_{number}.h5")
    return tmp_path


def copy(source, target):
    """Copy a session that was last changed a while ago."""
    shutil.copy(source, target)
    os.utime(target, (1e9, 1e9))


@pytest.fixture
def reads(monkeypatch):
    """The names of the files that are opened."""
    names = []
    real = finding.read_facts

    def read_facts(path, *rest):
        names.append(path.name)
        return real(path, *rest)

    monkeypatch.setattr(finding, "read_facts", read_facts)
    return names


def test_what_did_not_change_is_not_read_again(folder, reads):
    first = Sessions(folder)
    assert len(reads) == COUNT
    assert (folder / CACHE_NAME).exists()
    again = Sessions(folder)
    assert len(reads) == COUNT
    assert [c.facts for c in again.cards] == [c.facts for c in first.cards]
    assert again.column("T") == [0.0] * COUNT


def test_the_cache_holds_for_a_part_of_the_folder_too(folder, reads):
    Sessions(folder)
    reads.clear()
    assert len(Sessions(str(folder / "run_1*.h5"))) == 3
    assert len(Sessions([folder / "run_3.h5"])) == 1
    assert reads == []
    assert len(Sessions(folder)) == COUNT
    assert reads == []


@pytest.mark.parametrize("change", ["content", "time", "inode", "size"])
def test_a_file_that_changed_is_read_again(folder, original, reads, change):
    Sessions(folder)
    reads.clear()
    path = folder / "run_3.h5"
    if change == "content":
        copy(original / "1.h5", path)
        os.utime(path, (1e9 + 1, 1e9 + 1))
    elif change == "time":
        os.utime(path, ns=(10**18, 10**18 + 1))
    elif change == "inode":
        copy(original / "1.h5", folder / "other")
        (folder / "other").replace(path)
    else:
        with path.open("ab") as file:
            file.write(b"\0")
        os.utime(path, (1e9, 1e9))
    numbers = Sessions(folder).column("number")
    assert reads == ["run_3.h5"]
    assert numbers[3] == (1 if change in ("content", "inode") else 0)


def test_what_was_changed_a_moment_ago_is_read_each_time(folder, reads):
    os.utime(folder / "run_3.h5")  # now: it could change again without another time of change
    Sessions(folder)
    reads.clear()
    Sessions(folder)
    assert reads == ["run_3.h5"]


def test_a_session_with_a_journal_is_read_each_time(folder, reads):
    with AsyncSession(folder / "now", verbose=False, checkpoint_period=1000) as sesn:
        sesn.save_parameter(number=5)
        os.utime(folder / "now.h5", (1e9, 1e9))
        Sessions(folder)
        reads.clear()
        sesn.save_parameter(number=6)
        assert Sessions(folder)["now"].parameter("number") == 6
        assert Sessions(folder).where(number=6).names == ["now"]
        assert set(reads) == {"now.h5"}


def test_files_that_came_and_went(folder, original, reads):
    Sessions(folder)
    (folder / "run_0.h5").unlink()
    copy(original / "1.h5", folder / "new.h5")
    reads.clear()
    assert len(Sessions(folder)) == COUNT
    assert reads == ["new.h5"]
    kept = json.loads((folder / CACHE_NAME).read_bytes().partition(b"\n")[2])["sessions"]
    assert "run_0.h5" not in kept
    assert "new.h5" in kept


def refuse(path):
    raise PermissionError(13, "Permission denied", str(path))


def content(folder):
    return (folder / CACHE_NAME).read_bytes().partition(b"\n")[2]


def write(folder, body, checksum=None):
    checksum = b"%08x" % zlib.crc32(body) if checksum is None else checksum
    (folder / CACHE_NAME).write_bytes(checksum + b"\n" + body)


@pytest.mark.parametrize(
    "damage",
    [
        lambda f: (f / CACHE_NAME).write_bytes(b""),
        lambda f: (f / CACHE_NAME).write_bytes(b"\xff" * 1000),
        lambda f: write(f, content(f)[:-100], b"%08x" % zlib.crc32(content(f))),
        lambda f: write(
            f, content(f).replace(b'"number":[0', b'"number":[7'), b"%08x" % zlib.crc32(content(f))
        ),
        lambda f: write(f, content(f).replace(b'"format":1', b'"format":2')),
        lambda f: write(f, content(f).replace(b'"version":"', b'"version":"other ')),
        lambda f: write(f, b"[]"),
        lambda f: write(f, b'{"format":1}'),
        lambda f: write(f, content(f).partition(b'"sessions":')[0] + b'"sessions":[1]}'),
        lambda f: write(
            f,
            content(f).partition(b'"sessions":')[0]
            + b'"sessions":{"run_0.h5":5,"run_1.h5":[],"run_2.h5":[[],3],"run_3.h5":"ab"}}',
        ),
        lambda f: write(f, content(f).replace(b'"parameters":', b'"parameter":')),
        lambda f: write(f, content(f).replace(b'"number":[0', b'"number":[[]')),
        lambda f: write(f, content(f).replace(b'"results":{', b'"results":{"x":[1],')),
        lambda f: write(f, content(f).replace(b'"runs":', b'"runs":"x","run":')),
        lambda f: write(f, b"[" * 100_000),
        lambda f: write(f, b"\xff"),
        lambda f: ((f / CACHE_NAME).unlink(), (f / CACHE_NAME).mkdir()),
        lambda f: ((f / CACHE_NAME).unlink(), os.mkfifo(f / CACHE_NAME)),
        lambda f: ((f / CACHE_NAME).unlink(), (f / CACHE_NAME).symlink_to("/dev/zero")),
    ],
)
def test_a_damaged_cache_is_made_anew(folder, reads, damage):
    Sessions(folder)
    before = content(folder)
    damage(folder)
    reads.clear()
    assert Sessions(folder).column("number") == [0] * COUNT
    assert len(reads) == COUNT
    if not (folder / CACHE_NAME).is_dir():
        assert json.loads(content(folder)) == json.loads(before)
    assert [p.name for p in folder.iterdir() if p.name.endswith(".tmp")] == []


def test_a_folder_that_cannot_be_written_needs_no_cache(folder, reads, monkeypatch):
    monkeypatch.setattr(SYSTEM_FILES, "replace", lambda source, _target: refuse(source))
    assert len(Sessions(folder)) == COUNT
    assert len(Sessions(folder)) == COUNT
    assert len(reads) == 2 * COUNT
    assert all(p.suffix == ".h5" for p in folder.iterdir())


def test_reading_that_is_interrupted_keeps_what_was_read(folder, reads):
    def stop(share):
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Sessions(folder, progress=stop)
    done = len(reads)
    assert 0 < done < COUNT
    Sessions(folder)
    assert len(reads) == COUNT


def test_what_is_damaged_is_not_read_again_and_what_was_refused_is(folder, reads, monkeypatch):
    (folder / "bad.h5").write_bytes(b"no session at all")
    os.utime(folder / "bad.h5", (1e9, 1e9))
    Sessions(folder)
    reads.clear()
    assert len(Sessions(folder).unreadable) == 1
    assert reads == []
    (folder / CACHE_NAME).unlink()
    with monkeypatch.context() as refused:
        refused.setattr(Files, "open", lambda _self, path, _flags: refuse(path))
        unreadable = Sessions(folder).unreadable
    assert len(unreadable) == COUNT + 1
    assert all("Permission denied" in why for why in unreadable.values())
    assert len(Sessions(folder)) == COUNT


def test_a_few_sessions_leave_nothing_behind(original, tmp_path):
    copy(original / "0.h5", tmp_path / "a.h5")
    assert len(Sessions(tmp_path)) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]


def test_the_progress_goes_to_the_end(folder):
    shares = []
    Sessions(folder, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1
