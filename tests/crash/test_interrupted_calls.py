"""KeyboardInterrupt at every place in the writer where the interpreter looks for signals.

A call that was interrupted is there wholly or not at all; all others are there, once and in order; nothing
counts as lost or damaged; and what a later sync promises is on disk. A part of the places by default, all of them by::

    PYMANIP_RUN_TEST_INTERRUPTS=all pytest tests/crash/test_interrupted_calls.py
"""

import dis
import itertools
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from disk import Disk, RecordingFiles
from scenario import START, Call, found

import pymanip_run.storage
from pymanip_run.records import Event
from pymanip_run.storage import writer as writer_module
from pymanip_run.storage.checkpoint import Checkpoint, recover
from pymanip_run.storage.files import SYSTEM_FILES, SessionPaths
from pymanip_run.storage.opening import open_for_writing
from pymanip_run.storage.segments import refuse_closed
from pymanip_run.storage.verify import verify
from pymanip_run.storage.writer import JournalWriter

STEP = 1 if os.environ.get("PYMANIP_RUN_TEST_INTERRUPTS") == "all" else 67
FOLDER = Path(pymanip_run.storage.__file__).parent
OURS = {str(FOLDER / f"{name}.py") for name in ("writer", "segments", "syncing", "resync", "files")}
#: After these the interpreter looks whether there is a signal.
LOOKING = {"RESUME", "CALL", "CALL_KW", "CALL_FUNCTION_EX", "JUMP_BACKWARD"}


class Interrupter:
    """A trace function that raises once, at one of these places."""

    def __init__(self, at):
        self.at = at
        self.seen = 0
        self._before = {}
        self._codes = {}

    def __call__(self, frame, event, _argument):
        if frame.f_code.co_filename not in OURS:
            return None
        if event == "call":
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        elif event == "return":
            self._before.pop(frame, None)
        elif event == "opcode":
            code = self._codes.get(frame.f_code)
            if code is None:
                code = self._codes[frame.f_code] = frame.f_code.co_code
            before = self._before.get(frame)
            self._before[frame] = dis.opname[code[frame.f_lasti]]
            if before in LOOKING:
                self.seen += 1
                if self.seen == self.at:
                    raise KeyboardInterrupt
        return self


class Life:
    """Records, checkpoints and syncs, and goes on after the interrupt."""

    def __init__(self, folder):
        self.files = RecordingFiles()
        self.paths = SessionPaths(folder / "s.h5")
        opened = open_for_writing(self.files, self.paths, "")
        os.close(opened.lock_fd)
        self.writer = JournalWriter(self.files, self.paths, opened.uuid, opened.next_segment, 900)
        self.engine = Checkpoint(self.files, self.paths)
        self.calls, self.interrupted = [], []
        self.ns = START

    def do(self, interrupter, action, *contents):
        calls = [Call(what, name, self.ns // 1000, content) for what, name, content in contents]
        sys.settrace(interrupter)
        try:
            action()
        except KeyboardInterrupt:
            sys.settrace(None)
            self.interrupted.append(calls)
        else:
            self.calls += calls
        finally:
            sys.settrace(None)
        self.ns += 1_000_000

    def live(self, interrupter):
        writer, array = self.writer, np.arange(100.0)
        for i in range(24):
            names = ("a",) if i % 3 else ("a", "b")
            self.do(
                interrupter,
                lambda n=names, i=i: writer.append_row(self.ns, n, [i] * len(n)),
                *(("row", name, float(i)) for name in names),
            )
            if i % 6 == 2:
                both = [("x", array, None), ("y", array[:3], None)]
                self.do(
                    interrupter,
                    lambda both=both: writer.append_arrays(self.ns, both),
                    *(("array", name, one.tobytes()) for name, one, _ in both),
                )
            if i % 6 == 4:
                event = Event(self.ns, "note", "", str(i))
                self.do(
                    interrupter, lambda e=event: writer.append_event(e), ("event", "note", str(i))
                )
            if i % 8 == 5:
                self.do(interrupter, writer.sync)
            if i % 8 == 7:
                self.engine.advance()


def check(life, path):
    """Everything is there, the interrupted call wholly or not at all."""
    there = found(path)
    assert len(there) == len(set(there)), "something is there twice"
    assert set(life.calls) <= set(there), "something is lost"
    more = set(there) - set(life.calls)
    # An array in the parts of one interrupted call has no meaning without the others.
    assert more in [set(), *map(set, life.interrupted)]


def survives(folder, interrupter):
    (folder / "life").mkdir(parents=True)
    life = Life(folder / "life")
    life.live(interrupter)
    life.writer.sync()
    cut = Disk(life.files.log).after_power_cut(lambda: False, lambda lengths: lengths[0])
    check(life, life.paths.main)
    verification = verify(life.paths.main)
    assert verification.problems == []
    for name, content in cut.items():
        (folder / name).write_bytes(content)
    check(life, folder / "s.h5")
    assert "lost" not in recover(SYSTEM_FILES, SessionPaths(folder / "s.h5"), remove_lock=True)
    check(life, folder / "s.h5")
    life.writer._close_journal(refuse_closed)
    report = life.engine.finish()
    assert (report.lost, report.damaged_bytes) == (0, 0)
    check(life, life.paths.main)
    return life


@pytest.mark.timeout(900)
def test_an_interrupt_anywhere_in_a_call_costs_nothing_but_that_call(tmp_path, monkeypatch):
    monkeypatch.setattr(writer_module, "PART", 256)
    monkeypatch.setattr(writer_module, "HAND_OVER", 0)
    whole = Interrupter(-1)
    assert survives(tmp_path / "whole", whole).interrupted == []
    assert whole.seen > 1000
    interrupts = 0
    for number in itertools.count(1, STEP):
        interrupter = Interrupter(number)
        try:
            life = survives(tmp_path / str(number), interrupter)
        except Exception as error:
            error.add_note(f"interrupted at place {number}")
            raise
        if interrupter.seen < number:
            break
        interrupts += len(life.interrupted)
    assert interrupts > 1000 // STEP
