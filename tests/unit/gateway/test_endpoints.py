"""What Kubernetes objects say of engines: conditions, addresses, several slices, pools and what drains in them."""

from typing import Any

import pytest

from autellix_core.program import EngineId
from autellix_gateway.engines.endpoints import members_of, pools_of
from autellix_gateway.engines.members import Member, Pool


def endpoint(pod: str | None = "tiny-a", address: str = "10.0.0.1", **conditions: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"addresses": [address], "conditions": conditions}
    if pod is not None:
        made["targetRef"] = {"kind": "Pod", "name": pod, "namespace": "ns", "uid": f"uid-of-{pod}"}
    return made


def a_slice(*endpoints: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "tiny-engine-x", "labels": {"autellix.dev/pool": "tiny"}},
        "addressType": "IPv4",
        "ports": [{"name": "metrics", "port": 9000}, {"name": "http", "port": 8000, "protocol": "TCP"}],
        "endpoints": list(endpoints),
        **fields,
    }


def a_pool(name: str = "tiny", *, draining: Any = (), **spec: Any) -> dict[str, Any]:
    status = {"draining": [{"engine": engine, "since": "now"} for engine in draining]}
    return {"metadata": {"name": name}, "spec": {"model": {"name": "tiny-model"}, **spec}, "status": status}


def member(name: str = "tiny-a", url: str = "http://10.0.0.1:8000", **fields: Any) -> Member:
    return Member(EngineId(name), url, **{"pool": "tiny", **fields})


@pytest.mark.parametrize(
    ("conditions", "accepts"),
    [
        pytest.param({}, True, id="nothing-said"),
        pytest.param({"ready": None}, True, id="ready-is-null"),
        pytest.param({"ready": True, "serving": True, "terminating": False}, True, id="ready"),
        pytest.param({"ready": False, "serving": False}, False, id="starting"),
        pytest.param({"ready": False, "serving": True, "terminating": True}, False, id="ends-but-serves"),
        pytest.param({"ready": True, "terminating": True}, False, id="ends-though-ready"),
        pytest.param({"terminating": None}, True, id="terminating-is-null"),
    ],
)
def test_an_endpoint_takes_new_calls_while_it_is_ready_and_not_told_to_end(
    conditions: dict[str, Any], accepts: bool
) -> None:
    assert members_of([a_slice(endpoint(**conditions))], []) == (member(accepts=accepts),)


def test_conditions_may_be_left_out_altogether() -> None:
    bare = {"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "name": "tiny-a"}}
    assert members_of([a_slice(bare), a_slice(bare | {"conditions": None})], []) == (member(),)


def test_engines_of_several_slices_come_once_each_by_name() -> None:
    slices = [
        a_slice(endpoint("tiny-c", "10.0.0.3"), endpoint("tiny-a", "10.0.0.1")),
        a_slice(endpoint("tiny-b", "10.0.0.2"), endpoint("tiny-a", "10.0.0.1")),
    ]
    assert [each.id for each in members_of(slices, [])] == ["tiny-a", "tiny-b", "tiny-c"]


@pytest.mark.parametrize("turned", [False, True])
def test_of_an_endpoint_in_two_slices_the_entry_that_accepts_calls_counts(turned: bool) -> None:
    slices = [a_slice(endpoint(ready=False)), a_slice(endpoint(address="10.0.0.9", ready=True))]
    found = members_of(slices[::-1] if turned else slices, [])
    assert found == (member(url="http://10.0.0.9:8000"),)


@pytest.mark.parametrize("turned", [False, True])
def test_of_two_addresses_ipv4_is_taken_unless_only_ipv6_accepts(turned: bool) -> None:
    six = a_slice(endpoint(address="fd00::1"), addressType="IPv6")
    four = a_slice(endpoint())
    both = [six, four] if turned else [four, six]
    assert members_of(both, []) == (member(),)
    assert members_of([six], []) == (member(url="http://[fd00::1]:8000"),)
    starting = a_slice(endpoint(ready=False))
    assert members_of([starting, six], []) == (member(url="http://[fd00::1]:8000"),)


def test_a_pod_of_the_same_name_at_another_address_is_found_there_once_the_old_one_ends() -> None:
    ending = a_slice(endpoint(address="10.0.0.1", ready=False, terminating=True))
    assert members_of([ending, a_slice(endpoint(address="10.0.0.7"))], []) == (member(url="http://10.0.0.7:8000"),)


@pytest.mark.parametrize(
    "target",
    [None, {"kind": "Node", "name": "n"}, {"kind": "Pod"}],
    ids=["no-target", "no-pod", "no-name"],
)
def test_an_endpoint_without_a_pod_is_named_by_its_address(target: dict[str, str] | None) -> None:
    bare = {**endpoint(None), "targetRef": target}
    assert members_of([a_slice(bare)], []) == (member("10.0.0.1:8000"),)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"metadata": {"name": "x"}}, id="no-pool"),
        pytest.param({"ports": [{"name": "grpc", "port": 8000}]}, id="no-http-port"),
        pytest.param({"ports": [{"name": "http", "port": None}]}, id="no-number"),
        pytest.param({"ports": None}, id="ports-are-null"),
        pytest.param({"addressType": "FQDN"}, id="names-for-addresses"),
        pytest.param({"endpoints": None}, id="endpoints-are-null"),
        pytest.param({"endpoints": [{"addresses": []}]}, id="no-address"),
    ],
)
def test_a_slice_that_names_no_engine_is_passed_over(fields: dict[str, Any]) -> None:
    assert members_of([a_slice(endpoint(), **fields), a_slice(endpoint("tiny-b", "10.0.0.2"))], []) == (
        member("tiny-b", "http://10.0.0.2:8000"),
    )


def test_an_engine_drains_where_its_own_pool_says_so() -> None:
    slices = [a_slice(endpoint(), endpoint("tiny-b", "10.0.0.2"))]
    pools = [a_pool(draining=["tiny-b", "long-gone"]), a_pool("other", draining=["tiny-a"])]
    a, b = members_of(slices, pools)
    assert (a.draining, b.draining) == (False, True)


@pytest.mark.parametrize(
    "status",
    [None, {}, {"draining": None}, {"draining": [None, {}, {"engine": 3}, "tiny-a"]}],
    ids=["null", "empty", "null-list", "nonsense"],
)
def test_a_status_without_sense_drains_nothing(status: Any) -> None:
    assert members_of([a_slice(endpoint())], [{**a_pool(), "status": status}]) == (member(),)


def test_a_pool_is_its_model_and_what_may_be_held_for_it() -> None:
    pools = [a_pool("b", hold={"maxCalls": 7, "seconds": 20}), a_pool("a"), a_pool("c", hold={"maxCalls": 0})]
    assert pools_of(pools) == (
        Pool("a", "tiny-model", most_held=1000, hold_s=300.0),
        Pool("b", "tiny-model", most_held=7, hold_s=20.0),
        Pool("c", "tiny-model", most_held=0, hold_s=300.0),
    )


@pytest.mark.parametrize(
    "hold", [None, "much", {"maxCalls": "many", "seconds": True}, {"maxCalls": -1, "seconds": None}]
)
def test_a_hold_without_sense_is_the_default(hold: Any) -> None:
    assert pools_of([a_pool(hold=hold)]) == (Pool("tiny", "tiny-model", most_held=1000, hold_s=300.0),)


@pytest.mark.parametrize(
    "pool",
    [
        pytest.param({"metadata": {"name": "tiny"}}, id="no-spec"),
        pytest.param({"metadata": {"name": "tiny"}, "spec": {"model": {}}}, id="no-model"),
        pytest.param({"metadata": {}, "spec": {"model": {"name": "m"}}}, id="no-name"),
        pytest.param({**a_pool(), "metadata": {"name": "tiny", "deletionTimestamp": "now"}}, id="being-deleted"),
    ],
)
def test_what_holds_no_calls_is_no_pool(pool: dict[str, Any]) -> None:
    assert pools_of([pool]) == ()
