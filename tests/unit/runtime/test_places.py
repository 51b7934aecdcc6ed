import gc
import sys
import threading

from pymanip_run.runtime.places import frame_of


def test_no_garbage_is_collected_while_frames_are_looked_up(monkeypatch):
    look, collects = sys._current_frames, []

    def looked_up():
        collects.append(gc.isenabled())
        return look()

    monkeypatch.setattr(sys, "_current_frames", looked_up)
    assert frame_of(threading.get_ident()) is not None
    assert collects == [False]
    assert gc.isenabled()


def test_a_thread_that_is_not_there_has_no_frame():
    assert frame_of(-1) is None
    assert frame_of(None) is None
