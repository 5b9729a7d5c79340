"""ProgramSessions made by users: registered, shown, ended; in a cluster and with a gateway in memory."""

import base64

import pytest

from autellix_operator.cluster import PROGRAM_SESSION, SECRET
from autellix_operator.errors import ClusterAway
from autellix_operator.objects import FINALIZER
from operator_life import World, condition, session


def _secret(world: World, key: str, name: str = "s-session") -> str:
    return base64.b64decode(world.cluster.see(SECRET, name)["data"][key]).decode()


def _reasons(world: World) -> list[str]:
    return [reason for _, reason, _ in world.cluster.events]


async def test_a_session_is_registered_and_its_secret_holds_what_an_agent_needs() -> None:
    world = World()
    program = world.create(session())
    await world.pass_time()
    made = world.see()
    assert program == f"k8s:default/s/{made['metadata']['uid']}"
    assert world.gateway.rows[program]["tenant"] == "k8s:default"
    assert (_secret(world, "token"), _secret(world, "id")) == ("token-0", program)
    assert _secret(world, "url") == "http://127.0.0.1:8080/v1"
    assert world.cluster.see(SECRET, "s-session")["metadata"]["ownerReferences"][0]["uid"] == made["metadata"]["uid"]
    assert made["metadata"]["finalizers"] == [FINALIZER]
    assert (made["status"]["phase"], made["status"]["secretName"]) == ("Registered", "s-session")
    assert condition(made, "Registered") == ("True", "Registered")
    assert _reasons(world) == ["Registered"]


async def test_nothing_is_written_while_nothing_changes() -> None:
    world = World()
    world.create(session())
    await world.pass_time(5)
    before, tokens = list(world.cluster.writes), list(world.gateway.tokens)
    await world.pass_time(300)
    world.reborn()
    await world.pass_time(300)
    assert world.cluster.writes == before
    assert world.gateway.tokens == tokens


async def test_status_follows_the_program_and_is_written_once_an_interval() -> None:
    world = World(status_interval_s=5)
    program = world.create(session())
    await world.pass_time(10)
    before = len(world.cluster.writes)
    for calls in range(1, 11):
        world.gateway.put(
            program, state="active", active_calls=1, calls=calls, service_seconds=calls * 0.1, pool="tiny"
        )
        await world.pass_time(1)
    await world.pass_time(5)
    made = world.see()
    assert made["status"]["calls"] == 10
    assert made["status"]["serviceSeconds"] == 1.0
    assert made["status"]["phase"] == "Active"
    assert 2 <= len(world.cluster.writes) - before <= 4
    assert _reasons(world) == ["Registered", "FirstCall"]


async def test_deleting_it_ends_the_program() -> None:
    world = World()
    program = world.create(session())
    await world.pass_time()
    world.cluster.remove(PROGRAM_SESSION, "default", "s")
    await world.pass_time()
    assert world.gateway.ended == [program]
    assert world.cluster.objects == {}
    assert _reasons(world)[-1] == "Ended"


async def test_calls_under_way_have_the_grace_period() -> None:
    world = World()
    program = world.create(session(gracePeriodSeconds=20))
    await world.pass_time()
    world.gateway.put(program, state="active", active_calls=1)
    world.cluster.remove(PROGRAM_SESSION, "default", "s")
    await world.pass_time(15)
    assert world.gateway.ended == []
    await world.pass_time(10)
    assert world.gateway.ended == [program]
    assert world.cluster.objects == {}


async def test_deletion_gives_up_on_gateways_that_do_not_answer() -> None:
    world = World(finalize_within_s=30)
    world.create(session())
    await world.pass_time()
    world.gateway.away = True
    world.cluster.remove(PROGRAM_SESSION, "default", "s")
    await world.pass_time(25)
    assert world.see()["metadata"]["finalizers"] == [FINALIZER]
    await world.pass_time(10)
    assert world.cluster.objects == {}
    assert _reasons(world)[-1] == "GaveUp"


async def test_deletion_goes_on_in_a_namespace_that_takes_nothing_new() -> None:
    world = World()
    program = world.create(session())
    world.create(session("late"))
    await world.pass_time()
    world.cluster.ending.add("default")
    for name in ("s", "late"):
        world.cluster.remove(PROGRAM_SESSION, "default", name)
    await world.pass_time()
    assert program in world.gateway.ended
    assert world.cluster.objects == {}


async def test_a_session_in_an_ending_namespace_is_registered_without_its_secret() -> None:
    world = World()
    world.create(session())
    world.cluster.ending.add("default")
    await world.pass_time()
    assert world.cluster.all(SECRET) == []
    assert world.see()["status"]["phase"] == "Registered"


async def test_a_deleted_secret_is_made_again_with_a_token_of_its_own() -> None:
    world = World()
    world.create(session())
    await world.pass_time()
    world.cluster.remove(SECRET, "default", "s-session")
    await world.pass_time(130)
    assert _secret(world, "token") == "token-1"


async def test_the_token_is_renewed_when_half_of_its_life_has_passed() -> None:
    world = World(session_token_ttl_s=1000)
    program = world.create(session())
    await world.pass_time(400)
    assert _secret(world, "token") == "token-0"
    await world.pass_time(200)
    assert _secret(world, "token") == "token-1"
    assert list(world.gateway.rows) == [program]


async def test_a_secret_of_somebody_else_is_left_alone() -> None:
    world = World()
    theirs = {"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "default", "name": "s-session"}}
    world.cluster.create({**theirs, "data": {"password": "eA=="}})
    world.create(session())
    await world.pass_time()
    made = world.see()
    assert world.cluster.see(SECRET, "s-session")["data"] == {"password": "eA=="}
    assert (made["status"]["phase"], condition(made, "Registered")) == ("Pending", ("False", "SecretRefused"))
    world.cluster.remove(SECRET, "default", "s-session")
    await world.pass_time(120)
    assert world.see()["status"]["phase"] == "Registered"


async def test_a_model_that_is_not_served_is_a_failure_until_it_is() -> None:
    world = World()
    world.gateway.unserved.add("tiny")
    world.create(session())
    await world.pass_time()
    made = world.see()
    assert (made["status"]["phase"], condition(made, "Failed")) == ("Failed", ("True", "Refused"))
    assert "not served" in next(each["message"] for each in made["status"]["conditions"] if each["type"] == "Failed")
    world.gateway.unserved.clear()
    await world.pass_time(60)
    assert world.see()["status"]["phase"] == "Registered"


async def test_a_session_waits_for_a_gateway() -> None:
    world = World()
    world.gateway.away = True
    world.create(session())
    await world.pass_time(10)
    made = world.see()
    assert (made["status"]["phase"], condition(made, "Registered")) == ("Pending", ("False", "GatewayAway"))
    world.gateway.away = False
    await world.pass_time(10)
    assert world.see()["status"]["phase"] == "Registered"


@pytest.mark.parametrize("silence", ["away", "not shared"])
async def test_statuses_stay_as_they_are_while_gateways_know_nothing(silence: str) -> None:
    world = World()
    program = world.create(session())
    await world.pass_time()
    world.gateway.put(program, state="active", active_calls=1, calls=1)
    await world.pass_time(10)
    before = world.see()
    world.gateway.away, world.gateway.shared = silence == "away", silence != "not shared"
    world.gateway.rows.clear() if silence == "not shared" else None
    await world.pass_time(300)
    assert world.see() == before
    assert world.metrics.registry.get_sample_value("autellix_operator_gateway_reached") == 0


async def test_starved_and_recovered_are_told_once_each() -> None:
    world = World(starved_ratio=4, starved_after_s=10)
    program = world.create(session())
    await world.pass_time()
    world.gateway.put(program, state="active", active_calls=1, calls=2, wait_seconds=50.0, service_seconds=1.0)
    await world.pass_time(30)
    assert (world.see()["status"]["phase"], condition(world.see(), "Starved")[0]) == ("Starved", "True")
    world.gateway.put(program, state="idle", active_calls=0, service_seconds=20.0)
    await world.pass_time(30)
    assert (world.see()["status"]["phase"], condition(world.see(), "Starved")[0]) == ("Idle", "False")
    assert _reasons(world) == ["Registered", "FirstCall", "Starved", "Recovered"]


async def test_a_program_whose_engine_is_gone_is_told_of() -> None:
    world = World()
    program = world.create(session())
    world.gateway.put(program, calls=1, engines=["e-0"])
    await world.pass_time(10)
    world.gateway.put(program, calls=2, engines=["e-0", "e-1"])
    await world.pass_time(10)
    assert "Rehomed" not in _reasons(world)
    world.gateway.engines = ["e-2"]
    world.gateway.put(program, calls=3, engines=["e-0", "e-1", "e-2"])
    await world.pass_time(10)
    assert ("s", "Rehomed", "Its engine e-1 is gone; e-2 serves it now.") in world.cluster.events


@pytest.mark.parametrize(("action", "phase"), [("Report", "Idle"), ("End", "Failed")])
async def test_a_budget_that_was_passed(action: str, phase: str) -> None:
    world = World()
    program = world.create(session(budget={"outputTokens": 100, "action": action}))
    await world.pass_time()
    world.gateway.put(program, calls=1, output_tokens=101)
    await world.pass_time(30)
    made = world.see()
    assert (made["status"]["phase"], condition(made, "BudgetExceeded")) == (phase, ("True", "BoundPassed"))
    assert world.gateway.ended == ([program] if action == "End" else [])
    assert _reasons(world).count("BudgetExceeded") == 1
    world.gateway.rows.clear()  # the gateways forget programs that have ended
    world.reborn()
    await world.pass_time(30)
    assert (program in world.gateway.rows) == (action == "Report")


@pytest.mark.parametrize(
    ("state", "phase", "reason"), [("ended", "Completed", "Ended"), ("expired", "Expired", "Expired")]
)
async def test_a_program_that_is_over_stays_so(state: str, phase: str, reason: str) -> None:
    world = World()
    program = world.create(session())
    world.gateway.put(program, calls=3)
    await world.pass_time(10)
    world.gateway.put(program, state=state)
    await world.pass_time(10)
    assert world.see()["status"]["phase"] == phase
    assert _reasons(world)[-1] == reason
    before = world.see()
    del world.gateway.rows[program]
    world.reborn()
    await world.pass_time(100)
    assert world.see() == before


async def test_a_program_that_the_table_lost_is_registered_again() -> None:
    world = World()
    program = world.create(session())
    await world.pass_time(10)
    world.gateway.rows.clear()
    await world.pass_time(200)
    assert program in world.gateway.rows
    assert world.see()["status"]["phase"] == "Registered"


async def test_a_write_that_fails_is_tried_again() -> None:
    for number in range(1, 12):
        world = World()
        world.create(session())
        world.calls.fail(number, ClusterAway("away"))
        await world.pass_time(10)
        assert world.see()["status"]["phase"] == "Registered", f"call {number}: {world.calls.made}"


async def test_conditions_keep_the_time_of_their_last_change() -> None:
    world = World()
    program = world.create(session())
    world.gateway.put(program, calls=1)
    await world.pass_time(10)
    before = {each["type"]: each["lastTransitionTime"] for each in world.see()["status"]["conditions"]}
    world.gateway.put(program, calls=2, state="active", active_calls=1)
    await world.pass_time(10)
    after = {each["type"]: each["lastTransitionTime"] for each in world.see()["status"]["conditions"]}
    assert {name for name in after if after[name] != before[name]} == {"Active", "Idle"}
