"""EnginePools over a cluster in memory: what is made, what drains, what goes, and what is said about it."""

from typing import Any

import pytest

from autellix_operator.cluster import DEPLOYMENT, ENGINE_POOL, POD, POD_DISRUPTION_BUDGET, SERVICE
from autellix_operator.errors import ClusterAway, OperatorError, Refused
from operator_cluster import Calls, Died
from operator_pools import Surroundings, pool_body

COST = "controller.kubernetes.io/pod-deletion-cost"


async def look(around: Surroundings, operator: Any = None, *, times: int = 1, every_s: float = 2.0) -> None:
    """The operator looks, and then the controllers do what it asked for."""
    operator = operator or around.operator()
    for _ in range(times):
        await operator.reconcile("default", around.name)
        around.controllers()
        around.now_s += every_s


def manual(replicas: int, **scaling: Any) -> dict[str, Any]:
    return pool_body(replicas=replicas, scaling={"mode": "Manual", **scaling})


async def test_a_pool_gets_its_objects_and_its_engines_and_says_so() -> None:
    around = Surroundings(pool_body(scaling={"minReplicas": 2}))
    await look(around, times=3)
    assert around.replicas == 2
    assert [len(around.cluster.all(kind)) for kind in (DEPLOYMENT, SERVICE, POD_DISRUPTION_BUDGET)] == [1, 1, 1]
    status = around.status
    assert (status["replicas"], status["readyReplicas"], status["desiredReplicas"]) == (2, 2, 2)
    holds = {condition["type"]: condition["status"] for condition in status["conditions"]}
    assert holds == {"Ready": "True", "Scaling": "False", "Draining": "False", "Degraded": "False"}
    assert around.said("ScaledUp") == ["From 0 to 2 engines: The pool's bounds ask for 2 engines, not 0."]


async def test_nothing_is_written_while_nothing_changes() -> None:
    around = Surroundings(manual(2))
    operator = around.operator()
    await look(around, operator, times=4)
    written = len(around.cluster.writes)
    await look(around, operator, times=50)
    assert around.cluster.writes[written:] == []
    about = [call for call in around.cluster.calls.made[-5:] if "services" in call]
    assert about == []


async def test_pods_are_listed_again_when_their_deployment_changed_or_after_a_while() -> None:
    around = Surroundings(manual(2))
    operator = around.operator()
    await look(around, operator, times=4)

    async def lists(times: int) -> int:
        made = len(around.cluster.calls.made)
        await look(around, operator, times=times)
        return around.cluster.calls.made[made:].count("list pods")

    assert await lists(45) == 3
    around.cluster.remove(POD, "default", around.names[0])
    around.controllers()
    assert await lists(1) == 1
    around.starts_well = False
    around.cluster.edit(POD, "default", around.names[0], {"status": {"phase": "Running", "conditions": []}})
    around.controllers()
    assert await lists(5) == 5, "one that is not ready says more than its Deployment does"
    assert around.status["readyReplicas"] == 1


async def test_pods_that_the_operator_marks_are_listed_again() -> None:
    around = Surroundings(manual(2))
    operator = around.operator()
    await look(around, operator, times=4)
    around.calls = dict.fromkeys(around.names, 1)
    around.scale({"replicas": 1})
    await look(around, operator, times=3)
    (going,) = around.draining
    around.calls = {}
    await operator.reconcile("default", around.name)
    assert COST in around.cluster.see(POD, going)["metadata"]["annotations"]
    around.scale({"replicas": 2})
    await look(around, operator, times=3)
    assert COST not in str(around.pods)
    assert around.draining == []


async def test_counts_of_calls_are_written_no_oftener_than_the_status_interval() -> None:
    around = Surroundings(manual(1))
    operator = around.operator()
    await look(around, operator, times=4)
    written = len(around.cluster.writes)
    for active in range(1, 11):
        around.active = active
        await look(around, operator, every_s=1.0)
    assert around.cluster.writes[written:] == ["apply status enginepools/tiny"] * 2


async def test_load_brings_engines_and_their_absence_takes_them_away_after_a_window_and_a_drain() -> None:
    around = Surroundings(pool_body())
    operator = around.operator()
    await look(around, operator, times=3)
    around.calls, around.active = {around.names[0]: 20}, 20
    await look(around, operator, times=3)
    assert around.replicas == 3
    assert around.said("ScaledUp")[-1] == "From 1 to 3 engines: 3 engines needed for 20 calls, not 1."
    around.calls, around.active = {}, 0
    await look(around, operator, times=50)
    assert around.replicas == 3
    await look(around, operator, times=30)
    assert (around.replicas, len(around.names), around.draining) == (1, 1, [])
    assert len(around.said("EngineGone")) == 2


async def test_the_engine_with_the_least_to_lose_drains_first_and_goes_only_when_it_is_empty() -> None:
    around = Surroundings(manual(3))
    operator = around.operator()
    await look(around, operator, times=2)
    first, second, third = around.names
    around.cached = {first: 900, second: 100, third: 500}
    around.calls = {first: 1, second: 1, third: 1}
    around.scale({"replicas": 2})
    await look(around, operator, times=20)
    assert around.draining == [second]
    assert (around.replicas, around.names) == (3, [first, second, third])
    assert around.condition("Draining")["status"] == "True"
    assert around.said("Draining") == [f"Draining engine {second}: spec.replicas asks for 2 engines."]
    around.calls = {first: 1, third: 1}
    await look(around, operator, times=1)
    assert (around.replicas, around.names) == (2, [first, third])
    await look(around, operator, times=1)
    assert around.draining == []
    assert around.said("EngineGone") == [f"Engine {second} is gone."]
    assert around.said("ScaledDown") == [f"From 3 to 2 engines: {second} drained."]


async def test_an_engine_that_is_home_to_programs_keeps_them_until_its_time_is_over() -> None:
    around = Surroundings(manual(2, drainSeconds=60))
    operator = around.operator()
    await look(around, operator, times=2)
    around.programs = dict.fromkeys(around.names, 3)
    around.scale({"replicas": 1})
    await look(around, operator, times=30)
    assert around.replicas == 2
    await look(around, operator, times=2)
    assert around.replicas == 1


async def test_a_drain_is_taken_back_when_the_demand_returns() -> None:
    around = Surroundings(manual(2))
    operator = around.operator()
    await look(around, operator, times=2)
    around.calls = dict.fromkeys(around.names, 2)
    around.scale({"replicas": 1})
    await look(around, operator, times=2)
    (gone,) = around.draining
    around.scale({"replicas": 2})
    await look(around, operator)
    assert (around.draining, around.replicas, len(around.names)) == ([], 2, 2)
    assert around.said("DrainTakenBack") == [f"Engine {gone} is taken back: spec.replicas asks for 2 engines."]


async def test_a_mark_that_was_set_is_taken_off_an_engine_that_stays() -> None:
    around = Surroundings(manual(2))
    operator = around.operator()
    await look(around, operator, times=2)
    name = around.names[0]
    around.cluster.edit(POD, "default", name, {"metadata": {"annotations": {COST: "-2147483648", "theirs": "1"}}})
    await look(around)
    assert around.cluster.see(POD, name)["metadata"]["annotations"] == {"theirs": "1"}


async def test_without_knowledge_the_number_of_engines_stays_and_the_pool_says_so() -> None:
    around = Surroundings(pool_body())
    operator = around.operator()
    await look(around, operator, times=2)
    around.calls, around.active = {around.names[0]: 30}, 30
    await look(around, operator, times=3)
    assert around.replicas == 4
    around.calls, around.active = {}, 0
    around.away = OperatorError("The gateway did not answer.")
    await look(around, operator, times=100)
    assert (around.replicas, around.draining) == (4, [])
    degraded = around.condition("Degraded")
    assert (degraded["status"], degraded["reason"]) == ("True", "DemandUnknown")
    assert degraded["message"].startswith("The gateway did not answer. The number of engines stays as it is")
    around.away, around.shared = None, False
    await look(around, operator, times=70)
    assert around.replicas == 4
    assert "cannot reach Redis" in around.condition("Degraded")["message"]
    around.shared = True
    await look(around, operator, times=70)
    assert around.condition("Degraded")["status"] == "False"
    assert around.replicas == 1
    assert len(around.said("DemandUnknown")) == 1
    assert len(around.said("Recovered")) == 1


async def test_bounds_are_kept_without_knowledge_too() -> None:
    around = Surroundings(pool_body(scaling={"drainSeconds": 20}))
    operator = around.operator()
    around.away = OperatorError("The gateway did not answer.")
    await look(around, operator, times=2)
    around.scale({"scaling": {"minReplicas": 3}})
    await look(around, operator, times=2)
    assert around.replicas == 3
    around.scale({"scaling": {"minReplicas": 1, "maxReplicas": 2}})
    await look(around, operator)
    assert (around.replicas, len(around.draining)) == (3, 1)
    await look(around, operator, times=12)
    assert (around.replicas, around.draining) == (2, [])


async def test_to_zero_and_back_from_it() -> None:
    around = Surroundings(pool_body(scaling={"minReplicas": 0, "idleSeconds": 60, "stabilizationSeconds": 20}))
    operator = around.operator()
    await look(around, operator, times=2)
    assert around.replicas == 0
    assert around.condition("Ready")["reason"] == "NoneWanted"
    around.held, around.active = 3, 3
    await look(around, operator)
    assert around.replicas == 1
    around.held, around.active = 0, 0
    await look(around, operator, times=20)
    assert around.replicas == 1
    await look(around, operator, times=40)
    assert (around.replicas, around.names, around.draining) == (0, [], [])


async def test_engines_that_have_not_started_go_at_once() -> None:
    around = Surroundings(manual(1))
    operator = around.operator()
    await look(around, operator, times=2)
    around.starts_well = False
    around.scale({"replicas": 4})
    await look(around, operator, times=2)
    assert len(around.names) == 4
    around.calls = {around.names[0]: 5}
    around.scale({"replicas": 1})
    await look(around, operator, times=2)
    assert around.names == [next(iter(around.calls))]


async def test_nothing_drains_while_engines_are_being_replaced() -> None:
    around = Surroundings(manual(3))
    operator = around.operator()
    await look(around, operator, times=2)
    label = {"metadata": {"labels": {"pod-template-hash": "older"}}}
    around.cluster.edit(POD, "default", around.names[0], label)
    around.controllers()
    around.scale({"replicas": 2})
    await look(around, operator, times=5)
    assert (around.replicas, around.draining) == (3, [])
    assert around.condition("Scaling")["reason"] == "Replacing"
    around.cluster.remove(POD, "default", around.names[0])
    await look(around, operator, times=4)
    assert (around.replicas, around.draining) == (2, [])


async def test_what_somebody_else_writes_into_the_deployment_is_put_right() -> None:
    around = Surroundings(manual(2))
    operator = around.operator()
    await look(around, operator, times=2)
    around.cluster.edit(DEPLOYMENT, "default", "tiny-engine", {"spec": {"replicas": 7, "revisionHistoryLimit": 9}})
    await operator.reconcile("default", "tiny")
    assert around.replicas == 2
    assert around.cluster.see(DEPLOYMENT, "tiny-engine")["spec"]["revisionHistoryLimit"] == 3


async def test_a_deployment_of_somebody_else_is_left_alone() -> None:
    around = Surroundings(manual(2))
    theirs = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "tiny-engine", "namespace": "default"},
        "spec": {"replicas": 5},
    }
    around.cluster.create(theirs)
    operator = around.operator()
    for _ in range(3):
        await operator.reconcile("default", "tiny")
    assert around.cluster.see(DEPLOYMENT, "tiny-engine")["spec"] == {"replicas": 5}
    assert around.condition("Degraded")["reason"] == "NameTaken"
    assert around.cluster.writes == ["apply status enginepools/tiny"]


async def test_what_the_api_server_refuses_is_said_once_and_tried_again() -> None:
    around = Surroundings(manual(1))
    operator = around.operator()
    calls = around.cluster.calls
    for at in (6, 12):
        calls.fail(at, Refused("pods 'x' is forbidden: exceeded quota."))
    await operator.reconcile("default", "tiny")
    await operator.reconcile("default", "tiny")
    assert [calls.made[at - 1] for at in (6, 12)] == ["apply deployments/tiny-engine"] * 2
    assert around.condition("Degraded")["reason"] == "Refused"
    assert "exceeded quota" in around.said("Refused")[0]
    around.now_s += 2
    await look(around, operator, times=6)
    assert around.condition("Degraded")["status"] == "False"
    assert around.replicas == 1
    assert len(around.said("Refused")) == 1


async def test_a_pod_that_cannot_start_is_named() -> None:
    around = Surroundings(manual(1))
    operator = around.operator()
    around.starts_well = False
    await look(around, operator, times=2)
    waiting = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "nope"'}
    around.cluster.edit(
        POD, "default", around.names[0], {"status": {"containerStatuses": [{"state": {"waiting": waiting}}]}}
    )
    await look(around, operator)
    assert around.condition("Degraded")["message"].startswith(f"Engine {around.names[0]} does not start: ImagePullBack")
    assert around.condition("Ready")["status"] == "False"


async def test_transition_times_change_only_with_the_status_of_a_condition() -> None:
    around = Surroundings(manual(1))
    operator = around.operator()
    await look(around, operator, times=5)
    ready = around.condition("Ready")
    around.scale({"replicas": 2})
    await look(around, operator, times=5)
    again = around.condition("Ready")
    assert again["message"] == "2 of 2 engines can serve."
    assert again["lastTransitionTime"] == ready["lastTransitionTime"]
    assert again["observedGeneration"] == ready["observedGeneration"] + 1


async def test_a_pool_that_is_gone_or_going_is_left_alone() -> None:
    around = Surroundings(manual(1))
    around.cluster.edit(ENGINE_POOL, "default", "tiny", {"metadata": {"finalizers": ["theirs"]}})
    around.cluster.remove(ENGINE_POOL, "default", "tiny")
    operator = around.operator()
    assert await operator.reconcile("default", "tiny")
    assert not await operator.reconcile("default", "none")
    assert around.cluster.writes == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("changed", [None, 4, 1, 0], ids=["from-nothing", "up", "down", "to-zero"])
async def test_it_may_die_at_any_call_and_another_one_comes_to_the_same(changed: int | None, after: bool) -> None:
    """Every call of the way to two engines, or from them to another number, is the last one of some life."""
    expected = await _way(changed, die_at=None, after=after)
    for die_at in range(1, expected.pop("calls") + 1):
        came_to = await _way(changed, die_at=die_at, after=after)
        del came_to["calls"]
        assert came_to == expected, f"died at call {die_at}"


async def _way(changed: int | None, *, die_at: int | None, after: bool) -> dict[str, Any]:
    around = Surroundings(manual(2))
    if changed is not None:
        await look(around, times=4)
        around.cached = {around.names[0]: 10, around.names[1]: 5}
        around.calls = {around.names[1]: 1}
        around.scale({"replicas": changed})
    around.cluster.calls = Calls(die_at=die_at, after=after)
    operator = around.operator()
    made, highest = 0, 2
    for step in range(9):
        if step == 3:
            around.calls = {}
        try:
            await operator.reconcile("default", "tiny")
        except Died:
            around.cluster.calls, operator = Calls(), around.operator()
        made = max(made, len(around.cluster.calls.made))
        around.controllers()
        highest = max(highest, len(around.names))
        around.now_s += 2
    return {
        "calls": made if die_at is None else 0,
        "highest": highest,
        "replicas": around.replicas,
        "names": around.names,
        "marks": [pod["metadata"].get("annotations") or {} for pod in around.pods],
        "draining": around.draining,
        "counts": [around.status[name] for name in ("replicas", "readyReplicas", "desiredReplicas")],
        "holds": {condition["type"]: condition["status"] for condition in around.status["conditions"]},
        "kinds": [len(around.cluster.all(kind)) for kind in (DEPLOYMENT, SERVICE, POD_DISRUPTION_BUDGET)],
    }


async def test_while_the_api_server_is_away_its_caller_hears_of_it() -> None:
    around = Surroundings(manual(1))
    around.cluster.calls.fail(1, ClusterAway("The API server does not answer."))
    with pytest.raises(ClusterAway):
        await around.operator().reconcile("default", "tiny")
