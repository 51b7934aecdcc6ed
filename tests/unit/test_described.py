from pathlib import Path

import pytest

from pymanip_run.clock import VirtualClock
from pymanip_run.records import Description, VariableInfo
from pymanip_run.session import RehearsedSession
from pymanip_run.session.described import Described


@pytest.fixture
def clock():
    return VirtualClock(1_700_000_000 * 10**9)


@pytest.fixture
def sesn(clock):
    return RehearsedSession(Path("a.h5"), "a", clock)


def units(described):
    return {name: info.description.unit for name, info in described().items()}


def test_what_is_known_is_read_again_after_a_while_and_not_before(sesn, clock):
    described = Described(sesn)
    sesn.describe("T", unit="K")
    sesn.add_entry(T=1)
    assert units(described) == {"T": "K"}
    sesn.describe("T", unit="degC")
    sesn.add_entry(T=1, U=2)
    assert units(described) == {"T": "K"}
    clock.move_to(clock.ns + 11 * 10**9)
    assert units(described) == {"T": "degC", "U": None}


def test_what_is_declared_is_known_before_there_is_a_value(sesn, clock):
    described = Described(sesn, {"T": VariableInfo("T", Description(unit="K"))})
    assert units(described) == {"T": "K"}
    sesn.add_entry(T=1, U=2)
    clock.move_to(clock.ns + 11 * 10**9)
    assert units(described) == {"T": "K", "U": None}
