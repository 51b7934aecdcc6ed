"""The journal as it is written, damaged and read again."""

import numpy as np
import pytest
from helpers_storage import EPOCH, MS, checkpoint, die, finish, put, quiet_store, side_files
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pymanip_run.errors import DamagedFileError, NewerFormatError, StorageError
from pymanip_run.records import Event, Window
from pymanip_run.storage import journal, tail
from pymanip_run.storage.batch import Batch
from pymanip_run.storage.files import SYSTEM_FILES, Files, SessionPaths
from pymanip_run.storage.journal import HEAD, MAGIC, Position
from pymanip_run.storage.snapshot import SnapshotStore
from pymanip_run.storage.tail import JournalReader


def records(data):
    """(offset, end, body) of every record of an intact segment."""
    offset, found = 0, []
    while offset < len(data):
        end = offset + HEAD.size + HEAD.unpack_from(data, offset)[1]
        found.append((offset, end, data[offset + HEAD.size : end]))
        offset = end
    return found


START = Position(1, 0)


def read(path, start=START, files=SYSTEM_FILES):
    """Read the journal of a session from a position to its end."""
    reader, batch = JournalReader(files, SessionPaths(path), start, ""), Batch()
    reader.read(batch)
    reader.close()
    return batch, reader


def rows_of(batch, name="T"):
    return batch.series(name)[1].tolist()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "s.h5"


@pytest.fixture
def written(path):
    """A session whose writer died: 20 rows and a few other things, nothing checkpointed."""
    store = quiet_store(path)
    for i in range(10):
        store.append_row(EPOCH + i * MS, ("T",), (i,))
        store.append_row(EPOCH + i * MS + 1000, ("p", "T"), (i, 100 + i))
    store.put_parameter(EPOCH, "gain", 1.5, None)
    store.append_event(Event(EPOCH, "note", "", "here"))
    put(store, EPOCH, "array", np.arange(5))
    die(store)
    return path


def segment(path, number=1):
    return SessionPaths(path).segment(number)


def spoil(path, offset, number=1, byte=None):
    """Flip a byte of a segment."""
    data = bytearray(segment(path, number).read_bytes())
    data[offset] = data[offset] ^ 0x55 if byte is None else byte
    segment(path, number).write_bytes(data)


def test_a_row_is_one_system_call(path):
    class Counting(Files):
        def __init__(self):
            self.calls = 0

        def write(self, fd, data):
            self.calls += 1
            return super().write(fd, data)

    files = Counting()
    store = quiet_store(path, files=files)
    store.append_row(EPOCH, ("T",), (1,))
    before = files.calls
    for i in range(1, 11):
        store.append_row(EPOCH + i * MS, ("T",), (1,))
    assert files.calls - before == 10
    finish(store)


def test_a_damaged_record_in_the_middle_is_skipped_and_counted(written):
    offset, _, body = records(segment(written).read_bytes())[5]
    assert body[0] == journal.Kind.ROW
    spoil(written, offset + HEAD.size + 12)
    batch, reader = read(written)
    assert len(rows_of(batch)) == 19
    assert reader.findings.lost == 1
    assert [number for number, *_ in reader.findings.damaged] == [1]
    assert reader.findings.torn == 0


@pytest.mark.parametrize("cut", [1, 10, HEAD.size, HEAD.size + 3])
def test_a_torn_end_is_not_damage(written, cut):
    data = segment(written).read_bytes()
    offset, end, _ = records(data)[-1]
    segment(written).write_bytes(data[: offset + min(cut, end - offset - 1)])
    batch, reader = read(written)
    assert rows_of(batch)[:3] == [0, 100, 1]
    assert (reader.findings.lost, reader.findings.damaged) == (0, [])
    assert reader.findings.torn > 0
    store = quiet_store(written)
    assert store.events() == [Event(EPOCH, "note", "", "here")]
    assert store.datasets() == {}
    finish(store)
    assert side_files(written) == []


def test_a_damaged_last_record_is_kept_and_told(written):
    spoil(written, segment(written).stat().st_size - 1)
    damaged = segment(written).read_bytes()
    store = quiet_store(written)
    assert [e.kind for e in store.events()] == ["note", "damage"]
    assert "bytes kept in a copy" in store.report
    finish(store)
    assert side_files(written) == ["s.h5.wal.1.damaged"]
    assert written.with_name("s.h5.wal.1.damaged").read_bytes() == damaged


def test_recovery_keeps_a_copy_of_the_damaged_segment_and_notes_the_loss(written):
    spoil(written, records(segment(written).read_bytes())[5][0] + 30)
    damaged = segment(written).read_bytes()
    for expected in (["s.h5.wal.1.damaged"], ["s.h5.wal.1.damaged"]):
        store = quiet_store(written)
        assert "1 records lost" in " ".join(e.text for e in store.events())
        finish(store)
        assert side_files(written) == expected
    assert written.with_name("s.h5.wal.1.damaged").read_bytes() == damaged


@pytest.mark.parametrize("which", ["first", "second"])
def test_rows_whose_definition_is_lost_are_recovered_from_another_one(path, which):
    store = quiet_store(path)
    names = tuple(f"v{i}" for i in range(100))
    for i in range(1500):  # more than one block of 1 MiB
        store.append_row(EPOCH + i * MS, names, [i] * 100)
    die(store)
    found = [(o, b) for o, _, b in records(segment(path).read_bytes()) if b[0] == 1]
    assert len(found) == 2
    offset, _ = found[0 if which == "first" else 1]
    spoil(path, offset + HEAD.size + 20)
    batch, reader = read(path)
    assert rows_of(batch, "v7") == list(range(1500))
    assert reader.findings.lost == 1  # the definition itself
    # Also for a reader that begins behind the damage.
    behind = [o for o, _, _ in records(segment(path).read_bytes()) if o > offset][3]
    batch, reader = read(path, Position(1, behind))
    assert np.all(np.diff(rows_of(batch, "v7")) == 1)
    assert rows_of(batch, "v7")[-1] == 1499
    assert reader.findings.lost == 0


def test_rows_whose_names_are_nowhere_are_counted_as_lost(path):
    store = quiet_store(path)
    for i in range(5):
        store.append_row(EPOCH + i * MS, ("T",), (i,))
    store.append_row(EPOCH + 5 * MS, ("p",), (5,))
    die(store)
    spoil(path, records(segment(path).read_bytes())[1][0] + HEAD.size + 6)
    batch, reader = read(path)
    assert batch.names == ["p"]
    assert reader.findings.lost == 1 + 5


def test_a_reader_may_begin_at_any_record(path):
    store = quiet_store(path)
    names = ("T", *(f"v{i}" for i in range(80)))
    for i in range(2000):
        store.append_row(EPOCH + i * MS, names, [i] * 81)
        if i % 100 == 0:
            store.append_row(EPOCH + i * MS + 1, ("rare",), (i,))
    die(store)
    all_records = records(segment(path).read_bytes())
    for index in range(1, len(all_records), 37):
        batch, reader = read(path, Position(1, all_records[index][0]))
        rows = sum(len(r) for r in batch.row_sets.values())
        assert rows == sum(body[0] == journal.Kind.ROW for _, _, body in all_records[index:])
        assert reader.findings.lost == 0


def test_records_longer_than_the_read_window_are_read(path):
    store = quiet_store(path)
    big = {"text": "x" * (9 << 20)}
    store.append_row(EPOCH, ("T",), (1,))
    store.put_metadata(EPOCH + MS, "big", big)
    store.append_row(EPOCH + 2 * MS, ("T",), (2,))
    assert len(big["text"]) > 2 * tail.READ
    assert store.metadata()["big"] == big
    assert store.read_series("T", Window())[1].tolist() == [1, 2]
    finish(store)
    reader = SnapshotStore(path)
    assert reader.metadata()["big"] == big
    reader.close()


def test_a_damaged_record_longer_than_the_read_window_is_skipped(path):
    store = quiet_store(path)
    store.put_metadata(EPOCH, "big", "x" * (5 << 20))
    store.append_row(EPOCH + 2 * MS, ("T",), (2,))
    die(store)
    spoil(path, 3 << 20)
    batch, reader = read(path)
    assert rows_of(batch) == [2]
    assert reader.findings.lost == 1


def test_a_record_inside_the_bytes_of_an_array_is_not_taken_for_one(written, path):
    store = quiet_store(path)
    store.append_row(EPOCH, ("T",), (1,))
    inside = journal.frame(0, journal.row_struct(1).pack(2, 0, EPOCH, 666.0))
    put(store, EPOCH + MS, "trap", np.frombuffer(inside, np.uint8))
    store.append_row(EPOCH + 2 * MS, ("T",), (2,))
    number = store._segment
    die(store)
    trap = next(o for o, _, b in records(segment(path, number).read_bytes()) if b[0] == 8)
    spoil(path, trap + HEAD.size + 3, number)
    batch, _ = read(path, Position(number, 0))
    assert rows_of(batch) == [1, 2]


def test_segments_are_rotated_and_read_as_one(path):
    store = quiet_store(path, segment_size=1000)
    for i in range(300):
        store.append_row(EPOCH + i * MS, ("T",), (i,))
    assert len(SYSTEM_FILES.segments(path)) > 5
    assert store.read_series("T", Window())[1].tolist() == list(range(300))
    checkpoint(path)
    assert len(SYSTEM_FILES.segments(path)) == 1
    assert store.read_series("T", Window())[1].tolist() == list(range(300))
    store.sync()
    finish(store)
    assert side_files(path) == []


def test_parts_of_an_array_in_dropped_or_kept_segments_make_the_array(path):
    """Checkpoints between the parts of an array lose none of them."""
    array = np.random.default_rng(1).random(700_000)

    class CheckpointingBetween(Files):
        busy = False

        def writev(self, fd, parts):
            written = super().writev(fd, parts)
            if not self.busy and len(parts) > 2:
                self.busy = True
                checkpoint(path)
                self.busy = False
            return written

    for size in (1 << 20, 64 << 20):
        path.unlink(missing_ok=True)
        store = quiet_store(path, files=CheckpointingBetween(), segment_size=size)
        reader = SnapshotStore(path)
        store.append_row(EPOCH, ("T",), (1,))
        put(store, EPOCH + MS, "a", array)
        for one in (store, reader):
            assert np.array_equal(one.dataset_record("a", 0), array)
        late = SnapshotStore(path)
        assert np.array_equal(late.dataset_record("a", 0), array)
        late.close()
        reader.close()
        checkpoint(path)
        assert np.array_equal(store.dataset_record("a", 0), array)
        put(store, EPOCH + 2 * MS, "a", array)
        die(store)
        again = quiet_store(path)
        assert np.array_equal(again.dataset_record("a", 1), array)
        assert "lost" not in again.report
        finish(again)
        assert side_files(path) == []


def test_an_array_that_failed_in_the_middle_keeps_no_segments(path):
    class Full(Files):
        room = 100

        def writev(self, fd, parts):
            self.room -= 1
            if self.room < 0:
                raise OSError(28, "No space left on device")
            return super().writev(fd, parts)

    files = Full()
    store = quiet_store(path, files=files, segment_size=1 << 20)
    files.room = 3
    with pytest.raises(StorageError, match="not stored"):
        put(store, EPOCH, "a", np.zeros(1_000_000))
    files.room = 100
    store.append_row(EPOCH + MS, ("T",), (1,))
    assert store.datasets() == {}
    put(store, EPOCH + 2 * MS, "a", np.zeros(300_000))
    checkpoint(path)
    assert len(SYSTEM_FILES.segments(path)) == 1
    assert store.datasets()["a"].n == 1
    finish(store)
    assert side_files(path) == []


@pytest.mark.parametrize("looks", range(9))
def test_a_record_seen_while_it_is_being_written_is_not_damage(written, looks):
    """The reader looks, the writer finishes that record and writes others, the reader looks on."""
    offset, end, _ = records(segment(written).read_bytes())[6]

    class Growing(Files):
        left = looks

        def pread(self, fd, size, at):
            whole = super().pread(fd, size, at)
            self.left -= 1
            return whole if self.left < 0 else whole[: max(0, (offset + end) // 2 - at)]

    reader, batch = JournalReader(Growing(), SessionPaths(written), START, ""), Batch()
    reader.read(batch)
    reader.read(batch)
    reader.close()
    assert len(rows_of(batch)) == 20
    assert (reader.findings.lost, reader.findings.damaged) == (0, [])


def test_an_interrupt_between_write_and_note_desynchronises_nothing(path):
    class Interrupted(Files):
        now = False

        def write(self, fd, data):
            written = super().write(fd, data)
            if self.now:
                self.now = False
                raise KeyboardInterrupt
            return written

    files = Interrupted()
    store = quiet_store(path, files=files, segment_size=20_000)
    for i in range(1000):
        files.now = i % 3 == 0
        try:
            store.append_row(EPOCH + i * MS, ("T",), (i,))
        except KeyboardInterrupt:
            assert i % 3 == 0
    put(store, EPOCH + 2000 * MS, "a", np.arange(300_000))
    values = store.read_series("T", Window())[1].tolist()
    assert values == sorted(values)
    assert {i for i in range(1000) if i % 3} <= set(values)
    assert np.array_equal(store.dataset_record("a", 0), np.arange(300_000))
    die(store)
    again = quiet_store(path)
    assert again.read_series("T", Window())[1].tolist() == values
    assert "lost" not in again.report
    finish(again)


@pytest.mark.parametrize("short", [0, 1, 30])
def test_a_short_write_raises_and_leaves_nothing_behind(path, short):
    class Short(Files):
        now = False

        def write(self, fd, data):
            return super().write(fd, data[:short] if self.now else data)

    files = Short()
    store = quiet_store(path, files=files)
    store.append_row(EPOCH, ("T",), (1,))
    size = segment(path).stat().st_size
    files.now = True
    for name in ("T", "new"):
        with pytest.raises(StorageError, match="not stored"):
            store.append_row(EPOCH + MS, (name,), (2,))
    assert segment(path).stat().st_size == size
    assert store.last_values() == {"T": (EPOCH / 1e9, 1.0)}
    files.now = False
    store.append_row(EPOCH + 2 * MS, ("T",), (3,))
    assert store.read_series("T", Window())[1].tolist() == [1, 3]
    finish(store)


def test_a_segment_that_cannot_be_cut_back_is_left_for_a_new_one(path):
    class Stuck(Files):
        now = False

        def write(self, fd, data):
            if self.now:
                os_write = super().write(fd, data[:20])
                assert os_write == 20
                raise OSError(5, "Input/output error")
            return super().write(fd, data)

        def truncate(self, fd, size):
            if self.now:
                raise OSError(5, "Input/output error")
            super().truncate(fd, size)

    files = Stuck()
    store = quiet_store(path, files=files)
    store.append_row(EPOCH, ("T",), (1,))
    files.now = True
    with pytest.raises(StorageError):
        store.append_row(EPOCH + MS, ("T",), (2,))
    files.now = False
    store.append_row(EPOCH + 2 * MS, ("T",), (3,))
    assert [n for n, _ in SYSTEM_FILES.segments(path)] == [1, 2]
    assert store.read_series("T", Window())[1].tolist() == [1, 3]
    finish(store)


def test_a_journal_of_a_newer_format_or_of_another_session_is_refused(written):
    data = segment(written).read_bytes()
    end = records(data)[0][1]
    for content, error in (
        ({"version": 2, "session_uuid": ""}, NewerFormatError),
        ({"version": 1, "session_uuid": "other"}, DamagedFileError),
    ):
        header = journal.frame(1, journal.json_body(0, **content))
        segment(written).write_bytes(header + data[end:])
        with pytest.raises(error):
            SnapshotStore(written)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whatever_happens_to_one_stretch_of_bytes_the_rest_is_read(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("j") / "s.h5"
    paths = SessionPaths(path)
    values = list(range(30))
    parts = [
        journal.frame(1, journal.header_body("", 1)),
        journal.frame(2, journal.row_set_body(0, ("T",))),
    ]
    pack = journal.row_struct(1).pack
    parts += [journal.frame(3 + i, pack(2, 0, EPOCH + i * MS, i)) for i in values]
    whole = b"".join(parts)
    start = data.draw(st.integers(0, len(whole) - 1))
    spoilt = data.draw(st.binary(max_size=60))
    gone = data.draw(st.integers(0, 60))
    paths.segment(1).write_bytes(whole[:start] + spoilt + whole[start + gone :])
    batch, reader = read(path)
    got = rows_of(batch)
    first = len(b"".join(parts[:2]))
    touched = {
        i for i in values
        if start <= first + (i + 1) * 41 and start + gone >= first + i * 41
    }  # fmt: skip
    assert len(parts[2]) == 41
    assert got == sorted(set(got)), "in order, nothing twice"
    if start >= first:
        assert set(values) - touched <= set(got) <= set(values)
    assert whole.startswith(MAGIC)
    assert reader.findings.records >= len(got)
