"""Session files made to do harm: refused by every reader, in seconds, in one sentence, in little memory."""

import contextlib
import io
import json
import os
import resource
import shutil
import struct
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers_storage import EPOCH, MS, die, finish, put, quiet_store

from pymanip_run import SavedAsyncSession
from pymanip_run.cli import format as _format  # noqa: F401 - imported once, before the forks
from pymanip_run.cli.app import build
from pymanip_run.cli.outcome import _run
from pymanip_run.core.view import SessionView
from pymanip_run.describe import describe
from pymanip_run.errors import PymanipError, StorageError
from pymanip_run.experiment.build import modules as _modules  # noqa: F401 - as above
from pymanip_run.export import csv as _csv  # noqa: F401 - as above
from pymanip_run.records import Event, Window
from pymanip_run.storage import journal, transaction
from pymanip_run.storage.compact import compact
from pymanip_run.storage.files import SYSTEM_FILES, SessionPaths
from pymanip_run.storage.journal import HEAD, Kind
from pymanip_run.storage.opening import recover_by_hand
from pymanip_run.storage.overlay import Change
from pymanip_run.storage.redo import Redo
from pymanip_run.storage.snapshot import SnapshotStore
from pymanip_run.storage.store import FileStore
from pymanip_run.storage.verify import verify

ADDRESS_SPACE = 1536 << 20
GROWTH = 500 << 20
SECONDS = 20
PIB = 2**50
LIBVER = ("v110", "v110")


def session(path):
    """A little of everything, all of it in the HDF5 file."""
    store = quiet_store(path)
    for i in range(20):
        store.append_row(EPOCH + i * MS, ("T", "p"), (i, -i))
    put(store, EPOCH, "frame", np.arange(12).reshape(3, 4))
    put(store, EPOCH, "text", "words")
    store.put_parameter(EPOCH, "voltage", 3.0, "V")
    store.put_metadata(EPOCH, "who", ["night", "shift"])
    store.put_attributes(EPOCH, "T", {"unit": "K"})
    store.append_event(Event(EPOCH, "note", "test", "refilled"))
    store.put_run(EPOCH, 0, {"start": 1.0, "host": "lab"}, {"experiment": "tasks: []"})
    finish(store)
    return path


# -- what may be wrong with the HDF5 file ---------------------------------------------------------

MEMBERS = [
    "variables", "variables/T", "variables/T/time", "variables/T/value", "parameters", "parameters/voltage",
    "metadata", "metadata/who", "datasets", "datasets/frame", "datasets/frame/000000",
    "datasets/frame/000000/time", "datasets/frame/000000/value", "events", "statistics", "runs", "runs/000000",
    "runs/000000/experiment",
]  # fmt: skip
DATASETS = [m for m in MEMBERS if m.split("/")[-1] in {
    "time", "value", "voltage", "who", "events", "statistics", "experiment",
}]  # fmt: skip


def with_link(member, link):
    def change(h5):
        folder, _, name = member.rpartition("/")
        h5.move(member, "moved") if link == "soft" else h5[folder or "/"].pop(name)
        h5[folder or "/"][name] = {
            "external": lambda: h5py.ExternalLink("/etc/passwd", "/"),
            "soft": lambda: h5py.SoftLink("/moved"),
            "dangling": lambda: h5py.SoftLink("/nowhere"),
            "cyclic": lambda: h5py.SoftLink(f"/{member}"),
        }[link]()

    return change


def replaced(member, make):
    """Another dataset in the place of one, with its attributes."""

    def change(h5):
        folder, _, name = member.rpartition("/")
        folder = h5[folder or "/"]
        attributes = {
            k: v for k, v in folder[name].attrs.items()
            if k not in {"CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST"}
        }  # fmt: skip
        dtype, shape = folder[name].dtype, folder[name].shape
        del folder[name]
        make(folder, name, dtype, shape)
        for key, value in attributes.items():
            folder[name].attrs[key] = value

    return change


def outside(folder, name, dtype, shape):
    """Its bytes in another file; texts of any length HDF5 does not keep outside."""
    dtype = "<f8" if dtype.hasobject else dtype
    folder.create_dataset(
        name, shape or (1,), dtype, external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)]
    )


def virtual(folder, name, dtype, shape):
    layout = h5py.VirtualLayout(shape or (1,), "<f8" if dtype.hasobject else dtype)
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", layout.shape)
    folder.create_virtual_dataset(name, layout)


def huge(folder, name, dtype, shape):
    rest = shape[1:]
    folder.create_dataset(
        name, (8 * PIB // max(1, dtype.itemsize), *rest), dtype,
        maxshape=(None, *rest), chunks=(64, *rest),
    )  # fmt: skip


def wide(folder, name, dtype, shape):
    folder.create_dataset(name, (1, 2**25, 2**25), "<f8", chunks=(1, 64, 64))


def of(dtype, shape=None):
    def make(folder, name, _dtype, old_shape):
        folder.create_dataset(name, old_shape if shape is None else shape, dtype)

    return make


def group(folder, name, _dtype, _shape):
    folder.create_group(name)


def bomb(times):
    def make(folder, name, dtype, shape):
        space = h5py.h5s.create_simple((1 << 27,), (h5py.h5s.UNLIMITED,))
        settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        settings.set_chunk((1 << 20,))
        for _ in range(times):
            settings.set_deflate(9)
        made = h5py.h5d.create(folder.id, name.encode(), h5py.h5t.IEEE_F64LE, space, settings)
        from zlib import compress

        data = bytes(8 << 20)
        for _ in range(times):
            data = compress(data, 9)
        for start in range(0, 1 << 27, 1 << 20):
            made.write_direct_chunk((start,), data)

    return make


def one_large_chunk(folder, name, _dtype, _shape):
    from zlib import compress

    made = folder.create_dataset(name, (1 << 27,), "<f8", chunks=(1 << 27,), compression="gzip")
    made.id.write_direct_chunk((0,), compress(bytes(1 << 30), 1))


def unknown_filter(folder, name, dtype, shape):
    settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    settings.set_chunk((64,))
    settings.set_filter(32999, h5py.h5z.FLAG_OPTIONAL, (1, 2, 3))
    space = h5py.h5s.create_simple((len(np.empty(shape)) if shape else 64,), (h5py.h5s.UNLIMITED,))
    made = h5py.h5d.create(folder.id, name.encode(), h5py.h5t.IEEE_F64LE, space, settings)
    made.write_direct_chunk((0,), bytes(512), 0)
    assert dtype is not None


def shared_text(h5):
    """A text of 4 MB that each of 20 000 events has: 80 GB."""
    table = h5["events"]
    table.resize((20_000,))
    table[0] = (1.0, "note", "x", "y" * (4 << 20))
    _, chunk = table.id.read_direct_chunk((0,))
    for start in range(0, 20_000, 256):
        table.id.write_direct_chunk((start,), chunk[:56] * 256)


def lying_length(h5):
    """A text that says to be 4 GB long."""
    table = h5["events"]
    _, chunk = table.id.read_direct_chunk((0,))
    table.id.write_direct_chunk((0,), chunk[:40] + struct.pack("<I", 2**32 - 1) + chunk[44:])


def many_parameters(h5):
    for i in range(500):
        h5["parameters"].create_dataset(f"q{i}", data=np.zeros(200_000))


def same_text_everywhere(h5):
    with contextlib.suppress(KeyError):
        for i in range(20_000):
            h5[f"metadata/x{i}"] = h5["metadata/who"]


def a_loop(member):
    def change(h5):
        folder, _, name = member.rpartition("/")
        del h5[member]
        h5[folder or "/"][name] = h5[folder or "/"]

    return change


def attribute(item, name, value, dtype=None):
    def change(h5):
        target = h5[item]
        if name in target.attrs:
            del target.attrs[name]
        target.attrs.create(name, value(h5) if callable(value) else value, dtype=dtype)

    return change


def nested(h5):
    here = h5["datasets"]
    for _ in range(10_000):
        here = here.create_group("g")


def json_bomb(h5):
    del h5["metadata/who"]
    item = h5["metadata"].create_dataset("who", data="[" * 500_000 + "]" * 500_000)
    item.attrs["json"] = True


def json_deep(h5):
    del h5["metadata/who"]
    item = h5["metadata"].create_dataset("who", data="[" * 800 + "]" * 800)
    item.attrs["json"] = True


def deep_type(h5):
    kind = h5py.h5t.IEEE_F64LE
    for _ in range(700):
        outer = h5py.h5t.create(h5py.h5t.COMPOUND, kind.get_size())
        outer.insert(b"a", 0, kind)
        kind = outer
    del h5["datasets/frame/000000/value"]
    space = h5py.h5s.create_simple((1,))
    h5py.h5d.create(h5["datasets/frame/000000"].id, b"value", kind, space)


REFERENCE, REGION = h5py.ref_dtype, h5py.regionref_dtype
NUMBERS = h5py.vlen_dtype(np.dtype("<f8"))

CHANGES = {
    **{f"external link at {m}": with_link(m, "external") for m in MEMBERS},
    **{f"{link} link at {m}": with_link(m, link) for m in MEMBERS[1:-2:4]
       for link in ("soft", "dangling", "cyclic")},
    **{f"bytes outside at {m}": replaced(m, outside) for m in DATASETS},
    **{f"virtual at {m}": replaced(m, virtual) for m in DATASETS},
    **{f"8 PiB at {m}": replaced(m, huge) for m in DATASETS},
    **{f"references at {m}": replaced(m, of(REFERENCE)) for m in DATASETS},
    **{f"group at {m}": replaced(m, group) for m in DATASETS if "experiment" not in m},
    **{f"unknown filter at {m}": replaced(m, unknown_filter) for m in DATASETS if "experiment" not in m},
    **{f"loop at {m}": a_loop(m) for m in ("variables", "variables/T", "datasets/frame", "datasets/frame/000000",
                                           "parameters", "metadata", "runs/000000")},
    "region references": replaced("datasets/frame/000000/value", of(REGION)),
    "arrays of any length": replaced("datasets/frame/000000/value", of(NUMBERS)),
    "arrays of any length as a variable": replaced("variables/T/value", of(NUMBERS)),
    "a record of 8 PiB": replaced("datasets/frame/000000/value", wide),
    "a value in two dimensions": replaced("variables/T/value", of("<f8", (3, 3))),
    "texts as values": replaced("variables/T/value", of("S10")),
    "bomb": replaced("variables/T/value", bomb(2)),
    "bomb as time": replaced("datasets/frame/000000/time", bomb(2)),
    "one large compressed chunk": replaced("variables/T/value", one_large_chunk),
    "one large compressed chunk of times": replaced("variables/T/time", one_large_chunk),
    "one text for many events": shared_text,
    "a text of 4 GB": lying_length,
    "arrays as parameters": many_parameters,
    "one text under many names": same_text_everywhere,
    "a JSON bomb": json_bomb,
    "deep JSON": json_deep,
    "a type in a type": deep_type,
    **{f"{key} is {what}": attribute("/", key, value) for key in ("format", "format_version", "session_uuid", "wal_pos",
       "transaction", "created", "title")
       for what, value in {"a table": np.zeros((50, 50)), "a reference": lambda h5: h5["events"].ref,
                           "empty": h5py.Empty("f8"), "large": np.zeros(200_000)}.items()},
    "a journal position beyond all": attribute("/", "wal_pos", np.array([2**64 - 1] * 2, "u8")),
    "a transaction beyond all": attribute("/", "transaction", np.uint64(2**64 - 1)),
    **{f"{key} of a variable is {what}": attribute("variables/T", key, value)
       for key in ("name", "unit", "long_name", "period")
       for what, value in {"a reference": lambda h5: h5["events"].ref, "large": np.zeros(200_000)}.items()},
    "the host of a run is a table": attribute("runs/000000", "host", np.zeros((9, 9))),
    "a parameter's time is a text": attribute("parameters/voltage", "time", "now"),
    "a python type is large": attribute("datasets/frame/000000", "python_type", np.zeros(200_000)),
}  # fmt: skip


# -- every reader, in a process with little memory ------------------------------------------------


def read_everything(path):
    store = SnapshotStore(path)
    try:
        for name in store.variables():
            store.read_series(name, Window())
        store.last_values(), store.parameters(), store.metadata(), store.events(), store.runs()
        for name, info in store.datasets().items():
            store.dataset_times(name)
            for i in range(min(info.n, 3)):
                store.dataset_record(name, i)
    finally:
        store.close()


def described(path):
    store = SnapshotStore(path)
    try:
        json.dumps(describe(SessionView(store, "s"), str(path)))
    finally:
        store.close()


def saved(path):
    with SavedAsyncSession(path, verbose=False) as s:
        {name: v.values for name, v in s.logged_data().items()}
        s.print_description()


def write(path):
    store = FileStore(path, checkpoint_period=1e9)
    store.append_row(EPOCH * 2, ("T",), (1.0,))
    store.close()


def command(*arguments):
    def call(path):
        out, said = io.StringIO(), io.StringIO()
        out.buffer = io.BytesIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(said):
            code = _run(build(), "pymanip-run", [a.format(path) for a in arguments])
        text = out.getvalue() + said.getvalue()
        assert "Traceback" not in text, text
        assert "\x1b" not in text
        assert "\x07" not in text
        if code:
            assert code == 4, (code, text)
            raise StorageError(said.getvalue().strip() or text.strip().replace("\n", " · "))

    return call


def verified(path):
    result = verify(path)
    if not result.healthy:
        raise StorageError(result.problems[0])


READERS = {
    "read": read_everything,
    "describe": described,
    "saved": saved,
    "verify": verified,
    "inspect": command("inspect", "{}"),
    "inspect --json": command("inspect", "{}", "--json"),
    "inspect --verify": command("inspect", "{}", "--verify"),
    "export": command("export", "{}", "-o", "-"),
    "recover": recover_by_hand,
    "compact": compact,
    "write": write,
}
ALONE = {
    "last": lambda path: SnapshotStore(path).last_values(),
}


#: Those below the command line; the others only for some of the files, for the sake of time.
ENGINE = ("read", "describe", "verify", "compact")
SHOWN = (
    "external link at variables", "external link at statistics", "cyclic link at variables/T/value", "bomb", "a JSON bomb",
    "8 PiB at statistics", "8 PiB at parameters/voltage", "loop at variables", "one text for many events", "deep JSON",
    "unit of a variable is large", "wal_pos is a table",
)  # fmt: skip


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def address_space():
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def attempt(reader, path):
    """Call a reader in a fork with little memory; return what it raised, in words, and what it cost."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(read_end)
        try:
            # Beyond what this process has taken already: libraries reserve hundreds of megabytes.
            limit = address_space() + ADDRESS_SPACE
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
            # Of the processor's time: what a crowded computer adds says nothing of the reader.
            before, started, said = peak(), time.process_time(), None
            try:
                (READERS | ALONE)[reader](path)
            except PymanipError as error:
                said = ["refused", str(error)]
            except BaseException as error:  # noqa: BLE001 - is what must not be
                said = ["failed", f"{type(error).__name__}: {error}"]
            cost = [time.process_time() - started, peak() - before]
            os.write(write_end, json.dumps([said, cost]).encode()[:60_000])
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        answer = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert answer, f"{reader} ended with {status}"
    return json.loads(answer)


def attempts(path, readers=READERS):
    """Let every reader try a copy; return the sentences of those that refused."""
    sentences = {}
    for reader in readers:
        copy = path.parent / "copies" / reader.replace(" ", "_")
        copy.mkdir(parents=True)
        for one in path.parent.iterdir():
            if one.is_file() or one.is_symlink():
                shutil.copy2(one, copy / one.name, follow_symlinks=False)
        said, (seconds, growth) = attempt(reader, copy / path.name)
        shutil.rmtree(copy)
        assert seconds < SECONDS, (reader, said, seconds)
        assert growth < GROWTH, (reader, said, growth)
        if said is not None:
            assert said[0] == "refused", (reader, said)
            assert "\n" not in said[1], (reader, said)
            assert 20 < len(said[1]) < 700, (reader, said)
            sentences[reader] = said[1]
    shutil.rmtree(path.parent / "copies")
    return sentences


@pytest.mark.parametrize("what", CHANGES)
def test_a_hostile_file_is_refused_by_every_reader_that_meets_it(tmp_path, what):
    path = session(tmp_path / "s.h5")
    with h5py.File(path, "r+", libver=LIBVER) as h5:
        CHANGES[what](h5)
    writing = ("write",) if what.startswith(("external", "soft", "loop")) else ()
    sentences = attempts(path, list(READERS) if what in SHOWN else ENGINE + writing)
    assert sentences, "nobody noticed"


# -- what is shown ---------------------------------------------------------------------------------


def test_names_and_texts_cannot_act_on_the_terminal(tmp_path, capsys):
    bad = "[red]\x1b[31m\x07\u202e\n[/nonsense]"
    path = session(tmp_path / "s.h5")
    with h5py.File(path, "r+", libver=LIBVER) as h5:
        h5.attrs["title"] = bad
        h5["variables/T"].attrs["unit"] = bad
        h5["variables/T"].attrs["long_name"] = bad
        h5["parameters/voltage"].attrs["name"] = bad
        h5["datasets/frame"].attrs["name"] = bad
        h5["runs/000000"].attrs["host"] = bad
        h5["variables/T/value"][3] = 1e9
        row = h5["statistics"][0]
        row["name"] = bad.encode()
        h5["statistics"][0] = row
        event = h5["events"][0]
        event["text"] = bad
        h5["events"][0] = event
    for arguments in (
        ["inspect"],
        ["inspect", "--events"],
        ["inspect", "--json"],
        ["inspect", "--verify"],
    ):
        _run(build(), "pymanip-run", [*arguments, str(path)])
        shown = "".join(capsys.readouterr())
        assert not {"\x1b", "\x07", "\u202e"} & set(shown), arguments
        assert "[red]" in shown


# -- the journal -----------------------------------------------------------------------------------


def array_record(raw=b"", **content):
    known = {"ns": 1, "name": "a", "python_type": None, "dtype": "<f8", "shape": [len(raw) // 8]}
    return journal.array_head(known | content) + raw


def names_record(number, names):
    return bytes((Kind.ROW_SET,)) + struct.pack("<I", number) + journal.dump_json(names)


JOURNALS = {
    "an array of objects": [array_record(bytes(16), dtype="|O")],
    "a large item": [array_record(bytes(16), dtype="|V1000000000", shape=[1])],
    "a product that overflows": [array_record(bytes(16), shape=[2**32, 2**32, 2**32])],
    "a negative length": [array_record(bytes(16), shape=[-2])],
    "no shape": [array_record(bytes(16), shape=None)],
    "a dtype in a dtype": [array_record(bytes(16), dtype=[["a", [["b", "|O"]]]])],
    "parts from nowhere": [array_record(id=7, parts=[[10**9, 0, 10], [-1, 0, 8]], shape=[2])],
    "parts in another folder": [array_record(id=7, parts=[["../../x", 0, 16]], shape=[2])],
    "one part many times": [array_record(id=7, parts=[[1, 0, 1 << 20]] * 100_000, shape=[100_000 << 17])],
    "parts beyond all": [array_record(id=7, parts=[[1, 2**64, 2**64]], shape=[2**61])],
    "a JSON bomb": [bytes((Kind.METADATA,)) + b"[" * 1_000_000],
    "deep JSON": [bytes((Kind.METADATA,)) + b'{"ns":1,"name":"x","value":' + b"[" * 900 + b"]" * 900 + b"}"],
    "no JSON": [bytes((Kind.EVENT,)) + b"\xff\xfe", bytes((Kind.PARAMETER,))],
    "JSON of another kind": [bytes((Kind.EVENT,)) + b"[1]", bytes((Kind.RUN,)) + b"null"],
    "times that are none": [bytes((Kind.EVENT,)) + journal.dump_json({"ns": 10**400, "kind": "a", "source": "b", "text": "c"})],
    "names that are none": [names_record(9, [["a"], 7]), names_record(9, {"a": 1})],
    "a number of a run beyond all": [journal.json_body(Kind.RUN, index=10**30, attributes={}, texts={})],
    "a value that is none": [journal.json_body(Kind.PARAMETER, ns=1, name="x", value=[1], unit=None)],
    "a unit that is none": [journal.json_body(Kind.ATTRIBUTES, ns=1, name="T", attributes={"unit": [1]})],
    "cut bodies": [bytes((Kind.ROW_SET,)), bytes((Kind.ROW,)), bytes((Kind.ARRAY,)), bytes((Kind.ARRAY_PART,))],
    "a million names": [names_record(9, [f"n{i}" for i in range(1_000_000)])],
}  # fmt: skip


def crashed(path, bodies, before=b"", after=b""):
    """A session with a journal that has good entries and, with right checksums, these records."""
    store = quiet_store(path)
    for i in range(10):
        store.append_row(EPOCH + i * MS, ("T",), (i,))
    sequence = store._sequence
    die(store)
    with SessionPaths(path).segment(1).open("ab") as file:
        file.write(before)
        for number, body in enumerate(bodies, 1):
            file.write(journal.frame(sequence + number, body))
        file.write(after)
    return path


@pytest.mark.parametrize("what", JOURNALS)
def test_made_up_records_are_damage_and_all_others_are_there(tmp_path, what):
    path = crashed(tmp_path / "s.h5", JOURNALS[what])
    sentences = attempts(path, ["read", "describe", "recover"])
    assert set(sentences) <= {"read", "describe"}
    assert what == "a million names" or not verify(path).healthy
    recover_by_hand(path)
    store = SnapshotStore(path)
    assert store.read_series("T", Window())[1].tolist() == list(range(10))
    assert not store.datasets()
    store.close()


def test_records_of_a_kind_from_the_future_are_refused(tmp_path):
    path = crashed(tmp_path / "s.h5", [bytes((77,)) + b"x"])
    sentences = attempts(path)
    assert sentences.keys() == READERS.keys()
    assert all("kind 77" in said for said in sentences.values())


def test_a_journal_that_is_all_heads_of_long_records_is_searched_in_seconds(tmp_path):
    size = 24 << 20
    head = HEAD.pack(journal.MAGIC, size // 2, 10**6, 1)
    path = crashed(tmp_path / "s.h5", [], before=head * (size // len(head)))
    attempts(path, ["read", "describe", "recover"])


def test_a_record_that_says_to_be_4_gib_long_costs_nothing(tmp_path):
    head = HEAD.pack(journal.MAGIC, 2**32 - 1, 10**6, 1)
    path = crashed(tmp_path / "s.h5", [], after=head)
    with SessionPaths(path).segment(1).open("r+b") as file:
        file.truncate(5 << 30)  # and the file is so long: a hole
    said, (seconds, growth) = attempt("last", path)
    assert seconds < SECONDS
    assert growth < GROWTH
    assert said is None or said[0] == "refused"


# -- the redo file, the lock, and names that are something else ------------------------------------

REDOS = {
    "beyond the end": [Change(10**15, b"x")],
    "overlapping": [Change(0, b"x" * 48), Change(10, b"y")],
}


def redo_of(path, changes, length=None):
    size = path.stat().st_size
    store = SnapshotStore(path)
    uuid = store.info().uuid
    store.close()
    redo = Redo(9, __import__("uuid").UUID(uuid), size, length or size, 1, 2, changes)
    transaction.write_redo(SYSTEM_FILES, SessionPaths(path), redo)


@pytest.mark.parametrize("what", REDOS)
def test_a_made_up_redo_is_refused_and_nothing_is_touched(tmp_path, what):
    path = session(tmp_path / "s.h5")
    redo_of(path, REDOS[what])
    before = path.read_bytes()
    sentences = attempts(path)
    assert sentences.keys() == READERS.keys()
    assert path.read_bytes() == before


def test_a_redo_that_would_fill_the_disk_is_refused(tmp_path):
    path = session(tmp_path / "s.h5")
    redo_of(path, [Change(0, b"x")], 2**61)
    assert attempts(path, ["read", "recover", "write"]).keys() == {"read", "recover", "write"}


def test_a_redo_with_more_changes_than_bytes_is_refused(tmp_path):
    path = session(tmp_path / "s.h5")
    redo_of(path, [])
    from binascii import crc32

    place = SessionPaths(path).redo
    data = bytearray(place.read_bytes())
    data[12:16] = struct.pack("<I", 2**32 - 1)
    data[8:12] = crc32(data[12:]).to_bytes(4, "little")
    place.write_bytes(data)
    assert attempts(path, ["read", "recover"]).keys() == {"read", "recover"}


def test_a_huge_file_in_the_place_of_the_redo_costs_nothing(tmp_path):
    path = session(tmp_path / "s.h5")
    with SessionPaths(path).redo.open("wb") as file:
        file.truncate(2**40)
    assert read_everything(path) is None


SIDES = ["lock", "redo", "temporary"]


@pytest.mark.parametrize("side", [*SIDES, "segment"])
def test_a_side_file_that_is_a_symbolic_link_is_never_written_through(tmp_path, side):
    path = session(tmp_path / "s.h5")
    precious = tmp_path / "precious"
    precious.write_bytes(b"years of work" * 100)
    before = precious.read_bytes()
    paths = SessionPaths(path)
    (paths.segment(1) if side == "segment" else getattr(paths, side)).symlink_to(precious)
    for reader in (*READERS, "write", "recover"):
        with contextlib.suppress(PymanipError):
            READERS[reader](path)
        assert precious.read_bytes() == before, reader
    assert not [p for p in tmp_path.iterdir() if "damaged" in p.name]


def test_a_lock_that_is_a_users_file_is_not_overwritten(tmp_path):
    path = session(tmp_path / "s.h5")
    lock = SessionPaths(path).lock
    for content in (b"my notes " * 1000, b"another name"):
        lock.write_bytes(content)
        if content == b"another name":
            os.link(lock, tmp_path / "notes")
        with pytest.raises(StorageError, match="no lock of a session; move it elsewhere"):
            FileStore(path)
        assert lock.read_bytes() == content
        lock.unlink()


@pytest.mark.parametrize(
    "content",
    [b"[" * 4000, b"\xff" * 100, b'{"pid": -1}', b'{"pid": 1e400, "host": "\\u001b[31m"}', b"[]"],
)
def test_whatever_is_in_a_lock_file_is_no_reason_to_fail(tmp_path, content):
    path = session(tmp_path / "s.h5")
    SessionPaths(path).lock.write_bytes(content)
    write(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "what", ["pipe", "device", "folder", "segment that is a pipe", "redo that is a pipe"]
)
def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path, what):
    path = tmp_path / "s.h5"
    if what == "pipe":
        os.mkfifo(path)
    elif what == "device":
        path.symlink_to("/dev/zero")
    elif what == "folder":
        path.mkdir()
    else:
        paths = SessionPaths(session(path))
        os.mkfifo(paths.redo if "redo" in what else paths.segment(1))
    for call in (SnapshotStore, FileStore, verify, recover_by_hand):
        with pytest.raises(StorageError) as caught:
            call(path)
        assert "\n" not in str(caught.value)


def test_a_symbolic_link_to_a_session_is_the_session(tmp_path):
    (tmp_path / "disk").mkdir()
    path = session(tmp_path / "disk" / "s.h5")
    link = tmp_path / "link.h5"
    link.symlink_to(path)
    store = quiet_store(link)
    store.append_row(EPOCH * 2, ("T",), (1.0,))
    with pytest.raises(PymanipError, match="is being written"):
        FileStore(path)
    for name in (path, link):
        reader = SnapshotStore(name)
        assert reader.last_values()["T"][1] == 1.0
        reader.close()
    finish(store)
    compact(link)
    assert link.is_symlink()
    assert [p.name for p in path.parent.iterdir()] == ["s.h5"]


def test_plugins_of_hdf5_are_not_looked_for(tmp_path, monkeypatch):
    """A plugin folder with a pipe in it: who opens it waits for ever."""
    path = session(tmp_path / "s.h5")
    with h5py.File(path, "r+", libver=LIBVER) as h5:
        replaced("variables/T/value", unknown_filter)(h5)
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    os.mkfifo(plugins / "libevil.so")
    h5py.h5pl.prepend(bytes(plugins))
    try:
        assert "filter" in attempts(path, ["read", "compact"])["read"]
    finally:
        h5py.h5pl.remove(0)


# -- what is large and honest ----------------------------------------------------------------------


def test_constant_values_that_compress_very_well_are_read(tmp_path):
    path = tmp_path / "s.h5"
    store = quiet_store(path)
    names = tuple(f"v{i}" for i in range(10))
    for i in range(20_000):
        store.append_row(EPOCH + i * MS, names, (0.0,) * 10)
    put(store, EPOCH, "frame", np.zeros((4096, 2048)))
    finish(store)
    compact(path, level=9)
    assert verify(path).healthy
    store = SnapshotStore(path)
    assert store.dataset_record("frame", 0).nbytes == 64 << 20
    store.close()


def test_thousands_of_variables_are_a_session(tmp_path):
    path = tmp_path / "s.h5"
    store = quiet_store(path)
    store.append_row(EPOCH, tuple(f"v{i}" for i in range(3000)), (1.0,) * 3000)
    finish(store)
    write(path)
    assert len(SnapshotStore(path).variables()) == 3001
