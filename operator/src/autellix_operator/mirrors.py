"""Makes and deletes the objects of programs that live over HTTP, as :mod:`~autellix_operator.mirroring` chooses."""

import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from autellix_core.pools import ProgramJSON
from autellix_operator.cluster import FIELD_MANAGER, PROGRAM_SESSION, Cluster
from autellix_operator.errors import Refused
from autellix_operator.known import Known
from autellix_operator.mirroring import Mirroring, choose, mirror_name
from autellix_operator.objects import MIRRORED, Objects, is_mirrored, program_of
from autellix_operator.pacing import Key
from autellix_operator.session_secrets import MANAGED_BY
from autellix_operator.status import FINISHED

__all__ = ["Mirrors"]

_LOG = logging.getLogger(__name__)


class Mirrors:
    """``plan`` after each answer of the gateways, then ``settle`` each key that it names."""

    def __init__(
        self,
        cluster: Cluster,
        known: Known,
        objects: Objects,
        rules: Mirroring,
        *,
        namespace: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.left_out = 0
        """Programs for whose object there was no room."""
        self._cluster = cluster
        self._known = known
        self._objects = objects
        self._rules = rules
        self._namespace = namespace
        self._now = now
        self._show: dict[Key, str] = {}
        self._hide: set[Key] = set()
        self._deleted: set[str] = set()
        self._refused: set[str] = set()

    def plan(self) -> list[Key]:
        """The keys to settle. Nothing is made or deleted on the word of a gateway that does not share its table."""
        self._show, self._hide = {}, set()
        if not self._known.reached:
            return []
        self._refused &= self._known.programs.keys()
        mirrored = [each for each in self._objects.all() if is_mirrored(each)]
        staying = [each for each in mirrored if not each["metadata"].get("deletionTimestamp")]
        choice = choose(
            (row for program, row in self._known.programs.items() if program not in self._refused),
            {program_of(session): self._kept_enough(session) for session in staying},
            now_s=self._known.at,
            rules=self._rules,
        )
        self.left_out = choice.left_out
        self._show = {(self._namespace, mirror_name(program)): program for program in choice.show}
        keys = (self._objects.of(program) for program in choice.hide)
        self._hide = {key for key in keys if key is not None}
        return [*self._hide, *self._show]

    async def settle(self, key: Key) -> bool:
        """Make or delete the object of a key, if that is what was planned; whether anything was."""
        if key in self._hide:
            self._hide.discard(key)
            session = self._objects.get(key)
            if session is not None:
                uid = session["metadata"]["uid"]
                self._deleted.add(uid)
                await self._cluster.delete(PROGRAM_SESSION, *key, uid=uid)
            return True
        if (program := self._show.pop(key, None)) is None or self._objects.get(key) is not None:
            return False
        row = self._known.programs.get(program)
        if row is None:
            return True
        try:
            self._objects.put(await self._cluster.apply(_object(self._namespace, row)))
        except Refused as error:
            self._refused.add(program)
            _LOG.warning("program %s is not shown as an object: %s", program, error)
            return True
        return False

    def was_deleted_by_us(self, session: Mapping[str, Any]) -> bool:
        """Whether its deletion was ours and not a user's. Asked once, when it is gone."""
        uid = session["metadata"]["uid"]
        ours = uid in self._deleted
        self._deleted.discard(uid)
        return ours

    def _kept_enough(self, session: Mapping[str, Any]) -> bool:
        status = session.get("status") or {}
        if status.get("phase") not in FINISHED:
            return False
        over_since = [
            datetime.fromisoformat(each["lastTransitionTime"]).timestamp()
            for each in status["conditions"]
            if each["type"] in FINISHED and each["status"] == "True"
        ]
        return self._now() - max(over_since, default=0.0) >= self._rules.keep_s


def _object(namespace: str, program: ProgramJSON) -> dict[str, Any]:
    return {
        "apiVersion": PROGRAM_SESSION.api_version,
        "kind": PROGRAM_SESSION.kind,
        "metadata": {
            "namespace": namespace,
            "name": mirror_name(program["id"]),
            "labels": {
                "app.kubernetes.io/name": "autellix",
                "app.kubernetes.io/component": "operator",
                MANAGED_BY: FIELD_MANAGER,
                MIRRORED: "true",
            },
        },
        "spec": {"programId": program["id"], "model": program["model"], "tenant": program["tenant"]},
    }
