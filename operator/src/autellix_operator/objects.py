"""The ProgramSessions as they were last seen, and what can be read off one. The watch is quick, a list is the truth."""

from collections.abc import Mapping
from typing import Any

from autellix_operator.cluster import PROGRAM_SESSION
from autellix_operator.pacing import Key

__all__ = ["FINALIZER", "MIRRORED", "Objects", "is_mirrored", "key_of", "program_of"]

FINALIZER = "autellix.dev/program"
"""Keeps a ProgramSession until its program was ended. Mirrored ones have none, so that they can never stand in the way
of a namespace's deletion."""

MIRRORED = "autellix.dev/mirrored"
"""Label of objects that show a program which lives over HTTP."""


def key_of(session: Mapping[str, Any]) -> Key:
    """Namespace and name."""
    return session["metadata"]["namespace"], session["metadata"]["name"]


def is_mirrored(session: Mapping[str, Any]) -> bool:
    """Whether it shows a program that began over HTTP."""
    return (session["metadata"].get("labels") or {}).get(MIRRORED) == "true" and "programId" in session["spec"]


def program_of(session: Mapping[str, Any]) -> str:
    """The id of its program at the gateways."""
    metadata = session["metadata"]
    if is_mirrored(session):
        return str(session["spec"]["programId"])
    return f"k8s:{metadata['namespace']}/{metadata['name']}/{metadata['uid']}"


class Objects:
    """ProgramSessions by key, and by their program's id."""

    def __init__(self) -> None:
        self._by_key: dict[Key, dict[str, Any]] = {}
        self._keys: dict[str, Key] = {}

    def get(self, key: Key) -> dict[str, Any] | None:
        """The object as last seen."""
        return self._by_key.get(key)

    def of(self, program: str) -> Key | None:
        """The key of the object that shows a program."""
        return self._keys.get(program)

    def all(self) -> list[dict[str, Any]]:
        """Every one."""
        return list(self._by_key.values())

    def put(self, session: Mapping[str, Any]) -> bool:
        """Whether it is news: our own writes come back by the watch, and may come late."""
        key = key_of(session)
        there = self._by_key.get(key)
        same = there is not None and there["metadata"]["uid"] == session["metadata"]["uid"]
        if there is not None and same and not _newer(session, there):
            return False
        metadata = {name: value for name, value in session["metadata"].items() if name != "managedFields"}
        self._by_key[key] = {
            **session,
            "metadata": metadata,
            "apiVersion": PROGRAM_SESSION.api_version,
            "kind": PROGRAM_SESSION.kind,
        }
        self._keys[program_of(session)] = key
        return True

    def drop(self, key: Key, *, uid: str | None = None) -> dict[str, Any] | None:
        """It is gone. With a uid, only if it is that one that is known."""
        there = self._by_key.get(key)
        if there is None or uid not in (None, there["metadata"]["uid"]):
            return None
        del self._by_key[key]
        self._keys.pop(program_of(there), None)
        return there


def _newer(session: Mapping[str, Any], there: Mapping[str, Any]) -> bool:
    """Versions of one object grow; where a server does not write them as numbers, the last one seen counts."""
    one, other = session["metadata"]["resourceVersion"], there["metadata"]["resourceVersion"]
    return int(one) > int(other) if one.isdecimal() and other.isdecimal() else bool(one != other)
