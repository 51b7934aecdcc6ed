"""A run that is not running, for displays."""

from pymanip_run.core.feed import Feed
from pymanip_run.core.recorder import Recorder
from pymanip_run.core.view import SessionView
from pymanip_run.storage.memory import MemoryStore


class StillRun:
    """A `RunState` whose fields are set by the test."""

    name = "convection"
    title = "Rayleigh-Bénard cell, run 12"
    path = "data/convection_2026-11-22.h5"
    started = 1_763_800_000.0
    duration = 14 * 86400.0
    stopping = None
    entries = 48_210
    file_size = 3_100_000
    safety = "all safe"
    address = "http://localhost:6913"

    def __init__(self, elapsed=8047.0, **changes):
        self.time = self.started + elapsed
        self.task_list, self.sweep_list, self.alarm_map = [], [], {}
        for name, value in changes.items():
            setattr(self, name, value)

    def now(self):
        return self.time

    def tasks(self):
        return self.task_list

    def sweeps(self):
        return self.sweep_list

    def alarms(self):
        return self.alarm_map


class Session:
    """Recorder, feed and view of a session in memory."""

    def __init__(self):
        store = MemoryStore("test")
        self.feed = Feed()
        self.recorder = Recorder(store, self.feed)
        self.view = SessionView(store, "test")
