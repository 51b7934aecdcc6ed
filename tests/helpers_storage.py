"""What the tests of the storage engine share: stores without a checkpointer, reading everything, comparing."""

import math
import os
import signal
import sys
import threading
import traceback

import numpy as np

from pymanip_run.records import Window
from pymanip_run.storage.checkpoint import Checkpoint, recover
from pymanip_run.storage.files import SYSTEM_FILES, SessionPaths
from pymanip_run.storage.segments import refuse_closed
from pymanip_run.storage.snapshot import SnapshotStore
from pymanip_run.storage.store import FileStore
from pymanip_run.storage.values import encode_value

EPOCH = 1_760_000_000_000_000_000
MS = 1_000_000


def quiet_store(path, **options):
    """A store without a checkpointer process: the test decides when there is a checkpoint."""
    return FileStore(path, checkpoint_period=math.inf, **options)


def checkpoint(path, files=SYSTEM_FILES):
    """Bring the session file up to date with the journal, in this process."""
    engine = Checkpoint(files, SessionPaths(path))
    try:
        while engine.advance():
            pass
        assert engine.pending is None
    finally:
        engine.close()


def die(store):
    """Let go of everything as a killed process does; the lock file stays, unlocked."""
    store._close_journal(refuse_closed)
    SnapshotStore.close(store)
    os.close(store._lock_fd)


def finish(store):
    """Close a quiet store without starting a process for it; return the report."""
    die(store)
    return recover(SYSTEM_FILES, store._paths, remove_lock=True)


def in_a_fork(call):
    """Call in a forked process, which ends without a word however it ends; return its exit status.

    An error inside HDF5 is only for a process that ends at it: the library's state is undefined afterwards.
    """
    pid = os.fork()
    if not pid:
        try:
            status = call()
            os._exit(status if isinstance(status, int) else 0)
        except BaseException:  # noqa: BLE001 - nothing of this process may go on in the fork
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def put(store, ns, name, value):
    """Add a record to a dataset, as the recorder does."""
    stored, python_type = encode_value(name, value)
    store.append_array(ns, name, stored, python_type)


def everything(store):
    """All that a store can tell, but for its identity."""
    datasets = store.datasets()
    return {
        "variables": store.variables(),
        "last": store.last_values(),
        "series": {name: store.read_series(name, Window()) for name in store.variables()},
        "parameters": store.parameters(),
        "metadata": store.metadata(),
        "datasets": datasets,
        "times": {name: store.dataset_times(name) for name in datasets},
        "records": {
            name: [store.dataset_record(name, i) for i in range(info.n)]
            for name, info in datasets.items()
        },
        "events": store.events(),
        "runs": store.runs(),
        "points": {run.index: store.sweep_points(run.index) for run in store.runs()},
    }


def same(a, b):
    """Whether two values are the same, with types, shapes, dtypes, and NaN equal to itself."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return (
            isinstance(a, np.ndarray)
            and isinstance(b, np.ndarray)
            and a.dtype == b.dtype
            and a.shape == b.shape
            and (a.tobytes() == b.tobytes() or repr(a.tolist()) == repr(b.tolist()))
        )
    if hasattr(a, "__dataclass_fields__"):
        return type(a) is type(b) and all(
            same(x := getattr(a, key), y := getattr(b, key))
            or (key in {"mean", "m2"} and math.isclose(x, y, rel_tol=1e-9))  # depend on the batches
            for key in a.__dataclass_fields__
        )
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, complex):
        return same(a.real, b.real) and same(a.imag, b.imag)
    if isinstance(a, float):
        return a == b or (math.isnan(a) and math.isnan(b))
    return a == b


def differences(a, b, path=""):
    """Where two results of `everything` differ, for the message."""
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return [d for key in a for d in differences(a[key], b[key], f"{path}/{key}")]
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return [
            d
            for i, (x, y) in enumerate(zip(a, b, strict=True))
            for d in differences(x, y, f"{path}[{i}]")
        ]
    return [] if same(a, b) else [f"{path}: {a!r} is not {b!r}"]


def side_files(path):
    """Names of the files beside a session."""
    return sorted(p.name for p in path.parent.iterdir() if p.name != path.name)


def kill(pid):
    """End a process as the kernel does when memory runs out."""
    os.kill(pid, signal.SIGKILL)


def wait_until(condition, seconds=10.0):
    """Wait for something another process does; there is nothing to be notified by."""
    tick = threading.Event()
    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        tick.wait(0.01)
    raise AssertionError(f"did not happen within {seconds} s")
