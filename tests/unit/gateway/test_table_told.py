"""A shared table that goes on without the last of what it was told is told it again."""

import random

import pytest

from autellix_core.program import CallId, Measured, ProgramId
from fallback_stage import COST, E0, LIMITS, P, Stage, arrival, twin

SAFE_S = 6.0
"""Long enough for what was told to be asked for."""


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_a_completion_that_was_lost_is_told_again_before_the_table_is_used(stage: Stage) -> None:
    ref = (await stage.table.arrive(arrival("c"))).ref
    await stage.table.dispatch(ref, E0, home=True)
    image = stage.image()
    await stage.table.complete(ref, COST)
    await stage.go_away()

    stage.go_on_from(image)
    reconciled = await stage.come_back()

    assert (reconciled.entries, reconciled.dropped) == (1, 0)
    assert not stage.table.degraded
    row = stage.row()
    assert (row.calls, row.service_s, row.threads, row.home) == (1, 1.5, {}, E0)


async def test_a_loss_that_nobody_noticed_is_found(stage: Stage) -> None:
    """The arrival is lost as well; and a call under way, which is registered again."""
    image = stage.image()
    ref = (await stage.table.arrive(arrival("c"))).ref
    under_way = (await stage.table.arrive(arrival("under way"))).ref
    await stage.table.dispatch(under_way, E0, home=True)
    await stage.table.complete(ref, COST)
    stage.go_on_from(image)

    assert await stage.table.probe() is None, "what is new may not be lost yet"
    stage.clock.pass_(SAFE_S)
    assert await stage.table.probe() is not None

    assert stage.row().service_s == 1.5
    assert list(stage.row().threads) == ["under way"]
    assert stage.shared.engine_calls == {E0: 1}
    assert await stage.table.complete(under_way, COST)
    assert (stage.row().service_s, stage.row().calls, stage.row().threads) == (3.0, 2, {})


async def test_a_call_is_told_again_if_its_settling_found_nothing(stage: Stage) -> None:
    """Its arrival was lost unnoticed, so that the primary said of its completion what it says of a second one."""
    image = stage.image()
    ref = (await stage.table.arrive(arrival("c"))).ref
    stage.go_on_from(image)
    assert not await stage.table.complete(ref, COST)

    stage.clock.pass_(SAFE_S)
    assert await stage.table.probe() is not None

    assert (stage.row().service_s, stage.row().calls) == (1.5, 1)


async def test_what_is_lost_twice_is_told_twice(stage: Stage) -> None:
    image = stage.image()
    ref = (await stage.table.arrive(arrival("c"))).ref
    await stage.table.complete(ref, COST)
    for _ in range(2):
        stage.go_on_from(twin(image))
        stage.clock.pass_(SAFE_S)
        assert await stage.table.probe() is not None
    assert (stage.row().service_s, stage.row().calls) == (1.5, 1)


async def test_what_is_known_is_asked_for_once_and_not_told_again(stage: Stage) -> None:
    await stage.table.start_session(P, tenant="ann", model="model")
    ref = (await stage.table.arrive(arrival("c"))).ref
    await stage.table.complete(ref, COST)
    await stage.table.end_session(P)
    row, tried = stage.row(), stage.distant.tried
    stage.clock.pass_(SAFE_S)

    assert await stage.table.probe() is None
    asked = stage.distant.tried - tried
    assert asked == 3, "the opening, the call, the end"
    assert await stage.table.probe() is None
    assert stage.distant.tried == tried + asked
    assert stage.row() == row


async def test_nothing_is_told_again_that_was_forgotten_because_it_was_due(stage: Stage) -> None:
    ref = (await stage.table.arrive(arrival("c"))).ref
    await stage.table.complete(ref, COST)
    stage.clock.pass_(LIMITS.remember_s + 1.0)
    await stage.shared.sweep()

    assert await stage.shared.unsettled([CallId("c")]) == ("c",)
    assert await stage.table.probe() is None
    assert (stage.row().service_s, stage.row().calls) == (1.5, 1)


async def test_sessions_that_were_opened_and_ended_are_told_again(stage: Stage) -> None:
    ended = ProgramId("ended")
    await stage.table.start_session(ended, tenant="ann", model="model")
    image = stage.image()
    await stage.table.start_session(P, tenant="ann", model="model", mirror=True)
    await stage.table.end_session(ended)
    stage.go_on_from(image)

    stage.clock.pass_(SAFE_S)
    assert await stage.table.probe() is not None

    assert stage.row().mirror
    assert stage.row(ended).ended_at is not None


async def test_a_session_that_was_lost_whole_comes_back_ended(stage: Stage) -> None:
    """And one whose end alone is remembered here, since the table forgot it long ago, does not come back."""
    await stage.table.end_session(ProgramId("gone"))
    image = stage.image()
    await stage.table.start_session(P, tenant="ann", model="model")
    ref = (await stage.table.arrive(arrival("c"))).ref
    await stage.table.complete(ref, COST)
    await stage.table.end_session(P)
    stage.go_on_from(image)

    stage.clock.pass_(SAFE_S)
    assert await stage.table.probe() is not None

    assert stage.row().ended_at is not None
    assert stage.row().service_s == 1.5
    assert stage.shared.known(ProgramId("gone")) is None


async def test_what_could_not_be_asked_for_is_asked_for_later(stage: Stage) -> None:
    image = stage.image()
    ref = (await stage.table.arrive(arrival("c"))).ref
    await stage.table.complete(ref, COST)
    stage.clock.pass_(SAFE_S)
    stage.distant.leave()

    assert await stage.table.probe() is None
    assert stage.table.degraded
    stage.go_on_from(image)
    stage.distant.come_back()
    assert await stage.table.probe() is not None
    assert stage.row().service_s == 1.5


@pytest.mark.parametrize("seed", range(20))
async def test_totals_are_exact_through_a_table_that_keeps_losing_its_last_seconds(stage: Stage, seed: int) -> None:
    draw = random.Random(seed)
    images = [(stage.clock(), stage.image())]
    under_way = []
    served = 0.0
    for number in range(200):
        stage.clock.pass_(draw.random() / 4)
        images = [(at, image) for at, image in images if stage.clock() - at <= 2.0]
        images.append((stage.clock(), stage.image()))
        match draw.choice(
            ("arrive", "arrive", "settle", "settle", "probe", "crash" if draw.random() < 0.3 else "probe")
        ):
            case "arrive":
                ref = (await stage.table.arrive(arrival(f"c{number}", ProgramId(f"p{number % 3}")))).ref
                await stage.table.dispatch(ref, E0, home=True)
                under_way.append(ref)
            case "settle" if under_way:
                service_s = draw.randrange(1, 64) / 8
                served += service_s
                await stage.table.complete(under_way.pop(draw.randrange(len(under_way))), Measured(service_s=service_s))
            case "crash":
                _, image = draw.choice(images)
                stage.go_on_from(twin(image))
                images = [(stage.clock(), stage.image())]
            case _:
                await stage.table.probe()
    for ref in under_way:
        await stage.table.complete(ref, Measured(service_s=1.0))
    stage.clock.pass_(SAFE_S)
    await stage.table.probe()

    rows = await stage.shared.programs()
    assert sum(row.service_s for row in rows) == served + len(under_way)
    assert all(not row.threads for row in rows)
    assert stage.shared.engine_calls == {}
