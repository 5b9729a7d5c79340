"""One call's way through the K queues."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autellix_core import levels
from autellix_core.errors import InvalidSetting
from autellix_core.levels import NEVER, Levels
from autellix_core.priority import Policy

THREE = Levels(bounds_s=(1.0, 3.0), quanta_s=(1.0, 2.0, math.inf), beta=2.0)


def test_geometric_levels_hold_what_their_quanta_last() -> None:
    made = Levels.geometric(4, first_s=0.5, ratio=2.0)
    assert made.bounds_s == (0.5, 1.0, 2.0)
    assert made.quanta_s == (0.5, 0.5, 1.0, math.inf)
    assert made.count == 4


def test_one_geometric_level_has_no_end() -> None:
    assert Levels.geometric(1) == Levels(bounds_s=(), quanta_s=(math.inf,))


@pytest.mark.parametrize(
    ("bounds", "quanta", "beta", "says"),
    [
        pytest.param((2.0, 1.0), (1.0, 1.0, 1.0), None, "ascending", id="descending-bounds"),
        pytest.param((0.0,), (1.0, 1.0), None, "positive", id="a-level-that-holds-nothing"),
        pytest.param((math.nan,), (1.0, 1.0), None, "ascending", id="nan-bound"),
        pytest.param((1.0,), (1.0,), None, "1 bounds make 2 levels", id="a-quantum-missing"),
        pytest.param((1.0,), (1.0, 0.0), None, "longer than 0", id="an-empty-quantum"),
        pytest.param((1.0,), (1.0, math.nan), None, "longer than 0", id="nan-quantum"),
        pytest.param((1.0,), (1.0, 1.0), 0.0, "Beta", id="beta-of-nothing"),
    ],
)
def test_levels_that_cannot_work_are_refused(
    bounds: tuple[float, ...], quanta: tuple[float, ...], beta: float | None, says: str
) -> None:
    with pytest.raises(InvalidSetting, match=says):
        Levels(bounds, quanta, beta)


@pytest.mark.parametrize(("service_s", "level"), [(0.0, 0), (0.99, 0), (1.0, 1), (2.9, 1), (3.0, 2), (1e9, 2)])
def test_a_call_enters_the_level_whose_range_holds_its_programs_service(service_s: float, level: int) -> None:
    call = levels.enter(THREE, "c", service_s, now=7.0)
    assert (call.level, call.quantum_left_s, call.enqueued_at) == (level, THREE.quanta_s[level], 7.0)


def test_first_come_first_served_is_one_level_without_quantum() -> None:
    one = THREE.under(Policy.FCFS)
    assert one.count == 1
    assert levels.due_at(THREE, levels.start(levels.enter(one, "c", 99.0, now=0.0), now=0.0)) == NEVER
    assert THREE.under(Policy.ATLAS) is THREE


def test_a_used_up_quantum_sends_a_call_to_the_tail_of_the_next_level() -> None:
    running = levels.start(levels.enter(THREE, "c", 0.0, now=0.0), now=5.0)
    assert levels.due_at(THREE, running) == 6.0
    demoted = levels.demote(THREE, running, now=6.0)
    assert (demoted.level, demoted.quantum_left_s, demoted.enqueued_at, demoted.demotions) == (1, 2.0, 6.0, 1)
    assert demoted.running


def test_on_the_last_level_a_call_goes_round() -> None:
    ring = Levels(bounds_s=(1.0,), quanta_s=(1.0, 4.0))
    running = levels.start(levels.enter(ring, "c", 2.0, now=0.0), now=0.0)
    again = levels.demote(ring, running, now=4.0)
    assert (again.level, again.quantum_left_s, again.enqueued_at) == (1, 4.0, 4.0)


def test_a_preempted_call_keeps_its_place_and_the_rest_of_its_quantum() -> None:
    running = levels.start(levels.enter(THREE, "c", 1.5, now=0.0), now=1.0)
    back = levels.preempt(running, now=1.5)
    assert (back.level, back.enqueued_at, back.quantum_left_s, back.preemptions) == (1, 0.0, 1.5, 1)
    assert levels.due_at(THREE, levels.start(back, now=10.0)) == 11.5


def test_service_and_wait_add_up_over_any_number_of_preemptions() -> None:
    call = levels.enter(THREE, "c", 0.0, now=0.0)
    call = levels.start(call, now=2.0)
    call = levels.preempt(call, now=2.5)
    call = levels.start(call, now=4.0)
    assert levels.measured(call, now=4.25) == (0.75, 3.5)


def test_a_waiting_call_is_due_when_wait_over_service_reaches_beta() -> None:
    call = levels.enter(THREE, "c", 1.5, now=10.0, program_wait_s=1.0, program_service_s=2.0)
    # (1 + w) / 2 >= 2 once w = 3
    assert levels.due_at(THREE, call) == 13.0
    promoted = levels.promote(THREE, call, now=13.0)
    assert (promoted.level, promoted.promotions, promoted.enqueued_at) == (0, 1, 13.0)
    assert (promoted.share_wait_s, promoted.share_service_s) == (0.0, 0.0)
    assert levels.measured(promoted, now=13.0) == (0.0, 3.0), "the report still knows the whole wait"


def test_a_program_that_starved_before_is_due_at_once() -> None:
    call = levels.enter(THREE, "c", 1.5, now=10.0, program_wait_s=9.0, program_service_s=2.0)
    assert levels.due_at(THREE, call) == 10.0


@pytest.mark.parametrize("beta", [None, 2.0])
def test_on_the_first_level_or_without_beta_nothing_is_due(beta: float | None) -> None:
    of = Levels(THREE.bounds_s, THREE.quanta_s, beta)
    assert levels.due_at(of, levels.enter(of, "c", 0.0, now=0.0)) == NEVER
    assert (levels.due_at(of, levels.enter(of, "c", 5.0, now=0.0, program_service_s=5.0)) == NEVER) == (beta is None)


@given(st.lists(st.tuples(st.sampled_from(["start", "preempt", "demote", "promote"]), st.floats(0, 10)), max_size=40))
def test_every_instant_is_either_service_or_wait(steps: list[tuple[str, float]]) -> None:
    now, call = 0.0, levels.enter(THREE, "c", 0.0, now=0.0)
    for step, later in steps:
        now += later
        match step:
            case "start":
                call = levels.start(call, now=now)
            case "preempt":
                call = levels.preempt(call, now=now)
            case "demote":
                call = levels.demote(THREE, call, now=now)
            case "promote":
                call = levels.promote(THREE, call, now=now)
    service_s, wait_s = levels.measured(call, now=now)
    assert service_s + wait_s == pytest.approx(now)
    assert call.quantum_left_s >= 0


def test_a_clock_that_stands_still_or_runs_back_takes_no_time() -> None:
    call = levels.start(levels.enter(THREE, "c", 0.0, now=5.0), now=4.0)
    assert levels.measured(call, now=3.0) == (0.0, 0.0)
