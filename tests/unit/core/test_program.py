"""The process table's rows and their transitions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autellix_core import program as programs
from autellix_core.program import Call, CallId, EngineId, Measured, Program, ProgramId, State

A, B = CallId("a"), CallId("b")
ONE, TWO = EngineId("one"), EngineId("two")


def a_program(**fields: float | str | bool) -> Program:
    return Program(id=ProgramId("p"), tenant="t", model="m", created_at=100.0, **fields)  # type: ignore[arg-type]


def arrived(program: Program, call: CallId, fence: int = 1, now: float = 101.0) -> Program:
    return programs.arrive(program, call, fence=fence, now=now, lease_s=30.0)[0]


def settled(program: Program, call: CallId, service_s: float, fence: int = 1, now: float = 102.0) -> Program:
    measured = Measured(service_s=service_s, wait_s=0.5, prompt_tokens=10, output_tokens=3)
    return programs.settle(program, call, measured, fence=fence, now=now, completed=True)[0]


def test_a_late_sibling_inherits_the_longest_path() -> None:
    program = arrived(a_program(), A)
    program = settled(program, A, 4.0)
    program, thread = programs.arrive(program, B, fence=2, now=103.0, lease_s=30.0)
    assert thread == Call(id=B, fence=2, arrived_at=103.0, inherited_s=4.0, lease_until=133.0)
    assert program.last_arrival_at == program.last_activity_at == 103.0


def test_parallel_siblings_inherit_the_same_and_only_the_longest_counts() -> None:
    program = arrived(arrived(a_program(critical_path_s=1.0), A), B, fence=2)
    program = settled(program, A, 2.0)
    program = settled(program, B, 5.0, fence=2)
    assert program.critical_path_s == 6.0
    assert program.service_s == 7.0


def test_a_call_that_arrives_twice_is_one_call() -> None:
    once = arrived(a_program(), A)
    twice, thread = programs.arrive(once, A, fence=9, now=200.0, lease_s=30.0)
    assert twice is once
    assert thread.fence == 1


def test_settling_folds_everything_once() -> None:
    program = settled(arrived(a_program(), A), A, 4.0)
    assert (program.service_s, program.wait_s, program.calls) == (4.0, 0.5, 1)
    assert (program.prompt_tokens, program.output_tokens) == (10, 3)
    assert program.last_completion_at == 102.0
    again, done = programs.settle(program, A, Measured(9.0), fence=1, now=103.0, completed=True)
    assert again is program
    assert not done


def test_another_fence_settles_nothing() -> None:
    program = arrived(a_program(), A, fence=5)
    for change in (
        programs.settle(program, A, Measured(9.0), fence=4, now=103.0, completed=True)[0],
        programs.sweep(program, A, fence=4, now=103.0)[0],
        programs.dispatch(program, A, fence=4, engine=ONE, home=True),
        programs.renew(program, A, fence=4, lease_until=999.0, wait_s=1.0, service_s=1.0),
    ):
        assert change is program


def test_an_aborted_call_counts_but_is_no_completion() -> None:
    program, done = programs.settle(
        arrived(a_program(), A), A, Measured(service_s=2.0), fence=1, now=105.0, completed=False
    )
    assert done
    assert (program.service_s, program.last_completion_at) == (2.0, None)


def test_a_swept_call_counts_with_what_it_had_cost_when_last_heard_of() -> None:
    program = programs.renew(arrived(a_program(), A), A, fence=1, lease_until=160.0, wait_s=1.0, service_s=3.0)
    assert program.threads[A].lease_until == 160.0
    program, done = programs.sweep(program, A, fence=1, now=161.0)
    assert done
    assert (program.service_s, program.wait_s, program.critical_path_s, dict(program.threads)) == (3.0, 1.0, 3.0, {})


def test_dispatch_remembers_engines_in_order_and_the_home_only_when_told() -> None:
    program = programs.dispatch(arrived(a_program(), A), A, fence=1, engine=ONE, home=False)
    assert (program.home, program.engines, program.threads[A].engine) == (None, (ONE,), ONE)
    program = programs.dispatch(program, A, fence=1, engine=TWO, home=True)
    program = programs.dispatch(program, A, fence=1, engine=ONE, home=False)
    assert (program.home, program.engines, program.threads[A].engine) == (TWO, (ONE, TWO), ONE)


def test_a_program_is_active_idle_ended_or_expired() -> None:
    program = a_program()
    assert programs.state(program) is State.IDLE
    assert programs.state(arrived(program, A)) is State.ACTIVE
    assert programs.state(programs.end(program, now=110.0)) is State.ENDED
    assert programs.state(programs.expire(program, now=110.0)) is State.EXPIRED
    assert programs.state(programs.end(arrived(program, A), now=110.0)) is State.ACTIVE, "it is being wound up"


def test_staleness_is_counted_from_what_came_last() -> None:
    assert a_program().last_activity_at == 100.0
    assert arrived(a_program(), A, now=101.0).last_activity_at == 101.0
    assert settled(arrived(a_program(), A, now=101.0), A, 1.0, now=150.0).last_activity_at == 150.0


def test_ending_twice_keeps_the_first_end() -> None:
    ended = programs.end(a_program(), now=110.0)
    assert programs.end(ended, now=120.0) is ended


def test_only_an_idle_open_program_expires_and_a_call_reopens_it() -> None:
    busy = arrived(a_program(), A)
    ended = programs.end(a_program(), now=110.0)
    expired = programs.expire(a_program(), now=110.0)
    assert programs.expire(busy, now=110.0) is busy
    assert programs.expire(ended, now=120.0) is ended
    assert programs.expire(expired, now=120.0) is expired
    assert programs.state(arrived(expired, A)) is State.ACTIVE
    assert programs.state(settled(arrived(expired, A), A, 1.0)) is State.IDLE


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.floats(0, 100)), max_size=60))
def test_the_critical_path_is_never_longer_than_all_service_nor_shorter_than_the_longest_call(
    walk: list[tuple[bool, int, float]],
) -> None:
    program, longest, fence = a_program(), 0.0, 0
    for arrives, number, service_s in walk:
        call = CallId(str(number))
        if arrives:
            fence += 1
            program = arrived(program, call, fence=fence)
        elif call in program.threads:
            program = settled(program, call, service_s, fence=program.threads[call].fence)
            longest = max(longest, service_s)
    assert longest <= program.critical_path_s
    assert program.critical_path_s <= program.service_s * (1 + 1e-9)


@given(st.lists(st.floats(0, 1000), max_size=50))
def test_where_calls_never_overlap_the_critical_path_is_the_sum(service: list[float]) -> None:
    program = a_program()
    for number, service_s in enumerate(service):
        program = settled(arrived(program, A, fence=number), A, service_s, fence=number)
    assert program.critical_path_s == program.service_s


def test_rows_cannot_be_changed_in_place() -> None:
    program = arrived(a_program(), A)
    with pytest.raises(TypeError):
        program.threads[B] = program.threads[A]  # type: ignore[index]
