"""What Kubernetes objects say of engines: EndpointSlices and EnginePools in, members and pools out. Pure.

Objects are taken as the API server's JSON has them. What an object leaves out has Kubernetes' own default; one that
makes no sense is passed over, never an error, since the rest must go on being served.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from autellix_core.pools import POOL_LABEL
from autellix_core.program import EngineId
from autellix_gateway.engines.members import Member, Pool

__all__ = ["members_of", "pools_of"]

_PORT = "http"
_FAMILIES = ("IPv4", "IPv6")
"""In the order of preference, where an engine has an address of each."""
_MOST_HELD = 1000
_HOLD_S = 300.0


def members_of(slices: Iterable[Mapping[str, Any]], pools: Iterable[Mapping[str, Any]]) -> tuple[Member, ...]:
    """Every engine that the slices of the pools' Services name, once each, by name.

    An engine is a pod: its id is the pod's name, or its address and port where an endpoint has no pod. While an
    endpoint moves between slices it may be in two of them, and a pod with two addresses always is: then one that
    accepts calls counts, IPv4 before IPv6.
    """
    draining = {(_name(pool), engine) for pool in pools for engine in _draining(pool)}
    found: dict[EngineId, tuple[tuple[bool, int, str], Member]] = {}
    for family, member in _members(slices):
        place = (not member.accepts, _FAMILIES.index(family), member.url)
        if member.id not in found or place < found[member.id][0]:
            found[member.id] = (place, member)
    return tuple(
        Member(member.id, member.url, member.pool, member.accepts, (member.pool, member.id) in draining)
        for _, (_, member) in sorted(found.items())
    )


def pools_of(pools: Iterable[Mapping[str, Any]]) -> tuple[Pool, ...]:
    """The pools, by name. One that is being deleted holds no more calls, and is left out."""
    read = []
    for pool in pools:
        spec = _mapping(pool.get("spec"))
        name, model, hold = _name(pool), _mapping(spec.get("model")).get("name"), _mapping(spec.get("hold"))
        if name and isinstance(model, str) and model and not _mapping(pool.get("metadata")).get("deletionTimestamp"):
            most_held, hold_s = _number(hold.get("maxCalls"), _MOST_HELD), _number(hold.get("seconds"), _HOLD_S)
            read.append(Pool(name, model, most_held=int(most_held), hold_s=float(hold_s)))
    return tuple(sorted(read, key=lambda pool: pool.name))


def _members(slices: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, Member]]:
    for piece in slices:
        pool = _mapping(_mapping(piece.get("metadata")).get("labels")).get(POOL_LABEL)
        family, port = piece.get("addressType"), _port(piece)
        if not pool or family not in _FAMILIES or port is None:
            continue
        for endpoint in piece.get("endpoints") or ():
            addresses = endpoint.get("addresses") or ()
            if not addresses:
                continue
            # All addresses of an endpoint are the same to Kubernetes, which itself uses the first.
            host = f"[{addresses[0]}]" if family == "IPv6" else str(addresses[0])
            pod = _mapping(endpoint.get("targetRef"))
            name = str(pod["name"]) if pod.get("kind") == "Pod" and pod.get("name") else f"{host}:{port}"
            yield str(family), Member(EngineId(name), f"http://{host}:{port}", str(pool), _accepts(endpoint))


def _accepts(endpoint: Mapping[str, Any]) -> bool:
    """``serving`` says that a terminating pod still answers: enough for calls under way, not for new ones."""
    conditions = _mapping(endpoint.get("conditions"))
    return conditions.get("ready") is not False and conditions.get("terminating") is not True


def _port(piece: Mapping[str, Any]) -> int | None:
    return next((port.get("port") for port in piece.get("ports") or () if port.get("name") == _PORT), None)


def _draining(pool: Mapping[str, Any]) -> Iterator[str]:
    for entry in _mapping(pool.get("status")).get("draining") or ():
        if isinstance(name := _mapping(entry).get("engine"), str):
            yield name


def _name(thing: Mapping[str, Any]) -> str:
    return str(_mapping(thing.get("metadata")).get("name") or "")


def _mapping(given: object) -> Mapping[str, Any]:
    return given if isinstance(given, Mapping) else {}


def _number(given: object, default: float) -> float:
    return given if isinstance(given, int | float) and not isinstance(given, bool) and given >= 0 else default
