"""What a conversion keeps account of: names, checksums of what was written, and how it reads back."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from pymanip_run.records import FloatArray, Statistics, Window, check_name
from pymanip_run.storage.batch import Batch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pymanip_run.storage.snapshot import SnapshotStore

__all__ = ["Digest", "Direct", "Names", "Part", "is_same", "series_parts"]

Pair = tuple[FloatArray, FloatArray]

#: Values read back at a time.
STEP = 200_000
#: Times of one variable increase at least by this, in seconds.
TICK = 1e-6


class Part(Batch):
    """A batch whose series are arrays: their times are kept to the last bit."""

    def __init__(self, series: Mapping[str, Pair]) -> None:
        super().__init__()
        self._arrays = dict(series)

    @property
    def names(self) -> list[str]:
        """Names of the variables."""
        return list(self._arrays)

    def series(self, name: str, window: Window | None = None) -> Pair:
        """Return (times, values) of one variable."""
        del window
        return self._arrays[name]

    def extend_statistics(self, before: Mapping[str, Statistics]) -> dict[str, Statistics]:
        """Return the statistics after this part."""
        added = {n: before.get(n, Statistics()).extended(*pair) for n, pair in self._arrays.items()}
        return dict(before) | added


class Direct:
    """Stands for the overlay of a file that nobody reads yet."""

    failed: OSError | None = None


class Digest:
    """What was written of a variable, as checksums; and its times made to increase."""

    def __init__(self) -> None:
        self._times = hashlib.blake2b()
        self._values = hashlib.blake2b()
        self._last = -math.inf
        self.moved = 0

    def added(self, times: FloatArray, values: FloatArray) -> Pair:
        """Return times and values as they are to be written."""
        if len(times) and not (times[0] > self._last and np.all(times[1:] > times[:-1])):
            times = self._spread(times)
        if len(times):
            self._last = float(times[-1])
        self._times.update(np.ascontiguousarray(times).tobytes())
        self._values.update(np.ascontiguousarray(values).tobytes())
        return times, values

    def _spread(self, times: FloatArray) -> FloatArray:
        result = times.copy()
        last = self._last
        for i, time in enumerate(times.tolist()):
            if time <= last:
                result[i] = max(last + TICK, math.nextafter(last, math.inf))
                self.moved += 1
            last = float(result[i])
        return result

    @property
    def sums(self) -> tuple[bytes, bytes]:
        """The checksums of times and values."""
        return self._times.digest(), self._values.digest()


class Names:
    """Names of the new session: those of the old one, but for what cannot be a name."""

    def __init__(self, known: Mapping[str, set[str]]) -> None:
        self._known = known
        self._valid: dict[tuple[str, str], str] = {}
        self.remarks: list[str] = []

    def valid(self, name: str, what: str) -> str:
        """Return a name that a session can have."""
        key = what, name
        if key not in self._valid:
            self._valid[key] = self._made(name, what)
        return self._valid[key]

    def _made(self, name: str, what: str) -> str:
        try:
            return check_name(name, what)
        except ValueError:
            base = "".join(c if c.isprintable() else "_" for c in name)
            base = base.encode()[:240].decode("utf-8", "ignore").strip(".") or "unnamed"
            taken = {new for (kind, _), new in self._valid.items() if kind == what}
            taken |= self._known[what]
            numbered = (f"{base}_{i}" if i else base for i in range(len(taken) + 1))
            made = next(one for one in numbered if one not in taken)
            self.remarks.append(
                f"the {what} {name[:60]!r} is called {made!r}, for a name has no such characters"
            )
            return made


def series_parts(store: SnapshotStore, name: str) -> Iterator[Pair]:
    """Yield (times, values) of a variable from its beginning to its end, in bounded memory."""
    since = -math.inf
    while True:
        times, values = store.read_series(name, Window(since=since, head=STEP))
        if not len(times):
            return
        yield times, values
        since = math.nextafter(float(times[-1]), math.inf)


def is_same(a: Any, b: Any) -> bool:
    """Tell whether two records are the same, with shape and kind, all NaN alike."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        a, b = np.asarray(a), np.asarray(b)
        return a.shape == b.shape and a.dtype.kind == b.dtype.kind and (
            a.tobytes() == b.tobytes() or repr(a.tolist()) == repr(b.tolist())
        )  # fmt: skip
    return type(a) is type(b) and repr(a) == repr(b)
