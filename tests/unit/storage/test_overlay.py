"""The overlay behaves as a file, and never changes the committed part of the real one."""

import os

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pymanip_run.storage.files import SYSTEM_FILES, Files
from pymanip_run.storage.overlay import PAGE, Overlay

SIZES = st.integers(0, 3 * PAGE)
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), SIZES, st.integers(1, PAGE + 50), st.integers(0, 255)),
        st.tuples(st.just("read"), SIZES, st.integers(0, 2 * PAGE)),
        st.tuples(st.just("truncate"), SIZES),
    ),
    max_size=30,
)


def apply(changes, data):
    for change in changes:
        data[change.offset : change.offset + len(change.data)] = change.data


@settings(max_examples=200, deadline=None)
@example(committed=0, operations=[("write", 0, 1, 1), ("truncate", 0), ("write", 1, 1, 0)])
@given(committed=SIZES, operations=OPERATIONS)
def test_it_behaves_as_a_bytearray(tmp_path_factory, committed, operations):
    path = tmp_path_factory.getbasetemp() / "overlay"
    base = bytes(i * 7 % 251 for i in range(committed))
    path.write_bytes(base)
    fd = os.open(path, os.O_RDWR)
    overlay, model, lowest = Overlay(SYSTEM_FILES, fd, committed), bytearray(base), committed
    for what, offset, *rest in operations:
        overlay.seek(offset)
        if what == "write":
            data = bytes([rest[1]]) * rest[0]
            model += bytes(max(0, offset - len(model)))
            model[offset : offset + len(data)] = data
            assert overlay.write(memoryview(data)) == len(data)
        elif what == "read":
            buffer = bytearray(rest[0])
            got = overlay.readinto(memoryview(buffer))
            assert bytes(buffer[:got]) == bytes(model[offset : offset + rest[0]])
        elif offset >= committed:  # HDF5 never gives up what is committed
            overlay.truncate(offset)
            del model[offset:]
            model += bytes(offset - len(model))
        lowest = min(lowest, overlay.length)
        assert overlay.length == len(model)
    assert path.read_bytes()[:committed] == base
    changed = bytearray(path.read_bytes().ljust(len(model), b"\0"))
    changes = overlay.changes()
    apply(changes, changed)
    os.close(fd)
    assert changed[: len(model)] == model
    assert all(c.offset + len(c.data) <= committed for c in changes)
    assert [c.offset < PAGE for c in changes] == sorted(c.offset < PAGE for c in changes)
    assert sum(c.offset < PAGE for c in changes) <= 1


def test_an_error_of_the_disk_is_remembered(tmp_path):
    class Full(Files):
        def pwrite(self, fd, data, offset):
            raise OSError(28, "No space left on device")

    (tmp_path / "f").write_bytes(b"x" * 100)
    fd = os.open(tmp_path / "f", os.O_RDWR)
    overlay = Overlay(Full(), fd, 100)
    overlay.seek(50)
    overlay.write(memoryview(b"y" * 10))
    assert overlay.failed is None
    with pytest.raises(OSError):
        overlay.write(memoryview(b"y" * 100))
    assert overlay.failed is not None
    os.close(fd)
