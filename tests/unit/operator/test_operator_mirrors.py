"""Programs that live over HTTP, shown as objects: which, how many, for how long, and at what cost."""

import pytest

from autellix_core.pools import ProgramJSON
from autellix_operator.cluster import PROGRAM_SESSION
from autellix_operator.errors import Refused
from autellix_operator.mirroring import Mirroring, choose, mirror_name
from autellix_operator.objects import FINALIZER, MIRRORED
from operator_life import World


def _shown(world: World) -> set[str]:
    return {each["spec"]["programId"] for each in world.cluster.all(PROGRAM_SESSION)}


async def test_a_program_is_shown_once_it_is_old_enough_or_at_once_if_it_asked() -> None:
    world = World(mirror_after_s=60)
    world.gateway.put("long", calls=1)
    world.gateway.put("asked", calls=1, mirror=True)
    await world.pass_time(10)
    assert _shown(world) == {"asked"}
    await world.pass_time(60)
    assert _shown(world) == {"asked", "long"}
    made = world.see(mirror_name("long"))
    assert made["metadata"]["labels"][MIRRORED] == "true"
    assert FINALIZER not in made["metadata"].get("finalizers", [])
    assert (made["spec"], made["status"]["phase"]) == (
        {"programId": "long", "model": "tiny", "tenant": "anonymous"},
        "Idle",
    )


async def test_short_programs_never_reach_the_cluster() -> None:
    world = World(mirror_after_s=60)
    for number in range(200):
        world.gateway.put(f"p{number}", calls=1)
        await world.pass_time(0.1, step_s=0.1)
        world.gateway.put(f"p{number}", state="ended")
    await world.pass_time(120)
    assert world.cluster.writes == []


async def test_the_object_of_a_program_that_is_over_is_kept_for_a_while() -> None:
    world = World(keep_ended_s=600)
    world.gateway.put("p", calls=1, mirror=True)
    await world.pass_time(10)
    world.gateway.put("p", state="ended")
    await world.pass_time(500, step_s=5)
    assert world.see(mirror_name("p"))["status"]["phase"] == "Completed"
    del world.gateway.rows["p"]
    world.reborn()
    await world.pass_time(200, step_s=5)
    assert world.cluster.objects == {}
    assert world.gateway.ended == []


async def test_a_program_that_expires_without_a_word_is_found_out() -> None:
    world = World()
    row = world.gateway.put("p", calls=1, mirror=True)
    await world.pass_time(10)
    row["state"] = "expired"  # nothing is reported as having happened
    await world.pass_time(60)
    assert world.see(mirror_name("p"))["status"]["phase"] == "Expired"


@pytest.mark.parametrize("silence", ["away", "not shared"])
async def test_objects_stay_while_gateways_know_nothing(silence: str) -> None:
    world = World(keep_ended_s=10)
    world.gateway.put("p", calls=1, mirror=True)
    world.gateway.put("over", calls=1, mirror=True)
    await world.pass_time(10)
    world.gateway.put("over", state="ended")
    await world.pass_time(6)
    before = world.cluster.all(PROGRAM_SESSION)
    world.gateway.away, world.gateway.shared = silence == "away", silence != "not shared"
    if silence == "not shared":
        world.gateway.rows.clear()
    await world.pass_time(300)
    assert world.cluster.all(PROGRAM_SESSION) == before


async def test_deleting_the_object_ends_the_program() -> None:
    world = World()
    world.gateway.put("p", calls=1, mirror=True, state="active", active_calls=1)
    await world.pass_time(10)
    world.cluster.remove(PROGRAM_SESSION, "default", mirror_name("p"))
    await world.pass_time(60)
    assert world.gateway.ended == ["p"]
    assert world.cluster.objects == {}


async def test_deleting_the_object_ends_the_program_when_the_gateways_are_back() -> None:
    world = World(finalize_within_s=30)
    world.gateway.put("p", calls=1, mirror=True)
    await world.pass_time(10)
    world.gateway.away = True
    world.cluster.remove(PROGRAM_SESSION, "default", mirror_name("p"))
    await world.pass_time(10)
    world.gateway.away = False
    await world.pass_time(10)
    assert world.gateway.ended == ["p"]


async def test_an_object_that_vanished_unseen_comes_back() -> None:
    world = World()
    world.gateway.put("p", calls=1, mirror=True)
    await world.pass_time(10)
    world.cluster.changed.clear()
    world.cluster.remove(PROGRAM_SESSION, "default", mirror_name("p"))
    await world.pass_time(10)
    assert (_shown(world), world.gateway.ended) == ({"p"}, [])


async def test_what_the_schema_refuses_is_not_tried_for_ever() -> None:
    world = World()
    world.gateway.put("p", calls=1, mirror=True)
    world.calls.fail(5, Refused("spec.tenant is too long."))
    await world.pass_time(30)
    assert world.calls.made.count(f"apply programsessions/{mirror_name('p')}") == 1


async def test_a_replica_that_does_not_lead_writes_nothing_and_ends_nothing() -> None:
    world = World()
    world.leads = False
    world.gateway.put("p", calls=1, mirror=True)
    await world.pass_time(10)
    assert world.cluster.writes == []


async def test_writes_of_a_thousand_programs_are_bounded_by_the_status_interval() -> None:
    world = World(mirror_at_most=300, status_interval_s=5)
    for number in range(300):
        world.gateway.put(f"p{number}", calls=1, mirror=True)
    await world.pass_time(10)
    assert len(_shown(world)) == 300
    before = len(world.cluster.writes)
    for second in range(10):
        for number in range(300):
            world.gateway.put(f"p{number}", calls=2 + second)
        await world.pass_time(1)
    assert len(world.cluster.writes) - before <= 3 * 300
    await world.pass_time(5)
    assert {each["status"]["calls"] for each in world.cluster.all(PROGRAM_SESSION)} == {11}


# The choice itself.

_NOW = 10_000.0


def _row(
    program: str, *, idle_s: float = 0.0, age_s: float = 5000.0, state: str = "idle", mirror: bool = False
) -> ProgramJSON:
    world = World()
    world.time_s = _NOW - age_s
    row = world.gateway.put(program, state=state, mirror=mirror)
    world.time_s = _NOW - idle_s
    row["last_completion_at"] = world.gateway.put("other")["created_at"]
    return row


RULES = Mirroring(after_s=60, at_most=2, keep_s=600)


@pytest.mark.parametrize(
    ("rows", "shown", "show", "hide"),
    [
        pytest.param([_row("a", age_s=10)], {}, (), (), id="too-young"),
        pytest.param([_row("a", age_s=10, mirror=True)], {}, ("a",), (), id="asked"),
        pytest.param([_row("a", state="ended")], {}, (), (), id="over"),
        pytest.param([_row("k8s:ns/a/uid")], {}, (), (), id="began-as-an-object"),
        pytest.param([_row("a", idle_s=3), _row("b", idle_s=1), _row("c", idle_s=2)], {}, ("b", "c"), (), id="latest"),
        pytest.param(
            [_row("a", idle_s=99, mirror=True), _row("b", idle_s=1), _row("c", idle_s=2)],
            {},
            ("a", "b"),
            (),
            id="asked-first",
        ),
        pytest.param(
            [_row("a", idle_s=500), _row("b", idle_s=400), _row("c")], {"a": False, "b": False}, (), (), id="no-churn"
        ),
        pytest.param(
            [_row("a", idle_s=700), _row("b", idle_s=400), _row("c")],
            {"a": False, "b": False},
            ("c",),
            ("a",),
            id="idle-yields",
        ),
        pytest.param(
            [_row("a", idle_s=50), _row("b", idle_s=40), _row("c", mirror=True)],
            {"a": False, "b": False},
            ("c",),
            ("a",),
            id="yields-to-one-that-asked",
        ),
        pytest.param(
            [_row("a", mirror=True), _row("b", mirror=True), _row("c", mirror=True)],
            {"a": False, "b": False},
            (),
            (),
            id="those-that-asked-do-not-yield",
        ),
        pytest.param(
            [_row("a"), _row("b", state="ended"), _row("c")], {"a": False, "b": False}, ("c",), ("b",), id="over-yields"
        ),
        pytest.param([_row("a", state="ended")], {"a": True}, (), ("a",), id="kept-enough"),
        pytest.param(
            [_row("a"), _row("b", idle_s=9), _row("c")], {"a": False, "b": False, "c": False}, (), ("b",), id="cap"
        ),
    ],
)
def test_who_is_shown(
    rows: list[ProgramJSON], shown: dict[str, bool], show: tuple[str, ...], hide: tuple[str, ...]
) -> None:
    choice = choose(rows, shown, now_s=_NOW, rules=RULES)
    assert (choice.show, choice.hide) == (show, hide)


def test_what_was_left_out_is_counted() -> None:
    rows = [_row(f"p{number}") for number in range(5)]
    assert choose(rows, {}, now_s=_NOW, rules=RULES).left_out == 3
