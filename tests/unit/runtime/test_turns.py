"""Turns of threads are short while a run goes on, or a server answers."""

import sys
from contextlib import ExitStack

import pytest

from pymanip_run import AsyncSession
from pymanip_run.runtime.turns import SHORT, short_turns


@pytest.fixture(autouse=True)
def usual():
    before = sys.getswitchinterval()
    yield before
    assert sys.getswitchinterval() == pytest.approx(before)


def test_several_in_any_order_leave_what_they_found():
    first, second = ExitStack(), ExitStack()
    first.enter_context(short_turns())
    second.enter_context(short_turns())
    first.close()
    assert sys.getswitchinterval() == pytest.approx(SHORT)
    second.close()


def test_what_is_shorter_stays(usual):
    sys.setswitchinterval(SHORT / 2)
    with short_turns():
        assert sys.getswitchinterval() == pytest.approx(SHORT / 2)
    assert sys.getswitchinterval() == pytest.approx(SHORT / 2)
    sys.setswitchinterval(usual)


@pytest.mark.parametrize("port", [None, 0])
def test_a_run_has_them(port):
    found = []

    async def measure(sesn):
        found.append(sys.getswitchinterval())
        sesn.ask_exit()

    with AsyncSession(verbose=False) as sesn:
        sesn.run(measure, server_port=port)
    assert found == [pytest.approx(SHORT)]
