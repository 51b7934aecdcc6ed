"""The session file after a kill and after a power cut at every single operation."""

import os
from pathlib import Path

import h5py
import pytest
from disk import Disk, Operation, RecordingFiles, power_cuts
from scenario import NAME, Life, check, found, short_life

from pymanip_run.storage.checkpoint import recover
from pymanip_run.storage.files import SYSTEM_FILES, SessionPaths

#: Random power cuts at each operation; more by the environment, for a long night.
RANDOM_CUTS = int(os.environ.get("PYMANIP_RUN_TEST_CUTS", "2"))


@pytest.fixture(scope="module")
def life(tmp_path_factory) -> Life:
    return short_life(tmp_path_factory.mktemp("life"))


def restored(folder: Path, state: dict[str, bytes]) -> Path:
    """The state of a disk as real files."""
    folder.mkdir()
    for name, content in state.items():
        (folder / name).write_bytes(content)
    return folder / NAME


def removed(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def healed(path: Path) -> None:
    recover(SYSTEM_FILES, SessionPaths(path), remove_lock=True)


def survives(life: Life, folder: Path, state: dict[str, bytes], least: int, most: int) -> None:
    """Read before the repair, repair, read again."""
    path = restored(folder, state)
    check(life, path, least, most)
    healed(path)
    check(life, path, least, most)
    # Pieces that a power cut tore from an unsynced journal are kept, never thrown away.
    assert {p.name for p in folder.iterdir() if ".damaged" not in p.name} == {NAME}
    removed(folder)


def test_a_finished_life_is_found_whole(life):
    check(life, life.paths.main, len(life.calls), len(life.calls))
    assert [p.name for p in life.paths.main.parent.iterdir()] == [NAME]


def test_the_scenario_has_what_it_is_for(life):
    kinds = [operation.kind for operation in life.log]
    created = {operation.target[0] for operation in life.log if operation.kind == "create"}
    assert len([name for name in created if ".wal." in name]) >= 3
    assert kinds.count("unlink") >= 4
    assert len(life.log) > 150


def test_a_kill_at_every_operation_loses_nothing_that_was_acknowledged(life, tmp_path):
    for count in range(life.begin, len(life.log) + 1):
        path = restored(tmp_path / "kill", Disk(life.log[:count]).after_kill())
        with h5py.File(path) as plain:  # before any repair
            assert plain.attrs["format"] == "pymanip-run"
        least, most = life.acknowledged(count), life.begun(count)
        check(life, path, least, most)
        healed(path)
        check(life, path, least, most)
        assert [p.name for p in path.parent.iterdir()] == [NAME]
        removed(path.parent)


def test_a_power_cut_at_every_operation_loses_nothing_that_was_synced(life, tmp_path):
    for count in range(life.begin, len(life.log) + 1):
        for which, state in power_cuts(Disk(life.log[:count]), count, RANDOM_CUTS):
            try:
                survives(life, tmp_path / "cut", state, life.synced(count), life.begun(count))
            except Exception as error:
                error.add_note(
                    f"power cut after {count} operations ({life.log[count - 1][:3]}), {which}"
                )
                raise


def test_a_recovery_that_is_killed_at_every_operation_can_be_done_again(life, tmp_path):
    # In the middle of the deferred transaction, and with several segments to replay.
    for start in crash_points(life):
        state = Disk(life.log[:start]).after_kill()
        least, most = life.acknowledged(start), life.begun(start)
        recording = RecordingFiles()
        path = restored(tmp_path / "first", state)
        before = as_operations(state)
        recover_recorded(recording, path)
        expected = found(path)
        removed(path.parent)
        for count in range(len(recording.log) + 1):
            again = Disk(rebased(before, recording.log[:count])).after_kill()
            path = restored(tmp_path / "again", again)
            healed(path)
            check(life, path, least, most)
            assert found(path) == expected
            removed(path.parent)


def crash_points(life: Life) -> list[int]:
    """A few operations worth a second crash: after the first redo's sync, and in the last third."""
    redos = [
        i for i, o in enumerate(life.log) if o.kind == "create" and o.target[0].endswith(".redo")
    ]
    return [redos[0] + 3, 2 * len(life.log) // 3, len(life.log) - 12]


def as_operations(state: dict[str, bytes]) -> list[Operation]:
    operations = []
    for number, (name, content) in enumerate(state.items(), start=-len(state)):
        operations.append(Operation("create", (name, number)))
        operations.append(Operation("write", number, 0, content))
    return operations


def recover_recorded(recording: RecordingFiles, path: Path) -> None:
    recover(recording, SessionPaths(path), remove_lock=True)


def rebased(before: list[Operation], log: list[Operation]) -> list[Operation]:
    """The recovery's operations on the files that it found: the first opening of each imports it."""
    known = {
        operation.target[0]: operation.target[1]
        for operation in before
        if operation.kind == "create"
    }
    numbers: dict[int, int] = {}
    result = list(before)
    skip = False
    for operation in log:
        if skip:  # the content of an imported file is there already
            skip = False
            continue
        if operation.kind == "create" and operation.target[0] in known:
            numbers[operation.target[1]] = known.pop(operation.target[0])
            skip = True
            continue
        target = operation.target
        if operation.kind in {"write", "truncate", "sync"}:
            target = numbers.get(target, target)
        result.append(operation._replace(target=target))
    return result


# -- the laboratory can find what it looks for ----------------------------------------------------


def losses(life: Life, tmp_path: Path, log: list[Operation], change=lambda state: state) -> int:
    """At how many operations a power cut loses something, or leaves what cannot be read."""
    count = 0
    for end in range(life.begin, len(log) + 1):
        for _, state in power_cuts(Disk(log[:end]), end, 1):
            folder = tmp_path / f"{end}-{count}"
            try:
                survives(life, folder, change(state), life.synced(end), life.begun(end))
            except Exception:  # noqa: BLE001 - any failure is what is looked for
                count += 1
                if count >= 3:
                    return count
    return count


def without_redo(state: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in state.items() if not name.endswith(".redo")}


def without_syncs_of(log: list[Operation], part: str) -> list[Operation]:
    """The same operations in the same number, but syncs of some files do nothing."""
    files = {o.target[1] for o in log if o.kind == "create" and part in o.target[0]}
    return [
        Operation("nothing", None) if o.kind == "sync" and o.target in files else o for o in log
    ]


def test_without_the_redo_a_power_cut_damages_the_file(life, tmp_path):
    assert losses(life, tmp_path, life.log, without_redo)


def test_without_syncing_the_redo_a_power_cut_damages_the_file(life, tmp_path):
    assert losses(life, tmp_path, without_syncs_of(life.log, ".redo"))


def test_without_syncing_old_segments_a_power_cut_loses_entries(life, tmp_path):
    assert losses(life, tmp_path, without_syncs_of(life.log, ".wal."))


def with_syncs_swapped(log: list[Operation]) -> list[Operation]:
    """The same operations, but each redo is synced when the file was, and the file when the redo was."""
    redo, main = (
        {o.target[1] for o in log if o.kind == "create" and o.target[0].endswith(suffix)}
        for suffix in (".redo", ".tmp")
    )
    swapped = list(log)
    for place, operation in enumerate(log):
        if operation.kind == "sync" and operation.target in redo:
            later = next(
                i for i, o in enumerate(log) if i > place and o.kind == "sync" and o.target in main
            )
            swapped[place], swapped[later] = log[later], operation
    return swapped


def test_with_the_syncs_of_redo_and_file_in_the_wrong_order_a_power_cut_damages_the_file(
    life, tmp_path
):
    assert losses(life, tmp_path, with_syncs_swapped(life.log))


def test_without_syncing_the_file_before_its_journal_goes_a_power_cut_loses_entries(life, tmp_path):
    assert losses(life, tmp_path, without_syncs_of(life.log, ".tmp"))


def test_nothing_is_written_in_place_but_what_a_synced_redo_has(life):
    """Nor is a redo written over before the file was synced with it."""
    redo, main = (
        {o.target[1] for o in life.log if o.kind == "create" and o.target[0].endswith(suffix)}
        for suffix in (".redo", ".tmp")
    )
    contents = {number: bytearray() for number in main}
    committed = dict.fromkeys(main, 0)
    changed, is_redo_synced, in_place = set(), False, 0
    for kind, target, offset, data in life.log:
        if kind == "write" and target in redo:
            assert not changed, "a redo is written over that is not in the file for certain"
            is_redo_synced = False
        elif kind == "sync" and target in redo:
            is_redo_synced = True
        elif kind == "write" and target in main:
            if offset < committed[target]:
                assert is_redo_synced, "a committed byte is changed before the redo is on disk"
                in_place += 1
            content = contents[target]
            content.extend(bytes(max(0, offset + len(data) - len(content))))
            content[offset : offset + len(data)] = data
            changed.add(target)
        elif kind == "sync" and target in main:
            committed[target] = int.from_bytes(contents[target][28:36], "little")
            changed.discard(target)
    assert in_place > 20
