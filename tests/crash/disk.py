"""A disk that can be stopped: every operation of the storage engine, recorded and replayed.

`RecordingFiles` does what the engine asks and writes it down. `Disk` replays the first operations
and tells what would be found afterwards:

- after a *kill*, everything the operating system was told;
- after a *power cut*, what was synced, and of the rest any part: each 4 KiB piece of a write, each
  change of a file's length, each creation, renaming and removal is kept or lost by itself.
"""

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pymanip_run.storage.files import Files

PIECE = 4096


class Operation(NamedTuple):
    """One call: its kind, the file (a number that is never used again) or name, and the rest."""

    kind: str
    target: Any
    offset: int = 0
    data: bytes = b""


class RecordingFiles(Files):
    """Does and records. `log` is shared by what would be two processes: calls come one by one."""

    def __init__(self) -> None:
        self.log: list[Operation] = []
        self._inodes: dict[int, int] = {}
        self._files: dict[int, int] = {}
        self._count = 0

    def _new(self, inode: int) -> int:
        self._count += 1
        self._inodes[inode] = self._count
        return self._count

    def _note(self, kind: str, target: object, offset: int = 0, data: object = b"") -> None:
        self.log.append(Operation(kind, target, offset, bytes(data)))

    def open(self, path: Path, flags: int) -> int:
        existed = path.exists()
        fd = super().open(path, flags)
        inode = os.fstat(fd).st_ino
        if not existed:
            self._note("create", (path.name, self._new(inode)))
        elif inode not in self._inodes:
            # Made by HDF5 itself before the engine got hold of it; nothing of it is synced yet.
            number = self._new(inode)
            self._note("create", (path.name, number))
            self._note("write", number, 0, path.read_bytes())
        self._files[fd] = self._inodes[inode]
        return fd

    def close(self, fd: int) -> None:
        self._files.pop(fd, None)
        os.close(fd)

    def dup(self, fd: int) -> int:
        copy = os.dup(fd)
        self._files[copy] = self._files[fd]
        return copy

    def write(self, fd: int, data: bytes) -> int:
        return self._appended(fd, data, lambda: os.write(fd, data))

    def writev(self, fd: int, parts: list[bytes]) -> int:
        return self._appended(fd, b"".join(map(bytes, parts)), lambda: os.writev(fd, parts))

    def _appended(self, fd: int, data: bytes, call: Callable[[], int]) -> int:
        end = os.fstat(fd).st_size  # the journal is open for appending
        written = call()
        self._note("write", self._files[fd], end, data[:written])
        return written

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        written = os.pwrite(fd, data, offset)
        self._note("write", self._files[fd], offset, bytes(data)[:written])
        return written

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)
        self._note("truncate", self._files[fd], size)

    def fdatasync(self, fd: int) -> None:
        self._note("sync", self._files[fd])

    def replace(self, source: Path, target: Path) -> None:
        super().replace(source, target)
        self._note("rename", (source.name, target.name))

    def unlink(self, path: Path) -> None:
        existed = path.exists()
        super().unlink(path)
        if existed:
            self._note("unlink", path.name)

    def sync_directory(self, path: Path) -> None:
        self._note("sync names", None)


@dataclass
class _File:
    content: bytearray = field(default_factory=bytearray)
    durable: bytes = b""
    pending: list[tuple[int, bytes]] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)


class Disk:
    """What the operations leave."""

    def __init__(self, operations: list[Operation]) -> None:
        self._files: dict[int, _File] = {}
        self._names: dict[str, int] = {}
        self._durable_names: dict[str, int] = {}
        self._pending_names: list[Operation] = []
        for operation in operations:
            self._do(operation)

    def _do(self, operation: Operation) -> None:
        kind, target, offset, data = operation
        if kind in {"create", "rename", "unlink"}:
            if kind == "create":
                self._files[target[1]] = _File()
            _rename(self._names, operation)
            self._pending_names.append(operation)
        elif kind == "sync names":
            self._durable_names = dict(self._names)
            self._pending_names.clear()
        elif kind == "write":
            self._write(self._files[target], offset, data)
        elif kind == "truncate":
            self._truncate(self._files[target], offset)
        elif kind == "sync":
            file = self._files[target]
            file.durable = bytes(file.content)
            file.pending.clear()
            file.lengths.clear()

    @staticmethod
    def _write(file: _File, offset: int, data: bytes) -> None:
        _put(file.content, offset, data)
        start = 0
        while start < len(data):
            stop = min(len(data), start + PIECE - (offset + start) % PIECE)
            file.pending.append((offset + start, data[start:stop]))
            start = stop
        file.lengths.append(len(file.content))

    @staticmethod
    def _truncate(file: _File, size: int) -> None:
        if size < len(file.content):
            del file.content[size:]
        else:
            file.content.extend(bytes(size - len(file.content)))
        file.lengths.append(size)

    def after_kill(self) -> dict[str, bytes]:
        """Name and content of every file after the process died."""
        return {name: bytes(self._files[number].content) for name, number in self._names.items()}

    def after_power_cut(
        self, keep: Callable[[], bool], choose: Callable[[list[int]], int]
    ) -> dict[str, bytes]:
        """Name and content of every file; `keep` decides for each piece that was not synced."""
        names = dict(self._durable_names)
        for operation in self._pending_names:
            if keep():
                _rename(names, operation)
        return {
            name: self._torn(self._files[number], keep, choose) for name, number in names.items()
        }

    @staticmethod
    def _torn(file: _File, keep: Callable[[], bool], choose: Callable[[list[int]], int]) -> bytes:
        content = bytearray(file.durable)
        for offset, data in file.pending:
            if keep():
                _put(content, offset, data)
        length = choose([len(file.durable), *file.lengths])
        content.extend(bytes(max(0, length - len(content))))
        return bytes(content[:length])


def _put(content: bytearray, offset: int, data: bytes) -> None:
    if offset > len(content):
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


def _rename(names: dict[str, int], operation: Operation) -> None:
    kind, target = operation.kind, operation.target
    if kind == "create":
        names[target[0]] = target[1]
    elif kind == "unlink":
        names.pop(target, None)
    elif target[0] in names:
        names[target[1]] = names.pop(target[0])


def power_cuts(disk: Disk, seed: object, random_ones: int) -> list[tuple[str, dict[str, bytes]]]:
    """The states of a disk after a power cut: nothing unsynced kept, all of it, and random parts."""
    states = [
        ("nothing unsynced kept", disk.after_power_cut(lambda: False, lambda lengths: lengths[0])),
        ("everything kept", disk.after_power_cut(lambda: True, lambda lengths: lengths[-1])),
    ]
    for number in range(random_ones):
        chance = random.Random(f"{seed}/{number}")
        states.append(
            (
                f"random part {seed}/{number}",
                disk.after_power_cut(lambda: chance.random() < 0.5, chance.choice),  # noqa: B023
            )
        )
    return states
