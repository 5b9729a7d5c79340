"""The contract of the process table, sentence by sentence, for each table there is."""

from dataclasses import replace

import pytest

from autellix_core.program import CallId, EngineId, Measured, Program, ProgramId, State, state
from autellix_gateway.table.protocol import (
    Admission,
    Arrival,
    CallRef,
    Limits,
    ProcessTable,
    Progress,
    Published,
    SessionEnded,
    Swept,
    TooManyPrograms,
)
from table_clock import TableClock

P, Q, R = ProgramId("p"), ProgramId("q"), ProgramId("r")
E0, E1 = EngineId("http://engine-0:8000"), EngineId("http://engine-1:8000")
COST = Measured(service_s=1.5, wait_s=0.25, prompt_tokens=100, output_tokens=20)


def arrival(call: str, program: ProgramId = P, *, tenant: str = "ann", single_call: bool = False) -> Arrival:
    return Arrival(program, CallId(call), tenant, "model", single_call)


async def row(table: ProcessTable, program: ProgramId = P) -> Program:
    found = await table.program(program)
    assert found is not None
    return found


async def engine_calls(table: ProcessTable) -> dict[EngineId, int]:
    """As the next call would see them."""
    probe = await table.arrive(arrival("probe", ProgramId("probe"), single_call=True))
    await table.abort(probe.ref, Measured())
    return dict(probe.engine_calls)


async def test_a_session_opens_before_its_first_call(table: ProcessTable, clock: TableClock) -> None:
    opened = await table.start_session(P, tenant="ann", model="model")

    assert opened == Program(id=P, tenant="ann", model="model", created_at=clock())
    assert await table.program(P) == opened


async def test_a_session_that_is_open_already_is_returned_as_it_is(table: ProcessTable, clock: TableClock) -> None:
    opened = await table.start_session(P, tenant="ann", model="model")
    clock.pass_(5)

    assert await table.start_session(P, tenant="bob", model="other") == opened


async def test_a_call_creates_its_program(table: ProcessTable) -> None:
    admission = await table.arrive(arrival("c"))

    assert admission == Admission(CallRef(P, CallId("c"), 1), 0.0, 0.0, 0.0, home=None, engine_calls={})
    assert (await row(table)).calls == 1
    assert state(await row(table)) is State.ACTIVE


async def test_a_repeated_arrival_returns_the_same_fence_and_inherited_service(table: ProcessTable) -> None:
    first = await table.arrive(arrival("c"))
    sibling = await table.arrive(arrival("sibling"))
    await table.complete(sibling.ref, COST)

    again = await table.arrive(arrival("c"))

    assert (again.ref, again.inherited_s) == (first.ref, first.inherited_s)
    assert again.service_s == COST.service_s
    assert (await row(table)).calls == 2


async def test_a_call_that_was_settled_already_is_not_registered_again(table: ProcessTable) -> None:
    first = await table.arrive(arrival("c"))
    await table.complete(first.ref, COST)

    again = await table.arrive(arrival("c"))

    assert again.inherited_s == 1.5
    assert not await table.complete(again.ref, COST)
    assert (await row(table)).threads == {}
    assert (await row(table)).calls == 1
    assert (await row(table)).service_s == 1.5


async def test_it_says_which_calls_it_does_not_know_as_settled(
    table: ProcessTable, clock: TableClock, limits: Limits
) -> None:
    completed, aborted, _ = [await table.arrive(arrival(call)) for call in ("completed", "aborted", "under way")]
    await table.complete(completed.ref, COST)
    await table.abort(aborted.ref, COST)
    asked = [CallId(call) for call in ("unheard of", "completed", "under way", "aborted")]

    assert list(await table.unsettled(asked)) == ["unheard of", "under way"]
    assert list(await table.unsettled([])) == []
    many = [CallId(f"unheard of {number}") for number in range(2500)]
    assert list(await table.unsettled([*many, CallId("completed")])) == many
    clock.pass_(limits.lease_s + limits.remember_s + 1.0)
    await table.sweep()
    assert CallId("under way") not in await table.unsettled(asked), "it was swept just now"
    assert CallId("completed") in await table.unsettled(asked), "it was forgotten"


async def test_a_settled_call_stays_known_when_its_program_is_gone(table: ProcessTable) -> None:
    alone = await table.arrive(arrival("c", ProgramId("c"), single_call=True))
    await table.complete(alone.ref, COST)

    again = await table.arrive(arrival("c", ProgramId("c"), single_call=True))

    assert not await table.complete(again.ref, COST)
    assert await table.program(ProgramId("c")) is None


async def test_settled_calls_are_forgotten_after_a_while(
    table: ProcessTable, clock: TableClock, limits: Limits
) -> None:
    first = await table.arrive(arrival("c"))
    await table.complete(first.ref, COST)
    clock.pass_(limits.remember_s)
    await table.sweep()

    again = await table.arrive(arrival("c"))

    assert again.ref.fence > first.ref.fence
    assert await table.complete(again.ref, COST)


async def test_settling_folds_the_cost_in_exactly_once(table: ProcessTable, clock: TableClock) -> None:
    admission = await table.arrive(arrival("c"))
    clock.pass_(2)

    assert await table.complete(admission.ref, COST)
    assert not await table.complete(admission.ref, COST)
    assert not await table.abort(admission.ref, COST)

    after = await row(table)
    assert (after.critical_path_s, after.service_s, after.wait_s) == (1.5, 1.5, 0.25)
    assert (after.prompt_tokens, after.output_tokens) == (100, 20)
    assert after.last_completion_at == clock()
    assert state(after) is State.IDLE


async def test_an_aborted_call_counts_but_is_no_completion(table: ProcessTable) -> None:
    admission = await table.arrive(arrival("c"))

    assert await table.abort(admission.ref, COST)

    assert (await row(table)).service_s == 1.5
    assert (await row(table)).last_completion_at is None


async def test_another_fence_settles_nothing(table: ProcessTable) -> None:
    admission = await table.arrive(arrival("c"))
    stale = replace(admission.ref, fence=admission.ref.fence + 1)

    assert not await table.complete(stale, COST)
    await table.dispatch(stale, E0, home=True)

    assert (await row(table)).service_s == 0
    assert (await row(table)).home is None
    assert await table.complete(admission.ref, COST)


async def test_parallel_siblings_inherit_equally_and_the_longest_path_counts(table: ProcessTable) -> None:
    root = await table.arrive(arrival("root"))
    await table.complete(root.ref, Measured(service_s=2.0))
    left, right = await table.arrive(arrival("left")), await table.arrive(arrival("right"))

    await table.complete(left.ref, Measured(service_s=5.0))
    await table.complete(right.ref, Measured(service_s=3.0))

    assert left.inherited_s == right.inherited_s == 2.0
    joined = await table.arrive(arrival("join"))
    assert (joined.inherited_s, joined.service_s) == (7.0, 10.0)


async def test_seconds_are_kept_to_the_last_bit(table: ProcessTable, clock: TableClock) -> None:
    clock.now = 1_795_448_441.883_264_1
    thirds, huge = await table.arrive(arrival("c")), await table.arrive(arrival("d"))
    await table.complete(thirds.ref, Measured(service_s=1 / 3, wait_s=0.1 + 0.2))
    await table.complete(huge.ref, Measured(service_s=2.0**60, wait_s=5e-300))

    after = await row(table)
    assert after.service_s == 1 / 3 + 2.0**60
    assert after.wait_s == 0.1 + 0.2 + 5e-300
    assert after.last_arrival_at == clock.now


async def test_dispatch_counts_the_call_on_its_engine(table: ProcessTable) -> None:
    admission = await table.arrive(arrival("c"))

    await table.dispatch(admission.ref, E0, home=True)
    await table.dispatch(admission.ref, E0, home=True)

    assert await engine_calls(table) == {E0: 1}
    assert (await row(table)).home == E0


async def test_a_call_that_is_moved_counts_on_one_engine_only(table: ProcessTable) -> None:
    admission = await table.arrive(arrival("c"))
    await table.dispatch(admission.ref, E0, home=True)

    await table.dispatch(admission.ref, E1, home=False)

    assert await engine_calls(table) == {E1: 1}
    assert (await row(table)).home == E0
    assert (await row(table)).engines == (E0, E1)


async def test_engine_counts_return_to_zero(table: ProcessTable) -> None:
    refs = [(await table.arrive(arrival(f"c{number}"))).ref for number in range(3)]
    for ref in refs:
        await table.dispatch(ref, E0, home=False)
    await table.complete(refs[0], COST)
    await table.abort(refs[1], COST)
    assert await engine_calls(table) == {E0: 1}

    await table.complete(refs[2], COST)
    await table.dispatch(refs[2], E0, home=False)  # late: it changes nothing

    assert await engine_calls(table) == {}


async def test_a_lease_that_is_renewed_holds(table: ProcessTable, clock: TableClock, limits: Limits) -> None:
    admission = await table.arrive(arrival("c"))
    clock.pass_(limits.lease_s * 0.9)
    assert list(await table.renew([Progress(admission.ref, wait_s=0.5, service_s=2.0)])) == []
    clock.pass_(limits.lease_s * 0.9)

    assert await table.sweep() == Swept(calls=0, programs=0)
    assert await table.complete(admission.ref, COST)


async def test_a_lapsed_lease_is_swept_with_what_the_call_had_cost(
    table: ProcessTable, clock: TableClock, limits: Limits
) -> None:
    admission = await table.arrive(arrival("c"))
    await table.dispatch(admission.ref, E0, home=True)
    await table.renew([Progress(admission.ref, wait_s=0.5, service_s=2.0)])
    clock.pass_(limits.lease_s)

    assert await table.sweep() == Swept(calls=1, programs=0)

    assert (await row(table)).service_s == 2.0
    assert (await row(table)).wait_s == 0.5
    assert await engine_calls(table) == {}
    assert list(await table.renew([Progress(admission.ref)])) == [admission.ref]
    assert not await table.complete(admission.ref, COST)
    assert (await row(table)).service_s == 2.0


async def test_renewing_no_calls_says_nothing(table: ProcessTable) -> None:
    assert list(await table.renew([])) == []


async def test_an_ended_program_takes_no_call_but_those_under_way_settle(table: ProcessTable) -> None:
    admission = await table.arrive(arrival("c"))

    ended = await table.end_session(P)

    assert ended is not None
    assert ended.ended_at is not None
    with pytest.raises(SessionEnded, match="start another session"):
        await table.arrive(arrival("d"))
    with pytest.raises(SessionEnded, match="start another session"):
        await table.start_session(P, tenant="ann", model="model")
    assert (await table.arrive(arrival("c"))).ref == admission.ref
    assert list(await table.renew([Progress(admission.ref)])) == [admission.ref]
    assert await table.complete(admission.ref, COST)
    assert (await row(table)).service_s == 1.5
    assert state(await row(table)) is State.ENDED


async def test_ending_again_changes_nothing(table: ProcessTable, clock: TableClock) -> None:
    await table.start_session(P, tenant="ann", model="model")
    first = await table.end_session(P)
    clock.pass_(1)

    assert await table.end_session(P) == first
    assert await table.end_session(Q) is None


async def test_an_idle_program_expires_and_reopens_on_arrival(
    table: ProcessTable, clock: TableClock, limits: Limits
) -> None:
    admission = await table.arrive(arrival("c"))
    await table.complete(admission.ref, COST)
    clock.pass_(limits.session_ttl_s)

    assert await table.sweep() == Swept(calls=0, programs=1)
    assert state(await row(table)) is State.EXPIRED

    reopened = await table.arrive(arrival("d"))
    assert reopened.inherited_s == 1.5
    assert (await row(table)).expired_at is None


async def test_a_program_with_a_call_under_way_does_not_expire(
    table: ProcessTable, clock: TableClock, limits: Limits
) -> None:
    admission = await table.arrive(arrival("c"))
    for _ in range(int(limits.session_ttl_s / limits.lease_s) * 2 + 2):
        clock.pass_(limits.lease_s / 2)
        await table.renew([Progress(admission.ref)])

    assert await table.sweep() == Swept(calls=0, programs=0)


@pytest.mark.parametrize("ends", [True, False], ids=["ended", "expired"])
async def test_a_closed_program_stays_readable_for_a_while(
    table: ProcessTable, clock: TableClock, limits: Limits, *, ends: bool
) -> None:
    await table.start_session(P, tenant="ann", model="model")
    if ends:
        await table.end_session(P)
    else:
        clock.pass_(limits.session_ttl_s)
        await table.sweep()
    clock.pass_(limits.remember_s * 0.99)
    await table.sweep()
    assert await table.program(P) is not None

    clock.pass_(limits.remember_s * 0.02)
    await table.sweep()

    assert await table.program(P) is None
    assert await table.programs() == ()


async def test_a_tenant_holds_so_many_open_programs(table: ProcessTable) -> None:
    for program in (P, Q):
        await table.start_session(program, tenant="ann", model="model")

    with pytest.raises(TooManyPrograms, match="ann holds 2 open programs"):
        await table.start_session(R, tenant="ann", model="model")
    await table.start_session(R, tenant="bob", model="model")


async def test_a_call_over_the_limit_is_a_program_of_its_own(table: ProcessTable) -> None:
    for program in (P, Q):
        await table.start_session(program, tenant="ann", model="model")

    over = await table.arrive(arrival("c", R))

    assert over.over_limit
    assert over.ref.program == "c"
    assert (await table.arrive(arrival("c", R))) == over
    assert await table.program(R) is None
    assert await table.complete(over.ref, COST)
    assert await table.program(ProgramId("c")) is None


async def test_a_call_over_the_limit_stays_where_it_is_when_a_place_comes_free(table: ProcessTable) -> None:
    for program in (P, Q):
        await table.start_session(program, tenant="ann", model="model")
    over = await table.arrive(arrival("c", R))
    await table.end_session(Q)

    assert (await table.arrive(arrival("c", R))).ref == over.ref
    assert not (await table.arrive(arrival("d", R))).over_limit


async def test_an_expired_program_needs_a_place_to_reopen(
    table: ProcessTable, clock: TableClock, limits: Limits
) -> None:
    await table.start_session(P, tenant="ann", model="model")
    clock.pass_(limits.session_ttl_s)
    await table.sweep()
    for program in (Q, R):
        await table.start_session(program, tenant="ann", model="model")

    assert (await table.arrive(arrival("c", P))).over_limit

    await table.end_session(Q)
    assert not (await table.arrive(arrival("d", P))).over_limit
    with pytest.raises(TooManyPrograms):
        await table.start_session(ProgramId("s"), tenant="ann", model="model")


async def test_ending_an_expired_program_frees_no_second_place(
    table: ProcessTable, clock: TableClock, limits: Limits
) -> None:
    await table.start_session(P, tenant="ann", model="model")
    clock.pass_(limits.session_ttl_s)
    await table.sweep()
    for program in (Q, R):
        await table.start_session(program, tenant="ann", model="model")

    await table.end_session(P)

    with pytest.raises(TooManyPrograms):
        await table.start_session(ProgramId("s"), tenant="ann", model="model")


async def test_a_single_call_takes_no_place_and_goes_with_its_call(table: ProcessTable) -> None:
    alone = [await table.arrive(arrival(call, ProgramId(call), single_call=True)) for call in ("c0", "c1", "c2", "c3")]
    assert not any(admission.over_limit for admission in alone)
    await table.start_session(P, tenant="ann", model="model")

    for admission in alone:
        assert await table.complete(admission.ref, COST)

    assert [program.id for program in await table.programs()] == [P]


async def test_programs_are_listed_by_their_latest_activity(table: ProcessTable, clock: TableClock) -> None:
    for program, tenant in ((P, "ann"), (Q, "bob"), (R, "ann")):
        clock.pass_(1)
        await table.start_session(program, tenant=tenant, model="model")
    clock.pass_(1)
    await table.arrive(arrival("c", P))

    assert [program.id for program in await table.programs()] == [P, R, Q]
    assert [program.id for program in await table.programs(limit=2)] == [P, R]
    assert [program.id for program in await table.programs(tenant="ann")] == [P, R]
    assert [program.id for program in await table.programs(tenant="ann", limit=1)] == [P]
    assert await table.programs(tenant="eve") == ()


async def test_a_program_keeps_the_mirror_that_it_was_opened_with(table: ProcessTable) -> None:
    opened = await table.start_session(P, tenant="ann", model="model", mirror=True)
    admission = await table.arrive(arrival("c"))
    await table.complete(admission.ref, COST)
    await table.arrive(arrival("d", Q))

    again = await table.start_session(P, tenant="ann", model="model")
    later = await table.start_session(Q, tenant="ann", model="model", mirror=True)

    assert (opened.mirror, again.mirror, later.mirror) == (True, True, False)


async def test_a_listing_can_hold_only_what_changed_lately(table: ProcessTable, clock: TableClock) -> None:
    for program, tenant in ((P, "ann"), (Q, "ann"), (R, "bob")):
        await table.start_session(program, tenant=tenant, model="model")
        clock.pass_(1)
    since = clock()

    async def changed(since: float | None = since, tenant: str | None = None, limit: int = 9) -> list[ProgramId]:
        return [row.id for row in await table.programs(tenant=tenant, active_since=since, limit=limit)]

    assert await changed() == []
    assert await changed(since - 1) == [R]

    await table.end_session(Q)
    clock.pass_(1)
    admission = await table.arrive(arrival("c"))

    assert await changed() == [P, Q]
    assert await changed(clock()) == [P]
    assert await changed(limit=1) == [P]
    assert await changed(since - 1, tenant="bob") == [R]
    assert await changed(None) == [P, Q, R]
    assert await changed(clock() + 1) == []
    for verb in (lambda: table.renew([Progress(admission.ref)]), lambda: table.abort(admission.ref, COST)):
        clock.pass_(1)
        await verb()
        assert await changed(clock()) == [P]


async def test_an_expiry_is_a_change_and_what_is_forgotten_is_none(
    table: ProcessTable, clock: TableClock, limits: Limits
) -> None:
    await table.start_session(P, tenant="ann", model="model")
    alone = await table.arrive(arrival("c", ProgramId("c"), single_call=True))
    await table.complete(alone.ref, COST)
    clock.pass_(limits.session_ttl_s)
    await table.sweep()

    assert [row.id for row in await table.programs(active_since=clock())] == [P]

    clock.pass_(limits.remember_s)
    await table.sweep()
    assert await table.programs(active_since=0.0) == ()


async def test_what_changes_nothing_is_no_change(table: ProcessTable, clock: TableClock) -> None:
    admission = await table.arrive(arrival("c"))
    await table.complete(admission.ref, COST)
    await table.end_session(P)
    clock.pass_(1)

    await table.complete(admission.ref, COST)
    await table.dispatch(admission.ref, E0, home=True)
    await table.renew([Progress(admission.ref)])
    await table.end_session(P)

    assert await table.programs(active_since=clock()) == ()


async def test_what_gateways_publish_is_read_until_it_is_stale(table: ProcessTable, clock: TableClock) -> None:
    octets = bytes(range(256))
    await table.publish("1", octets, ttl_s=5.0)
    clock.pass_(2)
    await table.publish("two {ä}", b"{}", ttl_s=5.0)
    await table.publish("two {ä}", b"", ttl_s=5.0)

    assert await table.published() == Published(clock(), {"1": octets, "two {ä}": b""}, {})

    clock.pass_(3)
    assert (await table.published()).rows == {"two {ä}": b""}
    await table.publish("1", b"again", ttl_s=5.0)
    assert (await table.published()).rows == {"1": b"again", "two {ä}": b""}
    await table.publish("1", b"", ttl_s=0.0)
    clock.pass_(2)
    assert (await table.published()).rows == {}


async def test_what_is_published_comes_with_the_engines_counts(table: ProcessTable, clock: TableClock) -> None:
    for number, engine in enumerate((E0, E0, E1)):
        admission = await table.arrive(arrival(f"c{number}"))
        await table.dispatch(admission.ref, engine, home=False)

    assert await table.published() == Published(clock(), {}, {E0: 2, E1: 1})


async def test_what_is_not_there_is_none(table: ProcessTable) -> None:
    assert await table.program(P) is None
    assert await table.programs() == ()
    assert not await table.complete(CallRef(P, CallId("c"), 1), COST)
    await table.dispatch(CallRef(P, CallId("c"), 1), E0, home=True)
    assert await table.program(P) is None


async def test_a_ping_changes_nothing(table: ProcessTable) -> None:
    await table.ping()

    assert (await table.arrive(arrival("c"))).ref.fence == 1
    await table.ping()
    assert (await table.arrive(arrival("d"))).ref.fence == 2
