"""Answers are made few at a time, and once for all who ask the same."""

import asyncio

import pytest

from pymanip_run.web import answers
from pymanip_run.web.answers import Made, Shared, Turns
from pymanip_run.web.failures import Refusal
from pymanip_run.web.recent import Recent


async def test_no_more_than_four_long_answers_take_memory_at_once():
    turns, inside, most = Turns(), 0, 0
    over = asyncio.Event()

    async def make():
        nonlocal inside, most
        async with turns.turn():
            inside += 1
            most = max(most, inside)
            await over.wait()
            inside -= 1

    making = [asyncio.create_task(make()) for _ in range(answers.WAITING)]
    for _ in range(3):
        await asyncio.sleep(0)
    assert inside == answers.AT_ONCE
    with pytest.raises(Refusal, match="too many histories") as refused:
        await make()
    assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": "2"})
    over.set()
    async with turns.turn(patient=True):
        pass
    await asyncio.gather(*making)
    assert most == answers.AT_ONCE
    await make()


async def test_who_asks_the_same_at_the_same_time_gets_the_same_answer():
    shared, made, go = Shared(), [], asyncio.Event()

    async def make():
        made.append(1)
        await go.wait()
        return Made(b"%d" % len(made))

    asking = [asyncio.create_task(shared.get("T?", 1, make)) for _ in range(50)]
    await asyncio.sleep(0)
    asking[0].cancel()  # who asked first need not be the one who waits
    go.set()
    found = await asyncio.gather(*asking, return_exceptions=True)
    assert [one.body for one in found[1:]] == [b"1"] * 49
    assert (await shared.get("T?", 1, make)).body == b"1", "nothing has changed"
    assert (await shared.get("P?", 1, make)).body == b"2"
    assert (await shared.get("T?", 2, make)).body == b"3", "made anew for what is new"


async def test_what_failed_is_tried_again_and_what_is_long_is_not_kept():
    shared, results = (
        Shared(),
        [Refusal(503, "busy", "later"), Made(b"right"), Made(bytes(2 << 20))],
    )

    async def make():
        result = results.pop(0)
        if isinstance(result, Refusal):
            raise result
        return result

    with pytest.raises(Refusal):
        await shared.get("T?", 1, make)
    assert (await shared.get("T?", 1, make)).body == b"right"
    assert len((await shared.get("all", 1, make)).body) == 2 << 20
    results.append(Made(b"anew"))
    assert (await shared.get("all", 1, make)).body == b"anew"


async def test_no_more_answers_are_kept_than_a_few():
    shared, made = Shared(), []

    async def make():
        made.append(1)
        return Made(b"")

    for question in range(answers.KEPT + 1):
        await shared.get(question, 1, make)
    await shared.get(answers.KEPT, 1, make)
    assert len(made) == answers.KEPT + 1
    await shared.get(0, 1, make)
    assert len(made) == answers.KEPT + 2, "the oldest was let go"


def test_entries_of_ever_other_variables_together_are_nothing_new(session, watched):
    """What is remembered to see new variables grows with the variables, not with how they come together."""
    recent = Recent(watched())
    recent.asked()
    for number in range(1, 64):
        session.add_entry({f"v{i}": 1.0 for i in range(6) if number >> i & 1})
    recent.absorb()
    before = recent.changes
    for number in range(1, 64):
        session.add_entry({f"v{i}": 1.0 for i in reversed(range(6)) if number >> i & 1})
    recent.absorb()
    assert recent.changes == before
    session.add_entry(new=1.0)
    recent.absorb()
    assert recent.changes == before + 1
