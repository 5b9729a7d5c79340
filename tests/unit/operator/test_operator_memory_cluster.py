"""The cluster in memory behaves as the API server where the operator relies on it."""

import pytest

from autellix_operator.cluster import DEPLOYMENT, PROGRAM_SESSION, SECRET, owned_by
from autellix_operator.errors import ClusterAway, Conflicted, NamespaceEnding, NotThere
from operator_cluster import Calls, Died, MemoryCluster


def _secret(**more: object) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "default", "name": "s"}, **more}


async def test_applying_the_same_again_writes_nothing() -> None:
    cluster = MemoryCluster()
    first = await cluster.apply(_secret(stringData={"a": "1"}))
    again = await cluster.apply(_secret(stringData={"a": "1"}))
    assert first["metadata"]["resourceVersion"] == again["metadata"]["resourceVersion"]
    assert cluster.writes == ["apply secrets/s"]


async def test_a_field_that_is_no_longer_applied_goes_and_others_fields_stay() -> None:
    cluster = MemoryCluster()
    await cluster.apply(_secret(data={"a": "1", "b": "2"}))
    cluster.edit(SECRET, "default", "s", {"data": {"theirs": "3"}})
    await cluster.apply(_secret(data={"a": "1"}))
    assert cluster.see(SECRET, "s")["data"] == {"a": "1", "theirs": "3"}


async def test_an_object_with_a_finalizer_stays_until_it_is_taken_off_and_then_what_it_owns_goes() -> None:
    cluster = MemoryCluster()
    owner = cluster.create(
        {
            "apiVersion": "autellix.dev/v1alpha1",
            "kind": "ProgramSession",
            "metadata": {"name": "p", "finalizers": ["f"]},
        }
    )
    body = _secret()
    body["metadata"] = {"namespace": "default", "name": "s", "ownerReferences": owned_by(owner)}
    await cluster.apply(body)
    cluster.remove(PROGRAM_SESSION, "default", "p")
    marked = cluster.see(PROGRAM_SESSION, "p")
    assert marked["metadata"]["deletionTimestamp"]
    assert cluster.all(SECRET)
    await cluster.patch(PROGRAM_SESSION, "default", "p", {"metadata": {"finalizers": []}})
    assert (cluster.all(PROGRAM_SESSION), cluster.all(SECRET)) == ([], [])


async def test_a_stale_version_and_another_uid_are_conflicts() -> None:
    cluster = MemoryCluster()
    made = cluster.create(_secret())
    version = made["metadata"]["resourceVersion"]
    patch = {"metadata": {"resourceVersion": version}, "data": {"a": "1"}}
    assert await cluster.patch(SECRET, "default", "s", patch)
    with pytest.raises(Conflicted):
        await cluster.patch(SECRET, "default", "s", {**patch, "data": {"a": "2"}})
    await cluster.delete(SECRET, "default", "s", uid="another")
    assert cluster.all(SECRET)
    body = _secret()
    body["metadata"] = {"namespace": "default", "name": "absent", "uid": "one"}
    with pytest.raises(Conflicted):
        await cluster.apply(body)


async def test_only_a_change_of_the_spec_is_a_new_generation() -> None:
    cluster = MemoryCluster()
    name = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": "default", "name": "d"}}
    await cluster.apply({**name, "spec": {"replicas": 1}})
    await cluster.apply_status({**name, "status": {"replicas": 1}})
    assert cluster.see(DEPLOYMENT, "d")["metadata"]["generation"] == 1
    await cluster.patch(DEPLOYMENT, "default", "d", {"spec": {"replicas": 2}, "status": {"replicas": 9}})
    after = cluster.see(DEPLOYMENT, "d")
    assert (after["metadata"]["generation"], after["status"]) == (2, {"replicas": 1})


async def test_what_is_gone() -> None:
    cluster = MemoryCluster()
    assert await cluster.get(SECRET, "default", "s") is None
    assert await cluster.patch(SECRET, "default", "s", {}) is None
    await cluster.delete(SECRET, "default", "s")
    with pytest.raises(NotThere):
        await cluster.apply_status(_secret(status={}))
    cluster.ending.add("default")
    with pytest.raises(NamespaceEnding):
        await cluster.apply(_secret())


async def test_calls_can_fail_and_a_life_can_end_before_or_after_one() -> None:
    cluster = MemoryCluster()
    cluster.calls.fail(1, ClusterAway("away"))
    with pytest.raises(ClusterAway):
        await cluster.apply(_secret())
    cluster.calls = Calls(die_at=1)
    with pytest.raises(Died):
        await cluster.apply(_secret())
    assert not cluster.all(SECRET)
    cluster.calls = Calls(die_at=1, after=True)
    with pytest.raises(Died):
        await cluster.apply(_secret())
    assert cluster.all(SECRET)
    with pytest.raises(Died):
        await cluster.get(SECRET, "default", "s")
