"""Algorithm 1 as one state machine."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autellix_core.batch import Room
from autellix_core.levels import Levels
from autellix_core.priority import Policy
from autellix_core.queues import Queues

OF = Levels(bounds_s=(1.0, 3.0), quanta_s=(1.0, 2.0, math.inf), beta=2.0)


def test_waiting_calls_come_best_first_and_running_ones_worst_first() -> None:
    queues = Queues(OF)
    for name, service_s, now in [("late", 0.0, 2.0), ("heavy", 9.0, 0.0), ("early", 0.0, 1.0), ("mid", 2.0, 0.0)]:
        queues.enter(name, service_s, now=now)
    assert [call.id for call in queues.waiting] == ["early", "late", "mid", "heavy"]
    for name in ("late", "heavy", "early"):
        queues.started(name, now=3.0)
    assert [call.id for call in queues.running] == ["heavy", "late", "early"]
    assert queues.lengths() == [(0, 2), (1, 0), (0, 1)]
    assert len(queues) == 4


def test_calls_of_one_instant_keep_the_order_they_came_in() -> None:
    queues = Queues(OF)
    for name in "zebra":
        queues.enter(name, 0.0, now=0.0)
    assert "".join(call.id for call in queues.waiting) == "zebra"


def test_an_id_is_queued_once() -> None:
    queues = Queues(OF)
    queues.enter("c", 0.0, now=0.0)
    with pytest.raises(ValueError, match="already queued"):
        queues.enter("c", 0.0, now=0.0)


def test_telling_twice_changes_nothing() -> None:
    queues = Queues(OF)
    queues.enter("c", 0.0, now=0.0)
    assert queues.preempted("c", now=1.0).preemptions == 0
    queues.started("c", now=1.0)
    assert queues.started("c", now=5.0).since == 1.0
    assert queues["c"].running
    assert "c" in queues
    queues.leave("c")
    assert "c" not in queues
    assert list(queues.running) == []


def test_a_turn_demotes_who_used_up_a_quantum_and_promotes_who_starved() -> None:
    queues = Queues(OF)
    queues.enter("runs", 0.0, now=0.0)
    queues.started("runs", now=0.0)
    queues.enter("starves", 5.0, now=0.0, program_service_s=1.0)
    assert queues.turn(now=0.9).demoted == ()
    turn = queues.turn(now=2.0)
    assert [(call.id, call.level) for call in turn.demoted] == [("runs", 1)]
    assert [(call.id, call.level) for call in turn.promoted] == [("starves", 0)]
    assert queues.turn(now=2.0).demoted == ()


def test_what_was_foreseen_of_a_call_that_left_or_moved_does_not_happen() -> None:
    queues = Queues(OF)
    for name in ("left", "moved", "again"):
        queues.enter(name, 0.0, now=0.0)
        queues.started(name, now=0.0)
    queues.leave("left")
    queues.preempted("moved", now=0.5)
    queues.leave("again")
    queues.enter("again", 0.0, now=0.0)
    turn = queues.turn(now=1.5)
    assert (turn.demoted, turn.promoted) == ((), ())


def test_first_come_first_served_calls_are_never_demoted_nor_displaced_by_each_other() -> None:
    queues = Queues(OF)
    queues.enter("first", 50.0, now=0.0, policy=Policy.FCFS)
    queues.started("first", now=0.0)
    queues.enter("second", 0.0, now=1.0, policy=Policy.FCFS)
    assert queues.turn(now=1e6).demoted == ()
    picked = queues.select(Room(0, 0), needs=lambda _: 0, holds=lambda _: 0, most_preemptions=9)
    assert (picked.admit, picked.preempt) == ((), ())


def test_calls_that_cannot_move_now_are_passed_over() -> None:
    queues = Queues(OF)
    for name in ("stuck", "heavy"):
        queues.enter(name, 9.0, now=0.0)
        queues.started(name, now=0.0)
    for name in ("compiling", "ready"):
        queues.enter(name, 0.0, now=1.0)
    picked = queues.select(
        Room(0, 0),
        needs=lambda _: 0,
        holds=lambda _: 0,
        most_preemptions=9,
        may_run=lambda call: call.id != "compiling",
        may_leave=lambda call: call.id != "stuck",
    )
    assert ([call.id for call in picked.admit], [call.id for call in picked.preempt]) == (["ready"], ["heavy"])


steps = st.lists(
    st.tuples(st.sampled_from(["enter", "start", "preempt", "leave", "turn"]), st.integers(0, 9), st.floats(0, 2)),
    max_size=200,
)


@given(steps)
def test_no_call_is_lost_or_doubled_and_foresight_stays_bounded(walk: list[tuple[str, int, float]]) -> None:
    queues, now, here = Queues(OF), 0.0, set()
    for verb, number, later in walk:
        now, name = now + later, f"c{number}"
        if verb == "turn":
            turn = queues.turn(now=now)
            assert all(call.running for call in turn.demoted)
            assert not any(call.running for call in turn.promoted)
        elif verb == "enter" and name not in here:
            queues.enter(name, float(number), now=now, program_service_s=float(number))
            here.add(name)
        elif name in here:
            if verb == "start":
                queues.started(name, now=now)
            elif verb == "preempt":
                queues.preempted(name, now=now)
            elif verb == "leave":
                queues.leave(name)
                here.remove(name)
        found = [call.id for call in queues.waiting] + [call.id for call in queues.running]
        assert sorted(found) == sorted(here)
        assert sum(map(sum, queues.lengths())) == len(queues) == len(here)
    waiting = [(call.level, call.enqueued_at) for call in queues.waiting]
    assert waiting == sorted(waiting)


@given(
    st.lists(st.tuples(st.floats(0, 9), st.floats(0, 0.5)), min_size=1, max_size=30),
    st.integers(1, 4),
    st.lists(st.floats(0, 9), min_size=30, max_size=30),
)
def test_who_was_displaced_does_not_come_back_before_a_level_changes(
    arrivals: list[tuple[float, float]], places: int, losses: list[float]
) -> None:
    queues, now, preemptions, moves = Queues(OF), 0.0, 0, 0

    def decide() -> int:
        room = Room(places - sum(runs for _, runs in queues.lengths()), 0)
        picked = queues.select(
            room,
            needs=lambda _: 0,
            holds=lambda _: 0,
            most_preemptions=99,
            loses=lambda call: losses[int(call.id)],
        )
        for call in picked.preempt:
            queues.preempted(call.id, now=now)
        for call in picked.admit:
            queues.started(call.id, now=now)
        return len(picked.preempt)

    for number, (service_s, later) in enumerate(arrivals):
        now += later
        queues.enter(str(number), service_s, now=now, program_service_s=service_s)
        turn = queues.turn(now=now)
        moves += 1 + len(turn.demoted) + len(turn.promoted)
        preemptions += decide()
        assert decide() == 0
    assert preemptions <= moves


@given(st.lists(st.tuples(st.floats(0, 9), st.booleans()), max_size=12), st.integers(0, 2))
def test_somebody_is_displaced_only_where_the_queues_are_contested(calls: list[tuple[float, bool]], free: int) -> None:
    queues = Queues(OF)
    for number, (service_s, runs) in enumerate(calls):
        queues.enter(str(number), service_s, now=0.0)
        if runs:
            queues.started(str(number), now=0.0)
    picked = queues.select(Room(free, 0), needs=lambda _: 0, holds=lambda _: 0, most_preemptions=99)
    waiting = sum(not runs for _, runs in calls)
    assert not picked.preempt or queues.contested
    if free == 0 and queues.contested:
        assert picked.preempt
    if not calls or waiting in {0, len(calls)}:
        assert not queues.contested


def test_foresight_is_forgotten_when_it_outgrows_the_calls() -> None:
    queues = Queues(OF)
    for number in range(10_000):
        queues.enter(f"c{number}", 0.0, now=0.0)
        queues.started(f"c{number}", now=0.0)
        queues.leave(f"c{number}")
    assert len(queues._due) <= 70


def test_what_time_will_change_first_is_known_beforehand() -> None:
    queues = Queues(OF)
    assert queues.due == math.inf
    queues.enter("runs", 0.0, now=0.0)
    assert queues.due == math.inf  # it waits on the first level
    queues.started("runs", now=0.5)
    queues.enter("starves", 5.0, now=0.0, program_service_s=1.0)
    assert queues.due == 1.5
    queues.turn(now=1.5)
    assert queues.due == 2.0
    queues.leave("starves")
    assert queues.due == 3.5
    queues.leave("runs")
    assert queues.due == math.inf
