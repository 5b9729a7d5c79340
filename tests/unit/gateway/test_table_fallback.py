"""Calls are served on while the shared table is away, and each settles exactly once when it is back."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autellix_core.program import EngineId, Measured, ProgramId
from autellix_gateway.table.fallback import Reconciled
from autellix_gateway.table.memory import MemoryTable
from autellix_gateway.table.protocol import (
    Admission,
    Arrival,
    CallRef,
    ProcessTable,
    Progress,
    SessionEnded,
    TableAway,
    TooManyPrograms,
)
from fallback_stage import COST, E0, LIMITS, P, Stage, arrival

Q = ProgramId("q")
E1 = EngineId("e1")


@pytest.fixture
def stage() -> Stage:
    return Stage()


VERBS: dict[str, Callable[[ProcessTable, CallRef], Awaitable[Any]]] = {
    "start_session": lambda table, _: table.start_session(Q, tenant="ann", model="model"),
    "arrive": lambda table, _: table.arrive(arrival("d")),
    "dispatch": lambda table, ref: table.dispatch(ref, E0, home=True),
    "renew": lambda table, ref: table.renew([Progress(ref, wait_s=0.5, service_s=1.0)]),
    "complete": lambda table, ref: table.complete(ref, COST),
    "abort": lambda table, ref: table.abort(ref, COST),
    "end_session": lambda table, _: table.end_session(P),
    "sweep": lambda table, _: table.sweep(),
    "unsettled": lambda table, ref: table.unsettled([ref.call]),
    "program": lambda table, _: table.program(P),
    "programs": lambda table, _: table.programs(active_since=0.0),
    "publish": lambda table, _: table.publish("g", b"row", ttl_s=5.0),
    "published": lambda table, _: table.published(),
}


@pytest.mark.parametrize("unheard", [False, True], ids=["not done", "done unheard"])
@pytest.mark.parametrize("verb", VERBS)
async def test_whichever_verb_finds_the_table_away_is_answered(stage: Stage, verb: str, *, unheard: bool) -> None:
    """And answered as the primary would have; later ones do not wait for it; and nothing is lost or doubled."""
    table = stage.table
    twin = MemoryTable(LIMITS, stage.clock)
    ref = (await table.arrive(arrival("c"))).ref
    same = (await twin.arrive(arrival("c"))).ref
    stage.distant.leave(unheard=unheard)

    answer = await VERBS[verb](table, ref)

    expected = await VERBS[verb](twin, same)
    if isinstance(answer, Admission):
        assert replace(answer, ref=expected.ref) == expected
    else:
        assert answer == expected
    assert table.degraded
    tried = stage.distant.tried
    await table.renew([Progress(ref)])
    await table.complete(ref, COST)
    assert stage.distant.tried == tried

    await stage.come_back()
    assert stage.row().service_s == 1.5
    assert (stage.shared.known(Q) is None) == (verb != "start_session")
    assert (stage.row().ended_at is None) == (verb != "end_session")
    assert stage.row().calls == (2 if verb == "arrive" else 1)


async def test_while_it_is_there_the_answers_are_the_primarys(stage: Stage) -> None:
    other_gateway = await stage.shared.arrive(arrival("c"))
    await stage.shared.dispatch(other_gateway.ref, E1, home=True)

    admission = await stage.table.arrive(arrival("d"))

    assert (admission.home, admission.engine_calls) == (E1, {E1: 1})
    assert await stage.table.programs() == (stage.row(),)
    assert await stage.table.probe() is None


async def test_a_known_program_keeps_its_numbers_and_an_unknown_one_starts_at_zero(stage: Stage) -> None:
    first = await stage.shared.arrive(arrival("elsewhere"))
    await stage.shared.complete(first.ref, Measured(service_s=4.0, wait_s=2.0))
    ours = await stage.table.arrive(arrival("c"))
    await stage.table.dispatch(ours.ref, E0, home=True)
    await stage.table.complete(ours.ref, COST)
    await stage.go_away()

    known = await stage.table.arrive(arrival("d"))
    unknown = await stage.table.arrive(arrival("e", Q))

    assert (known.inherited_s, known.service_s, known.wait_s, known.home) == (5.5, 5.5, 2.25, E0)
    assert (unknown.inherited_s, unknown.service_s, unknown.wait_s, unknown.home) == (0.0, 0.0, 0.0, None)


async def test_engines_are_counted_by_what_this_gateway_sent_them(stage: Stage) -> None:
    elsewhere = await stage.shared.arrive(arrival("elsewhere"))
    await stage.shared.dispatch(elsewhere.ref, E1, home=False)
    there = await stage.table.arrive(arrival("c"))
    await stage.table.dispatch(there.ref, E0, home=True)
    await stage.go_away()
    here = await stage.table.arrive(arrival("d"))
    await stage.table.dispatch(here.ref, E0, home=True)

    assert (await stage.table.arrive(arrival("e"))).engine_calls == {E0: 2}
    await stage.table.complete(there.ref, COST)
    assert (await stage.table.arrive(arrival("f"))).engine_calls == {E0: 1}

    await stage.come_back()
    assert stage.shared.engine_calls == {E0: 1, E1: 1}


@pytest.mark.parametrize("arrives", ["there", "unheard", "away"])
@pytest.mark.parametrize("ends", ["there", "unheard", "away", "after"])
async def test_a_call_settles_exactly_once_wherever_it_began_and_ended(stage: Stage, arrives: str, ends: str) -> None:
    if arrives == "away":
        await stage.go_away()
    elif arrives == "unheard":
        stage.distant.leave(unheard=True)
    admission = await stage.table.arrive(arrival("c"))
    await stage.table.dispatch(admission.ref, E0, home=True)
    if ends in {"there", "unheard"} and arrives != "there":
        await stage.come_back()
    if ends == "unheard":
        stage.distant.leave(unheard=True)
    elif ends in {"away", "after"} and not stage.table.degraded:
        await stage.go_away()
    if ends == "after":
        await stage.come_back()

    assert await stage.table.complete(admission.ref, COST)
    assert not await stage.table.complete(admission.ref, COST)
    if stage.table.degraded:
        await stage.come_back()

    assert (stage.row().calls, stage.row().service_s, stage.row().prompt_tokens) == (1, 1.5, 100)
    assert (stage.row().home, stage.row().engines) == (E0, (E0,))
    assert stage.row().threads == {}
    assert stage.shared.engine_calls == {}


async def test_a_call_that_goes_on_is_renewed_and_counted_as_soon_as_the_table_is_back(stage: Stage) -> None:
    there = await stage.table.arrive(arrival("c"))
    await stage.go_away()
    here = await stage.table.arrive(arrival("d"))
    await stage.table.dispatch(there.ref, E0, home=True)
    await stage.table.dispatch(here.ref, E1, home=True)
    stage.clock.pass_(LIMITS.lease_s * 0.9)
    await stage.table.renew([Progress(there.ref, service_s=2.0), Progress(here.ref, service_s=3.0)])

    await stage.come_back()

    assert stage.shared.engine_calls == {E0: 1, E1: 1}
    stage.clock.pass_(LIMITS.lease_s * 0.9)
    assert (await stage.shared.sweep()).calls == 0
    assert list(await stage.table.renew([Progress(there.ref), Progress(here.ref)])) == []
    assert await stage.table.complete(here.ref, COST)
    assert await stage.table.complete(there.ref, COST)
    assert stage.row().service_s == 3.0
    assert stage.shared.engine_calls == {}


async def test_an_arrival_repeated_after_the_return_keeps_its_reference(stage: Stage) -> None:
    await stage.go_away()
    first = await stage.table.arrive(arrival("c"))
    await stage.come_back()

    again = await stage.table.arrive(arrival("c"))

    assert again.ref == first.ref
    assert await stage.table.complete(again.ref, COST)
    assert (stage.row().calls, stage.row().service_s) == (1, 1.5)


async def test_a_primary_that_comes_back_empty_is_told_of_the_calls_under_way(stage: Stage) -> None:
    under_way = await stage.table.arrive(arrival("c"))
    await stage.table.dispatch(under_way.ref, E0, home=True)
    ended = await stage.table.arrive(arrival("d"))
    await stage.go_away()
    await stage.table.complete(ended.ref, COST)
    stage.shared = stage.distant.table = MemoryTable(LIMITS, stage.clock)

    await stage.come_back()

    assert stage.shared.engine_calls == {E0: 1}
    assert list(await stage.table.renew([Progress(under_way.ref)])) == []
    assert await stage.table.complete(under_way.ref, COST)
    assert stage.row().service_s == 3.0


async def test_a_primary_that_lost_its_data_unnoticed_is_told_at_the_next_renewal(stage: Stage) -> None:
    under_way = await stage.table.arrive(arrival("c"))
    await stage.table.dispatch(under_way.ref, E0, home=True)
    stage.shared = stage.distant.table = MemoryTable(LIMITS, stage.clock)

    assert list(await stage.table.renew([Progress(under_way.ref)])) == []

    assert stage.shared.engine_calls == {E0: 1}
    assert await stage.table.complete(under_way.ref, COST)
    assert stage.row().service_s == 1.5


async def test_a_call_that_was_swept_meanwhile_goes_on_but_does_not_count_twice(stage: Stage) -> None:
    admission = await stage.table.arrive(arrival("c"))
    await stage.table.renew([Progress(admission.ref, service_s=1.0)])
    await stage.go_away()
    stage.clock.pass_(LIMITS.lease_s * 0.9)
    await stage.table.renew([Progress(admission.ref, service_s=9.0)])
    stage.clock.pass_(LIMITS.lease_s * 0.9)
    assert (await stage.shared.sweep()).calls == 1

    await stage.come_back()

    assert list(await stage.table.renew([Progress(admission.ref, service_s=10.0)])) == []
    await stage.table.complete(admission.ref, COST)
    assert stage.row().service_s == 1.0
    assert stage.row().threads == {}


async def test_a_call_that_was_swept_and_forgotten_in_a_long_absence_does_not_count_twice(stage: Stage) -> None:
    goes_on = await stage.table.arrive(arrival("c"))
    ends = await stage.table.arrive(arrival("d"))
    progress = [Progress(goes_on.ref, service_s=1.0), Progress(ends.ref, service_s=1.0)]
    await stage.table.renew(progress)
    await stage.go_away()
    stage.clock.pass_(LIMITS.lease_s)
    await stage.shared.sweep()
    stage.clock.pass_(LIMITS.remember_s)
    await stage.shared.sweep()
    await stage.table.complete(ends.ref, COST)

    await stage.come_back()
    await stage.table.renew(progress)
    await stage.table.complete(goes_on.ref, COST)

    assert (stage.row().calls, stage.row().service_s) == (2, 2.0)
    assert stage.row().threads == {}


async def test_a_call_of_a_session_ended_while_it_ran_here_is_wound_up(stage: Stage) -> None:
    await stage.table.start_session(P, tenant="ann", model="model")
    await stage.go_away()
    admission = await stage.table.arrive(arrival("c"))
    late = await stage.table.arrive(arrival("d"))
    await stage.table.complete(late.ref, COST)
    await stage.shared.end_session(P)

    reconciled = await stage.come_back()

    assert reconciled == Reconciled(entries=1, dropped=2)
    assert list(await stage.table.renew([Progress(admission.ref)])) == [admission.ref]
    assert await stage.table.abort(admission.ref, COST)
    assert stage.row().threads == {}


async def test_a_call_under_way_in_a_session_ended_elsewhere_still_settles(stage: Stage) -> None:
    admission = await stage.table.arrive(arrival("c"))
    await stage.go_away()
    await stage.shared.end_session(P)

    await stage.come_back()

    assert list(await stage.table.renew([Progress(admission.ref)])) == [admission.ref]
    assert await stage.table.abort(admission.ref, COST)
    assert stage.row().service_s == 1.5


async def test_sessions_start_and_end_while_the_table_is_away(stage: Stage) -> None:
    await stage.go_away()
    started = await stage.table.start_session(P, tenant="ann", model="model", mirror=True)
    admission = await stage.table.arrive(arrival("c"))
    ended = await stage.table.end_session(P)

    assert started.created_at == stage.clock()
    assert ended is not None
    with pytest.raises(SessionEnded):
        await stage.table.arrive(arrival("d"))
    assert await stage.table.complete(admission.ref, COST)

    await stage.come_back()

    assert stage.row().ended_at is not None
    assert stage.row().service_s == 1.5
    assert stage.row().mirror


async def test_without_the_shared_table_a_gateway_publishes_for_itself(stage: Stage) -> None:
    await stage.shared.publish("other", b"theirs", ttl_s=60.0)
    await stage.table.publish("own", b"ours", ttl_s=60.0)
    assert (await stage.table.published()).rows == {"other": b"theirs", "own": b"ours"}

    await stage.go_away()
    assert (await stage.table.published()).rows == {"own": b"ours"}
    await stage.table.publish("own", b"news", ttl_s=60.0)
    assert (await stage.table.published()).rows == {"own": b"news"}

    stage.distant.come_back()
    await stage.table.probe()
    assert (await stage.table.published()).rows == {"other": b"theirs", "own": b"ours"}


async def test_refusals_hold_while_the_table_is_away(stage: Stage) -> None:
    for number in range(LIMITS.programs_per_tenant):
        await stage.table.start_session(ProgramId(f"p{number}"), tenant="ann", model="model")
    await stage.go_away()

    with pytest.raises(TooManyPrograms):
        await stage.table.start_session(Q, tenant="ann", model="model")
    over = await stage.table.arrive(arrival("c", Q))
    assert over.over_limit
    await stage.table.complete(over.ref, COST)

    assert await stage.come_back() == Reconciled(entries=1, dropped=0)


async def test_what_the_journal_cannot_hold_is_counted() -> None:
    stage = Stage(journal_at_most=3)
    await stage.go_away()
    for number in range(5):
        admission = await stage.table.arrive(arrival(f"c{number}"))
        await stage.table.complete(admission.ref, COST)

    assert await stage.come_back() == Reconciled(entries=3, dropped=2)
    assert stage.row().calls == 3


async def test_a_primary_that_goes_away_while_it_is_told_is_told_the_rest_later(stage: Stage) -> None:
    await stage.go_away()
    for number in range(3):
        admission = await stage.table.arrive(arrival(f"c{number}"))
        await stage.table.complete(admission.ref, COST)
    under_way = await stage.table.arrive(arrival("d"))
    stage.distant.come_back()
    told = stage.shared.complete

    async def complete_and_leave(ref: CallRef, measured: Measured) -> bool:
        stage.distant.leave(unheard=True)
        stage.shared.complete = told  # type: ignore[method-assign]
        return await told(ref, measured)

    stage.shared.complete = complete_and_leave  # type: ignore[method-assign]

    assert await stage.table.probe() is None
    assert stage.table.degraded
    await stage.come_back()

    assert (stage.row().calls, stage.row().service_s) == (4, 4.5)
    assert list(stage.row().threads) == ["d"]
    assert await stage.table.complete(under_way.ref, COST)


async def test_a_primary_that_goes_away_before_it_is_told_of_a_call_under_way_is_told_later(stage: Stage) -> None:
    there = await stage.table.arrive(arrival("c"))
    await stage.go_away()
    await stage.table.dispatch(there.ref, E0, home=True)
    here = await stage.table.arrive(arrival("d"))
    stage.distant.come_back()
    told = stage.shared.renew

    async def leave(_: Sequence[Progress]) -> Sequence[CallRef]:
        stage.shared.renew = told  # type: ignore[method-assign]
        stage.distant.leave()
        raise TableAway("It went away.")

    stage.shared.renew = leave  # type: ignore[method-assign,assignment]
    assert await stage.table.probe() is None
    await stage.come_back()

    assert stage.shared.engine_calls == {E0: 1}
    assert set(stage.row().threads) == {"c", "d"}
    assert await stage.table.complete(here.ref, COST)


async def test_a_call_whose_gateway_forgot_it_is_swept_here_as_there(stage: Stage) -> None:
    admission = await stage.table.arrive(arrival("c"))
    stage.clock.pass_(LIMITS.lease_s)

    assert (await stage.table.sweep()).calls == 1

    assert not await stage.table.complete(admission.ref, COST)
    assert stage.table._calls == {}


async def test_while_it_is_away_a_probe_changes_nothing(stage: Stage) -> None:
    await stage.go_away()

    assert await stage.table.probe() is None
    assert stage.table.degraded


async def test_a_settling_that_is_cancelled_is_settled_by_the_probe(stage: Stage) -> None:
    admission = await stage.table.arrive(arrival("c"))
    hangs = asyncio.Event()

    async def hang(*_: object) -> bool:
        await hangs.wait()
        return True

    told = stage.shared.complete
    stage.shared.complete = hang  # type: ignore[method-assign,assignment]
    settling = asyncio.create_task(stage.table.complete(admission.ref, COST))
    await asyncio.sleep(0)
    settling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await settling
    stage.shared.complete = told  # type: ignore[method-assign]

    assert await stage.table.probe() == Reconciled(entries=1, dropped=0)
    assert stage.row().service_s == 1.5


async def test_calls_are_served_while_the_primary_is_being_told(stage: Stage) -> None:
    """A call that arrives and one that ends between the probe's steps are told as well."""
    await stage.go_away()
    first = await stage.table.arrive(arrival("c0"))
    second = await stage.table.arrive(arrival("c1"))
    late: list[Admission] = []
    told = stage.shared.arrive

    async def meanwhile(at: Arrival) -> Admission:
        stage.shared.arrive = told  # type: ignore[method-assign]
        admission = await told(at)
        late.append(await stage.table.arrive(arrival("late")))
        await stage.table.dispatch(first.ref, E0, home=True)
        await stage.table.complete(second.ref, COST)
        return admission

    stage.shared.arrive = meanwhile  # type: ignore[method-assign,assignment]
    await stage.come_back()

    assert set(stage.row().threads) == {"c0", "late"}
    assert (stage.row().calls, stage.row().service_s) == (3, 1.5)
    assert stage.shared.engine_calls == {E0: 1}
    assert await stage.table.complete(late[0].ref, COST)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 2**32))
async def test_whenever_the_table_goes_and_comes_back_the_totals_are_exact(seed: int) -> None:
    draw, stage = random.Random(seed), Stage(journal_at_most=1000)
    under_way: list[CallRef] = []
    total_s, number = 0.0, 0
    for _ in range(120):
        what = draw.randrange(10)
        if what == 0:
            stage.distant.leave(unheard=draw.random() < 0.5)
        elif what == 1:
            stage.distant.come_back()
            await stage.table.probe()
        elif what == 2:
            stage.clock.pass_(draw.choice([0.0, 1.0, LIMITS.lease_s * 0.45]))
            assert list(await stage.table.renew([Progress(ref) for ref in under_way])) == []
        elif what < 6:
            number += 1
            program = draw.choice([P, Q, None])
            call = f"c{number}"
            wanted = arrival(call, program or ProgramId(call), single_call=program is None)
            under_way.append((await stage.table.arrive(wanted)).ref)
        elif under_way and what < 8:
            await stage.table.dispatch(draw.choice(under_way), draw.choice([E0, E1]), home=draw.random() < 0.5)
        elif under_way:
            ref = under_way.pop(draw.randrange(len(under_way)))
            cost = Measured(service_s=draw.randrange(80) / 8)
            settled = await (stage.table.complete if draw.random() < 0.8 else stage.table.abort)(ref, cost)
            assert settled
            if ref.program in {P, Q}:
                total_s += cost.service_s
    for ref in under_way:
        await stage.table.abort(ref, Measured())
    stage.distant.come_back()
    await stage.table.probe()

    rows = [row for row in (stage.shared.known(P), stage.shared.known(Q)) if row is not None]
    assert sum(row.service_s for row in rows) == total_s
    assert [row.threads for row in await stage.shared.programs()] == [{}] * len(rows)
    assert stage.shared.engine_calls == {}
    assert stage.table._calls == {}
