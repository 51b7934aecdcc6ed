"""Large session files, made quickly: through the checkpointer's own code, in long batches."""

import uuid
from pathlib import Path

import numpy as np

from pymanip_run.storage import layout
from pymanip_run.storage.batch import Batch
from pymanip_run.storage.checkpoint import Checkpoint
from pymanip_run.storage.files import SYSTEM_FILES, SessionPaths
from pymanip_run.storage.journal import Position

START_NS = 1_700_000_000_000_000_000
STEP_NS = 10_000_000
BATCH = 32 << 20


def name(number: int) -> str:
    """Return the name of a variable."""
    return f"variable_{number}"


def make(path: Path, entries: int, variables: int) -> Path:
    """Write a session of so many entries, each of so many variables, as a closed run leaves it."""
    paths = SessionPaths(path)
    layout.create(SYSTEM_FILES, paths, uuid.uuid4(), "benchmark", Position(1, 0))
    checkpoint = Checkpoint(SYSTEM_FILES, paths)
    names = tuple(name(i) for i in range(variables))
    random, done = np.random.default_rng(0), 0
    while done < entries:
        count = min(entries - done, max(1, BATCH // (8 * (1 + variables))))
        batch = Batch()
        batch.row_set(names).data = bytearray(_rows(random, done, count, variables).tobytes())
        checkpoint._append(batch)
        checkpoint._commit(checkpoint._prepared())
        done += count
    checkpoint.finish()
    return path


def _rows(random, first, count, variables):
    rows = np.empty((count, 1 + variables))
    index = np.arange(first, first + count)
    rows[:, 0] = (START_NS + STEP_NS * index).view("f8")
    slow = 20 + np.sin(index / 5000)
    rows[:, 1:] = slow[:, None] + 0.01 * random.standard_normal((count, variables))
    return rows
