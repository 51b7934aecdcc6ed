"""The alarms that are active, as they are stored."""

from helpers_alarms import NS, rule

from pymanip_run.alarms.keeping import Keeper, restored
from pymanip_run.alarms.rules import Status
from pymanip_run.errors import StorageError

HOT = rule("T > 60", "hot")
ACTIVE = Status(HOT, "active", 5 * NS, 61.0)
OK = Status(HOT, "ok")


def test_they_are_stored_only_when_they_are_others():
    saved = []
    keeper = Keeper(None, saved.append)
    for status in (OK, ACTIVE, ACTIVE, OK, OK):
        keeper([status])
    assert [list(kept) for kept in saved] == [["hot"], []]
    assert restored(saved[0], [HOT]) == {"hot": (5 * NS, 61.0)}
    assert restored(saved[0], [rule("T > 70", "hot")]) == {}, "it is another alarm"


def test_what_an_earlier_run_stored_is_taken_away_when_it_is_over():
    saved = []
    Keeper({"gone": {}}, saved.append)([])
    assert saved == [{}]


def test_a_full_disk_is_said_once_and_what_could_not_be_stored_is_stored_later(caplog):
    saved, full = [], [True]

    def save(kept):
        if full[0]:
            raise StorageError("no space left")
        saved.append(kept)

    keeper = Keeper(None, save)
    for status in (ACTIVE, OK, ACTIVE, ACTIVE):
        keeper([status])
    assert len(caplog.messages) == 1
    full[0] = False
    keeper([ACTIVE])
    assert list(saved[0]) == ["hot"]
