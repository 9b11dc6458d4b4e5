"""Whose turn it is."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashmatch.decoding.fair_queue import FairQueue
from tests.support import PATIENT


async def waiting(queue: FairQueue[int], callers: str) -> list[asyncio.Task[int]]:
    """One task for each letter, in this order."""
    tasks = []
    for caller in callers:
        tasks.append(asyncio.create_task(queue.get(caller)))
        await asyncio.sleep(0)
    return tasks


async def test_what_is_free_is_given_at_once() -> None:
    """An upload would wait for a worker that has nothing to do."""
    queue: FairQueue[int] = FairQueue()
    queue.put(1)
    queue.put(2)
    assert [await queue.get("a"), await queue.get("a")] == [1, 2]
    assert not queue.is_waited_for


@pytest.mark.parametrize(
    ("callers", "order"),
    [
        ("aaa", [0, 1, 2]),
        ("aaab", [0, 3, 1, 2]),
        ("aabbc", [0, 2, 4, 1, 3]),
        ("abab", [0, 1, 2, 3]),
    ],
)
async def test_callers_are_served_in_turn(callers: str, order: list[int]) -> None:
    """Whoever sends a thousand uploads would be served a thousand times before anybody else."""
    queue: FairQueue[int] = FairQueue()
    tasks = await waiting(queue, callers)
    served = []
    for number in range(len(callers)):
        queue.put(number)
        await asyncio.sleep(0)
        served += [place for place, task in enumerate(tasks) if task.done() and place not in served]
    assert served == order
    assert not queue.is_waited_for


@PATIENT
@given(st.lists(st.sampled_from(["put", "get a", "get b", "cancel"]), max_size=40), st.randoms())
async def test_nothing_is_lost_whoever_gives_up(steps: list[str], chance: object) -> None:
    """A worker would be lost with each upload that is given up, and at last all of them."""
    queue: FairQueue[int] = FairQueue()
    tasks: list[asyncio.Task[int]] = []
    put = 0
    for step in steps:
        if step == "put":
            queue.put(put)
            put += 1
        elif step == "cancel" and tasks:
            tasks[chance.randrange(len(tasks))].cancel()  # type: ignore[attr-defined]
        elif step.startswith("get"):
            tasks.append(asyncio.create_task(queue.get(step[-1])))
        if chance.random() < 0.7:  # type: ignore[attr-defined]
            await asyncio.sleep(0)
    for _ in range(3):
        await asyncio.sleep(0)
    got = [task.result() for task in tasks if task.done() and not task.cancelled()]
    left = []
    with contextlib.suppress(TimeoutError):
        while True:
            left.append(await asyncio.wait_for(queue.get("rest"), 0.01))
    if any(not task.done() for task in tasks):
        assert left == []  # Nobody waits beside what is free.
    assert sorted(got + left) == list(range(put))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
