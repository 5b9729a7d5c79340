"""A cluster in memory, for what the operator asks of one: versions, finalizers, owners, fields that it applied.

It can be told to fail, and to end the operator's life, at the n-th call; :class:`Calls` counts those of the cluster and
of whatever else the operator talks to.
"""

import copy
import itertools
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from autellix_operator.cluster import Kind, kind_of
from autellix_operator.errors import ClusterError, Conflicted, NamespaceEnding, NotThere, Refused

__all__ = ["Calls", "Died", "MemoryCluster"]

Object = dict[str, Any]


class Died(BaseException):
    """The operator's process is gone; nothing that it runs may catch this."""


class Calls:
    """The calls of one life of the operator, in order. It ends at number ``die_at`` (from 1), before or after it."""

    def __init__(self, *, die_at: int | None = None, after: bool = False) -> None:
        self.made: list[str] = []
        self._die_at = die_at
        self._after = after
        self._failures: dict[int, ClusterError] = {}

    def fail(self, at: int, error: ClusterError) -> None:
        """Let the call of that number fail, without effect."""
        self._failures[at] = error

    def begin(self, what: str) -> None:
        """A call is made. Raises what was asked for."""
        self.made.append(what)
        number = len(self.made)
        if (self._die_at is not None and number > self._die_at) or (number == self._die_at and not self._after):
            raise Died(what)
        if number in self._failures:
            raise self._failures[number]

    def end(self) -> None:
        """The call had its effect."""
        if len(self.made) == self._die_at and self._after:
            raise Died(self.made[-1])


class MemoryCluster:
    """:class:`~autellix_operator.cluster.Cluster`, with what tests look at: ``objects``, ``events``, ``writes``.

    ``changed`` hears ("ADDED" | "MODIFIED" | "DELETED", object) as a watch would. ``ending`` are namespaces being
    deleted. ``now`` gives seconds since the epoch.
    """

    def __init__(self, *, now: Callable[[], float] = lambda: 1_700_000_000.0) -> None:
        self.calls = Calls()
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.events: list[tuple[str, str, str]] = []
        """(object's name, reason, message)"""
        self.writes: list[str] = []
        """Those that changed something, as "verb plural/name"."""
        self.ending: set[str] = set()
        self.changed: list[Callable[[str, Object], None]] = []
        self._now = now
        self._versions = itertools.count(1)
        self._uids = itertools.count(1)
        self._applied: dict[tuple[str, str], Object] = {}
        self._said: set[tuple[str, str, str]] = set()

    # What a user, or another part of the cluster, does: no call of the operator's.

    def create(self, body: Mapping[str, Any]) -> Object:
        """Make an object as ``kubectl create`` does."""
        made: Object = copy.deepcopy(dict(body))
        metadata = made.setdefault("metadata", {})
        metadata.setdefault("namespace", "default")
        kind = kind_of(made)
        key = (kind.plural, metadata["namespace"], metadata["name"])
        if key in self.objects:
            raise Conflicted(f"{key} exists.")
        metadata["uid"] = f"00000000-0000-4000-8000-{next(self._uids):012d}"
        metadata["generation"] = 1
        metadata["creationTimestamp"] = self._timestamp()
        return self._put(key, made, "ADDED")

    def edit(self, kind: Kind, namespace: str, name: str, patch: Mapping[str, Any]) -> Object:
        """Change an object as ``kubectl patch --type merge`` does."""
        key = (kind.plural, namespace, name)
        return copy.deepcopy(self._change(key, _merged(self.objects[key], patch), writer=""))

    def remove(self, kind: Kind, namespace: str, name: str) -> None:
        """Delete an object as ``kubectl delete --wait=false`` does."""
        self._delete((kind.plural, namespace, name))

    def see(self, kind: Kind, name: str, namespace: str = "default") -> Object:
        """The object as it stands. Raises KeyError."""
        return copy.deepcopy(self.objects[kind.plural, namespace, name])

    def all(self, kind: Kind) -> list[Object]:
        """Every object of a kind, by name."""
        return [copy.deepcopy(found) for key, found in sorted(self.objects.items()) if key[0] == kind.plural]

    # The operator's.

    async def apply(self, body: Mapping[str, Any]) -> Object:
        """See Cluster."""
        kind, metadata = kind_of(body), body["metadata"]
        key = (kind.plural, metadata["namespace"], metadata["name"])
        self.calls.begin(f"apply {kind.plural}/{metadata['name']}")
        if "status" in body:
            raise Refused("status is not applied with the object in these tests")
        before = self.objects.get(key)
        if before is None:
            if metadata.get("uid"):
                raise Conflicted(f"uid mismatch: {key} does not exist.")
            if metadata["namespace"] in self.ending:
                raise NamespaceEnding(f"namespace {metadata['namespace']} is being terminated.")
            done = self.create(body)
            self._wrote("apply", key)
        else:
            if metadata.get("uid", before["metadata"]["uid"]) != before["metadata"]["uid"]:
                raise Conflicted(f"uid mismatch at {key}.")
            owned = self._applied.get((before["metadata"]["uid"], ""), {})
            done = self._change(key, _applied(before, owned, body), writer="apply")
        self._applied[done["metadata"]["uid"], ""] = copy.deepcopy(dict(body))
        self.calls.end()
        return copy.deepcopy(done)

    async def apply_status(self, body: Mapping[str, Any]) -> Object:
        """See Cluster."""
        kind, metadata = kind_of(body), body["metadata"]
        key = (kind.plural, metadata["namespace"], metadata["name"])
        self.calls.begin(f"apply status {kind.plural}/{metadata['name']}")
        before = self._there(key)
        if metadata.get("uid", before["metadata"]["uid"]) != before["metadata"]["uid"]:
            raise Conflicted(f"uid mismatch at {key}.")
        owned = self._applied.get((before["metadata"]["uid"], "status"), {})
        applied = _applied(before.get("status", {}), owned, body["status"])
        done = self._change(key, {**before, "status": applied}, writer="apply status")
        self._applied[done["metadata"]["uid"], "status"] = copy.deepcopy(dict(body["status"]))
        self.calls.end()
        return copy.deepcopy(done)

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """See Cluster."""
        self.calls.begin(f"get {kind.plural}/{name}")
        found = copy.deepcopy(self.objects.get((kind.plural, namespace, name)))
        self.calls.end()
        return found

    async def list(self, kind: Kind, namespace: str, *, labels: Mapping[str, str] | None = None) -> list[Object]:
        """See Cluster."""
        self.calls.begin(f"list {kind.plural}")
        wanted = (labels or {}).items()
        found = [
            each
            for each in self.all(kind)
            if namespace in ("", each["metadata"]["namespace"]) and wanted <= each["metadata"].get("labels", {}).items()
        ]
        self.calls.end()
        return found

    async def patch(self, kind: Kind, namespace: str, name: str, patch: Mapping[str, Any]) -> Object | None:
        """See Cluster."""
        key = (kind.plural, namespace, name)
        self.calls.begin(f"patch {kind.plural}/{name}")
        before = self.objects.get(key)
        done = None
        if before is not None:
            version = patch.get("metadata", {}).get("resourceVersion", before["metadata"]["resourceVersion"])
            if version != before["metadata"]["resourceVersion"]:
                raise Conflicted(f"{key} has changed.")
            changed = _merged(before, patch)
            if before.get("status") is not None:
                changed["status"] = before["status"]  # it is written through its subresource alone
            done = copy.deepcopy(self._change(key, changed, writer="patch"))
        self.calls.end()
        return done

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str | None = None) -> None:
        """See Cluster."""
        key = (kind.plural, namespace, name)
        self.calls.begin(f"delete {kind.plural}/{name}")
        before = self.objects.get(key)
        if before is not None and uid in (None, before["metadata"]["uid"]):
            self._wrote("delete", key)
            self._delete(key)
        self.calls.end()

    async def event(self, about: Mapping[str, Any], *, reason: str, message: str, warning: bool = False) -> None:
        """See Cluster. It never fails, as the real one; the same one is written once."""
        said = (about["metadata"]["uid"], reason, message)
        if said in self._said:
            return
        try:
            self.calls.begin(f"event {reason} {about['metadata']['name']}")
        except ClusterError:
            return
        if about["metadata"]["namespace"] not in self.ending:
            self._said.add(said)
            self.events.append((about["metadata"]["name"], reason, message))
        self.calls.end()

    # How it works.

    def _there(self, key: tuple[str, str, str]) -> Object:
        if key not in self.objects:
            raise NotThere(f"{key} is not there.")
        return self.objects[key]

    def _wrote(self, verb: str, key: tuple[str, str, str]) -> None:
        self.writes.append(f"{verb} {key[0]}/{key[2]}")

    def _change(self, key: tuple[str, str, str], after: Object, *, writer: str) -> Object:
        before = self.objects[key]
        kept = {name: before["metadata"].get(name) for name in _SERVERS if name in before["metadata"]}
        after = {**after, "metadata": {**after["metadata"], **kept}}
        if after == before:
            return before
        if writer:
            self._wrote(writer, key)
        if after.get("spec") != before.get("spec"):
            after["metadata"]["generation"] += 1
        if "deletionTimestamp" in after["metadata"] and not after["metadata"].get("finalizers"):
            self._purge(key)
            return after
        return self._put(key, after, "MODIFIED")

    def _put(self, key: tuple[str, str, str], stored: Object, change: str) -> Object:
        stored = copy.deepcopy(stored)
        stored["metadata"]["resourceVersion"] = str(next(self._versions))
        self.objects[key] = stored
        self._tell(change, stored)
        return stored

    def _delete(self, key: tuple[str, str, str]) -> None:
        before = self._there(key)
        if not before["metadata"].get("finalizers"):
            self._purge(key)
        elif "deletionTimestamp" not in before["metadata"]:
            after = copy.deepcopy(before)
            after["metadata"]["deletionTimestamp"] = self._timestamp()
            self._put(key, after, "MODIFIED")

    def _purge(self, key: tuple[str, str, str]) -> None:
        gone = self.objects.pop(key)
        self._tell("DELETED", gone)
        uid = gone["metadata"]["uid"]
        for other, found in list(self.objects.items()):
            if any(owner["uid"] == uid for owner in found["metadata"].get("ownerReferences", ())):
                self._delete(other)

    def _tell(self, change: str, stored: Object) -> None:
        for hear in tuple(self.changed):
            hear(change, copy.deepcopy(stored))

    def _timestamp(self) -> str:
        return datetime.fromtimestamp(self._now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_SERVERS = ("uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "name", "namespace")


def _merged(before: Any, patch: Mapping[str, Any]) -> Object:
    """RFC 7386."""
    after: Object = copy.deepcopy(before) if isinstance(before, dict) else {}
    for name, value in patch.items():
        if value is None:
            after.pop(name, None)
        else:
            after[name] = _merged(after.get(name), value) if isinstance(value, Mapping) else copy.deepcopy(value)
    return after


def _applied(before: Any, owned: Any, body: Mapping[str, Any]) -> Object:
    """Server-side apply: fields that were applied before and are no longer go. Finalizers and owners are sets."""
    after: Object = copy.deepcopy(before) if isinstance(before, dict) else {}
    owned = owned if isinstance(owned, Mapping) else {}
    for name, value in owned.items():
        if name not in body:
            rest = _without(after.get(name), value)
            after.pop(name, None) if rest in ({}, [], None) else after.update({name: rest})
    for name, value in body.items():
        if isinstance(value, Mapping):
            after[name] = _applied(after.get(name), owned.get(name), value)
        elif name in ("finalizers", "ownerReferences"):
            kept = _without(after.get(name, []), owned.get(name, []))
            after[name] = [*kept, *(each for each in copy.deepcopy(value) if each not in kept)]
        else:
            after[name] = copy.deepcopy(value)
    return after


def _without(there: Any, owned: Any) -> Any:
    if isinstance(there, dict) and isinstance(owned, Mapping):
        rest = {name: _without(value, owned[name]) if name in owned else value for name, value in there.items()}
        return {name: value for name, value in rest.items() if value not in ({}, [], None)}
    if isinstance(there, list) and isinstance(owned, Iterable):
        return [each for each in there if each not in list(owned)]
    return None
