"""The operator may die before or after any call to the API server or the gateway: another one gets to the same end."""

import copy
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from autellix_operator.cluster import PROGRAM_SESSION
from autellix_operator.mirroring import mirror_name
from operator_life import World, session

Story = Callable[[World], Awaitable[None]]


def _end(world: World) -> dict[str, Any]:
    """What must be the same: objects without what counts writes and times, programs, and what was told."""
    objects = copy.deepcopy(world.cluster.objects)
    for stored in objects.values():
        metadata = stored["metadata"]
        for name in ("resourceVersion", "creationTimestamp", "annotations", "uid"):
            metadata.pop(name, None)
        for owner in metadata.get("ownerReferences", ()):
            owner.pop("uid")
        stored.get("data", {}).pop("token", None)
        for condition in stored.get("status", {}).get("conditions", ()):
            condition.pop("lastTransitionTime")
    rows = {
        program: {name: value for name, value in row.items() if not name.endswith("_at")}
        for program, row in world.gateway.rows.items()
    }
    return {
        "objects": objects,
        "programs": rows,
        "ended": sorted(world.gateway.ended),
        "told": sorted(world.cluster.events),
    }


async def _registers(world: World) -> None:
    world.create(session())


async def _registers_and_is_deleted(world: World) -> None:
    world.create(session("gone"))
    await world.pass_time(2)
    world.cluster.remove(PROGRAM_SESSION, "default", "gone")


async def _passes_its_budget(world: World) -> None:
    program = world.create(session(budget={"outputTokens": 10, "action": "End"}))
    await world.pass_time(6)
    world.gateway.put(program, calls=1, output_tokens=11, state="active", active_calls=1)


async def _is_starved(world: World) -> None:
    program = world.create(session())
    await world.pass_time(6)
    world.gateway.put(program, calls=1, wait_seconds=99.0, state="active", active_calls=1, engines=["e-0"])


async def _begins_over_http(world: World) -> None:
    world.gateway.put("p", calls=1, mirror=True)


async def _is_over_and_was_kept(world: World) -> None:
    world.gateway.put("p", calls=1, mirror=True)
    await world.pass_time(6)
    world.gateway.put("p", state="ended")
    await world.pass_time(10)
    assert world.see(mirror_name("p"))["status"]["phase"] == "Completed"
    world.time_s += 600


@pytest.mark.parametrize("after", [False, True], ids=["before-the-call", "after-the-call"])
@pytest.mark.parametrize(
    "story",
    [
        _registers,
        _registers_and_is_deleted,
        _passes_its_budget,
        _is_starved,
        _begins_over_http,
        _is_over_and_was_kept,
    ],
)
async def test_a_life_that_ends_anywhere_leaves_nothing_that_the_next_cannot_finish(
    story: Story, *, after: bool
) -> None:
    undisturbed = World()
    await story(undisturbed)
    undisturbed.reborn()
    await undisturbed.pass_time(20)
    wanted = _end(undisturbed)
    for number in range(1, 1000):
        world = World()
        await story(world)
        died = await world.lives(20, die_at=number, after=after)
        if not died:
            break
        died_at = world.calls.made[-1]
        world.reborn()
        await world.pass_time(20)
        assert _end(world) == wanted, f"it died at call {number}, {died_at}"
    assert number > 10


async def test_two_deaths_in_a_row() -> None:
    undisturbed = World()
    await _registers(undisturbed)
    await undisturbed.pass_time(20)
    for first in range(1, 12):
        for second in range(1, 12):
            world = World()
            await _registers(world)
            await world.lives(20, die_at=first, after=True)
            await world.lives(20, die_at=second, after=False)
            world.reborn()
            await world.pass_time(20)
            assert _end(world) == _end(undisturbed), (first, second)
