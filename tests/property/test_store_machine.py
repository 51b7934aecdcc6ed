"""A session file does whatever a store in memory does, through checkpoints, crashes and re-openings."""

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
from helpers_storage import (
    EPOCH,
    checkpoint,
    die,
    differences,
    everything,
    finish,
    in_a_fork,
    put,
    quiet_store,
    side_files,
)
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pymanip_run.records import Event, Window
from pymanip_run.storage.checkpoint import Checkpoint, recover
from pymanip_run.storage.files import SYSTEM_FILES, Files, SessionPaths
from pymanip_run.storage.memory import MemoryStore
from pymanip_run.storage.snapshot import SnapshotStore

NAMES = st.sampled_from(["T", "p", "a/b", "_x", "é", "T2", "%2F"])
FLOATS = st.floats(width=64)
VALUES = st.one_of(
    FLOATS, st.text(max_size=5), st.lists(st.integers(), max_size=3), st.none(),
    st.integers(0, 3).map(lambda n: np.arange(n, dtype="f4")), st.just(np.zeros((2, 0))),
    st.just(np.arange(200_000.0)),
)  # fmt: skip
SEGMENTS = st.sampled_from([600, 5000, 1 << 20])


class Dying(Files):
    """Ends the checkpointer at its n-th positioned write."""

    def __init__(self, after):
        self.left = after

    def pwrite(self, fd, data, offset):
        self.left -= 1
        if self.left < 0:
            os._exit(0)
        return super().pwrite(fd, data, offset)


class StoreMachine(RuleBasedStateMachine):
    """The file and the model get the same calls; readers of both must see the same."""

    @initialize(segment=SEGMENTS)
    def begin(self, segment):
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "s.h5"
        self.segment = segment
        self.model = MemoryStore()
        self.file = quiet_store(self.path, segment_size=segment)
        self.reader = SnapshotStore(self.path)
        self.ns = EPOCH
        self.runs = 0

    def both(self, call):
        self.ns += 1_000_000
        call(self.file)
        call(self.model)

    @rule(
        names=st.lists(NAMES, min_size=1, max_size=4, unique=True),
        data=st.data(),
        count=st.integers(1, 40),
    )
    def append_rows(self, names, data, count):
        row = data.draw(st.lists(FLOATS, min_size=len(names), max_size=len(names)))
        for _ in range(count):
            self.both(lambda store: store.append_row(self.ns, tuple(names), tuple(row)))

    @rule(name=NAMES, value=VALUES)
    def append_array(self, name, value):
        self.both(lambda store: put(store, self.ns, name, value))

    @rule(
        name=NAMES,
        value=st.one_of(FLOATS, st.text(max_size=5), st.booleans()),
        unit=st.sampled_from([None, "V"]),
    )
    def put_parameter(self, name, value, unit):
        self.both(lambda store: store.put_parameter(self.ns, name, value, unit))

    @rule(name=NAMES, value=st.one_of(st.text(max_size=5), st.lists(st.integers(-5, 5))))
    def put_metadata(self, name, value):
        self.both(lambda store: store.put_metadata(self.ns, name, value))

    @rule(
        name=NAMES,
        key=st.sampled_from(["unit", "label", "format"]),
        value=st.sampled_from(["x", "ü\0"]),
    )
    def put_attributes(self, name, key, value):
        self.both(lambda store: store.put_attributes(self.ns, name, {key: value}))

    @rule(text=st.text(max_size=5))
    def append_event(self, text):
        self.both(lambda store: store.append_event(Event(self.ns, "note", "", text)))

    @rule()
    def run(self):
        index, self.runs = self.runs, self.runs + 1
        self.both(
            lambda store: store.put_run(self.ns, index, {"start": self.ns / 1e9}, {"argv": "[]"})
        )

    @rule()
    def sync(self):
        self.file.sync()

    @rule()
    def checkpoint(self):
        checkpoint(self.path)

    @rule(after=st.integers(0, 60))
    def checkpoint_that_dies(self, after):
        assert in_a_fork(lambda: Checkpoint(Dying(after), SessionPaths(self.path)).advance()) in {
            0,
            1,
        }

    @rule()
    def crash_and_continue(self):
        die(self.file)
        # In this process, which is quicker.
        recover(SYSTEM_FILES, SessionPaths(self.path), remove_lock=True)
        self.file = quiet_store(self.path, segment_size=self.segment)

    @rule()
    def close_and_continue(self):
        finish(self.file)
        assert side_files(self.path) == []
        self.file = quiet_store(self.path, segment_size=self.segment)

    @rule(name=NAMES, tail=st.one_of(st.none(), st.integers(0, 50)), back=st.integers(0, 100))
    def read_a_window(self, name, tail, back):
        window = Window((self.ns - back * 1_000_000) / 1e9, None, tail)
        wanted = [a.tolist() for a in self.model.read_series(name, window)]
        for store in (self.file, self.reader):
            assert repr([a.tolist() for a in store.read_series(name, window)]) == repr(wanted)

    @precondition(lambda self: hasattr(self, "model"))
    @invariant()
    def all_see_the_same(self):
        wanted = everything(self.model)
        assert differences(everything(self.file), wanted) == []
        assert differences(everything(self.reader), wanted) == []

    def teardown(self):
        if not hasattr(self, "model"):
            return
        wanted = everything(self.model)
        finish(self.file)
        assert differences(everything(self.reader), wanted) == []
        self.reader.close()
        assert side_files(self.path) == []
        shutil.rmtree(self.folder)


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
