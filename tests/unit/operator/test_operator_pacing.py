"""Turns at a pace, and what is looked at next."""

import asyncio

import pytest

from autellix_operator.pacing import Due, Pace

A, B, C = ("n", "a"), ("n", "b"), ("n", "c")


class _Time:
    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))


async def test_a_second_of_turns_at_once_and_then_one_after_another() -> None:
    time = _Time()
    pace = Pace(4.0, clock=time, sleep=time.sleep)
    time.now += 60
    for _ in range(7):
        await pace.turn()
    assert time.slept == [0.25, 0.5]


async def test_urgent_ones_first_then_the_one_that_waited_longest() -> None:
    time = _Time()
    due = Due(clock=time)
    for key in (A, B):
        due.put(key)
        assert await due.take() == key
        time.now += 1
        due.done(key)
    for key in (B, A):
        due.put(key)
    due.put(C, urgent=True)
    due.put(("n", "later"), in_s=5)
    assert due.waiting() == (3, 0.0)
    assert [await due.take() for _ in range(3)] == [C, A, B]
    assert due.waiting() == (0, 0.0)


async def test_one_is_in_one_pair_of_hands_at_a_time() -> None:
    due = Due()
    due.put(A)
    assert await due.take() == A
    due.put(A)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(due.take(), 0.05)
    due.done(A)
    assert await due.take() == A


async def test_the_earlier_time_counts() -> None:
    time = _Time()
    due = Due(clock=time)
    due.put(A, in_s=50)
    due.put(A, in_s=10)
    due.put(A, in_s=70)
    time.now += 12
    assert due.waiting() == (1, 2.0)
    due.forget(A)
    assert due.waiting() == (0, 0.0)


async def test_waiting_ends_when_something_is_put() -> None:
    due = Due()
    taken = asyncio.create_task(due.take())
    await asyncio.sleep(0)
    due.put(A)
    assert await taken == A
