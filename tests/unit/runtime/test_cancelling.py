"""What other tasks leave in the loop does not keep a program from ending."""

import asyncio
from contextlib import suppress

import pytest

from pymanip_run.runtime import cancelling
from pymanip_run.runtime.cancelling import alone


async def deaf():
    while True:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(cancelling, "PATIENCE", 0.05)


def test_a_task_that_heeds_no_cancellation_does_not_keep_the_loop_from_ending(caplog):
    async def main():
        asyncio.create_task(deaf(), name="forgotten")  # noqa: RUF006 - forgotten
        await asyncio.sleep(0)
        return 3

    assert asyncio.run(alone(main())) == 3
    assert "task 'forgotten' was cancelled but goes on, at " in caplog.text
    assert "in deaf" in caplog.text


def test_one_that_heeds_it_may_clean_up(caplog):
    done = []

    async def tidy():
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0.001)
            done.append("tidied")

    async def main():
        asyncio.create_task(tidy())  # noqa: RUF006 - forgotten
        await asyncio.sleep(0)
        raise ValueError("failed")

    with pytest.raises(ValueError, match="failed"):
        asyncio.run(alone(main()))
    assert done == ["tidied"]
    assert caplog.text == ""
