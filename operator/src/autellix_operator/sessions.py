"""Brings one ProgramSession and its program to where they should be, however often it was begun before.

Each step looks at what is there and is safe to repeat, so the operator may end between any two of them.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from autellix_core.pools import NewProgramJSON, ProgramJSON
from autellix_core.wire import timestamp
from autellix_operator.cluster import PROGRAM_SESSION, SECRET, Cluster
from autellix_operator.endings import Endings
from autellix_operator.errors import (
    Conflicted,
    GatewayAway,
    GatewayRefused,
    NamespaceEnding,
    NotThere,
    Refused,
)
from autellix_operator.gateways import Gateway
from autellix_operator.known import Known
from autellix_operator.objects import FINALIZER, Objects, is_mirrored, key_of, program_of
from autellix_operator.pacing import Key
from autellix_operator.session_secrets import is_good, is_ours, secret_for, secret_name
from autellix_operator.status import FINISHED, OPEN_STATES, Problem, Rules, over_budget, status_of
from autellix_operator.stories import stories

__all__ = ["SessionRules", "Sessions"]

_LOG = logging.getLogger(__name__)
_AGAIN_S = 2.0
_REFUSED_AGAIN_S = 30.0
_SECRET_CHECK_S = 60.0


@dataclass(frozen=True, slots=True)
class SessionRules:
    """Times in seconds."""

    url: str
    """For agents' clients, in the Secret."""
    token_ttl_s: float = 86_400.0
    status_interval_s: float = 5.0
    status: Rules = field(default_factory=Rules)


class Sessions:
    """``reconcile`` one by its key. Times to come back are returned in seconds; None: when something changes."""

    def __init__(
        self,
        cluster: Cluster,
        gateway: Gateway,
        known: Known,
        objects: Objects,
        endings: Endings,
        rules: SessionRules,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._cluster = cluster
        self._gateway = gateway
        self._known = known
        self._objects = objects
        self._endings = endings
        self._rules = rules
        self._clock = clock
        self._now = now
        self._secret_seen: dict[str, float] = {}
        self._written: dict[str, float] = {}

    async def reconcile(self, key: Key) -> float | None:
        """Do what is to be done. Raises OperatorError when it is to be tried again."""
        session = self._objects.get(key)
        if session is None:
            return None
        try:
            if session["metadata"].get("deletionTimestamp"):
                return await self._endings.finalize(session)
            if is_mirrored(session):
                return await self._show(session, self._known.programs.get(program_of(session)))
            return await self._declared(session)
        except (Conflicted, NotThere):
            await self._look_again(key)
            return 0.0

    def forget(self, session: Mapping[str, Any]) -> None:
        """It is gone."""
        uid = session["metadata"]["uid"]
        self._secret_seen.pop(uid, None)
        self._written.pop(uid, None)

    async def _declared(self, session: dict[str, Any]) -> float | None:
        session = await self._with_finalizer(session)
        program_id, phase = program_of(session), (session.get("status") or {}).get("phase")
        program = self._known.programs.get(program_id)
        over = program["state"] not in OPEN_STATES if program else phase in FINISHED - {"Failed"} or _ended(session)
        try:
            if not over:
                program = await self._registered(session, program)
        except GatewayAway as error:
            if not session.get("status"):
                problem = Problem("GatewayAway", f"{error} It is registered as soon as a gateway does.")
                await self._write_status(session, None, problem=problem)
            return _AGAIN_S
        except GatewayRefused as error:
            problem = Problem("Refused", str(error), lasting=True)
            await self._write_status(session, None, problem=problem)
            return _REFUSED_AGAIN_S
        except Refused as error:
            problem = Problem("SecretRefused", f"Its Secret cannot be made: {error}")
            await self._write_status(session, None, problem=problem)
            return _REFUSED_AGAIN_S
        program = await self._within_budget(session, program)
        again = await self._show(session, program)
        return again if again is not None or over else _SECRET_CHECK_S

    async def _with_finalizer(self, session: dict[str, Any]) -> dict[str, Any]:
        metadata = session["metadata"]
        there = metadata.get("finalizers") or []
        if FINALIZER in there:
            return session
        patch = {"metadata": {"finalizers": [*there, FINALIZER], "resourceVersion": metadata["resourceVersion"]}}
        return self._seen(await self._cluster.patch(PROGRAM_SESSION, *key_of(session), patch))

    async def _registered(self, session: Mapping[str, Any], program: ProgramJSON | None) -> ProgramJSON | None:
        """The program, known to the gateways and with a good Secret."""
        uid, program_id = session["metadata"]["uid"], program_of(session)
        secret_is_good = self._clock() - self._secret_seen.get(uid, -_SECRET_CHECK_S) < _SECRET_CHECK_S
        now = timestamp(self._now())
        if not secret_is_good:
            self._secret_seen[uid] = self._clock()
            secret = await self._cluster.get(SECRET, session["metadata"]["namespace"], secret_name(session))
            if secret is not None and not is_ours(secret):
                raise Refused(
                    f"there is a Secret {secret_name(session)} that is not ours; delete it, or choose another name."
                )
            secret_is_good = secret is not None and is_good(
                secret,
                session,
                program=program_id,
                url=self._rules.url,
                now=now,
                renew_after_s=self._rules.token_ttl_s / 2,
            )
        if program is not None and secret_is_good:
            return program
        try:
            opened = await self._gateway.open(_wanted(session))
        except GatewayRefused:
            # One that is over is not opened again; then it is shown as that.
            if (there := await self._asked(program_id)) is None or there["state"] in OPEN_STATES:
                raise
            return there
        token = opened.get("token", "")
        self._known.note(opened)
        if token and not secret_is_good and opened["state"] in OPEN_STATES:
            body = secret_for(session, program=program_id, token=token, url=self._rules.url, now=now)
            try:
                await self._cluster.apply(body)
            except NamespaceEnding as error:
                _LOG.info("no secret for %s: %s", session["metadata"]["name"], error)
        return opened

    async def _within_budget(self, session: Mapping[str, Any], program: ProgramJSON | None) -> ProgramJSON | None:
        spec = session["spec"]
        if program is None or program["state"] not in OPEN_STATES:
            return program
        if (spec.get("budget") or {}).get("action") != "End" or not over_budget(spec, program):
            return program
        try:
            await self._gateway.end(program["id"])
        except GatewayAway as error:
            _LOG.warning("program %s is over its budget and goes on: %s", program["id"], error)
            return program
        ended: ProgramJSON = {**program, "state": "ended", "active_calls": 0}
        self._known.note(ended)
        return ended

    async def _show(self, session: dict[str, Any], program: ProgramJSON | None) -> float | None:
        """Write the status, if there is anything new and its interval is over."""
        if program is None and (session.get("status") or {}).get("phase") not in FINISHED:
            program = await self._asked(program_of(session))
            if program is None and not self._known.reached:
                return _AGAIN_S  # nothing is concluded from silence
        since = self._clock() - self._written.get(session["metadata"]["uid"], float("-inf"))
        if since < self._rules.status_interval_s:
            return self._rules.status_interval_s - since
        await self._write_status(session, program)
        return None

    async def _asked(self, program: str) -> ProgramJSON | None:
        """A program that no list had."""
        row = await self._gateway.program(program)
        if row is not None:
            self._known.note(row)
        return row

    async def _write_status(
        self, session: Mapping[str, Any], program: ProgramJSON | None, *, problem: Problem | None = None
    ) -> None:
        before: Mapping[str, Any] = session.get("status") or {}
        status = status_of(
            session,
            program,
            program_id=program_of(session),
            secret="" if is_mirrored(session) else secret_name(session),
            problem=problem,
            rules=self._rules.status,
            now=timestamp(self._now()),
        )
        if status == before:
            return
        for story in stories(before, status, engines=self._known.engines):
            await self._cluster.event(session, reason=story.reason, message=story.message, warning=story.warning)
        namespace, name = key_of(session)
        body = {
            "apiVersion": PROGRAM_SESSION.api_version,
            "kind": PROGRAM_SESSION.kind,
            "metadata": {"namespace": namespace, "name": name, "uid": session["metadata"]["uid"]},
            "status": status,
        }
        self._seen(await self._cluster.apply_status(body))
        self._written[session["metadata"]["uid"]] = self._clock()

    def _seen(self, session: dict[str, Any] | None) -> dict[str, Any]:
        if session is None:
            raise NotThere("The ProgramSession is gone.")
        self._objects.put(session)
        return session

    async def _look_again(self, key: Key) -> None:
        """What was seen last is not what is there."""
        there = await self._cluster.get(PROGRAM_SESSION, *key)
        if there is not None:
            self._objects.put(there)
        elif (gone := self._objects.drop(key)) is not None:
            self.forget(gone)


def _wanted(session: Mapping[str, Any]) -> NewProgramJSON:
    spec = session["spec"]
    return {
        "id": program_of(session),
        "tenant": spec.get("tenant") or f"k8s:{session['metadata']['namespace']}",
        "model": spec["model"],
    }


def _ended(session: Mapping[str, Any]) -> bool:
    """Whether its status says that it was ended for its budget; other failures are tried again."""
    conditions = (session.get("status") or {}).get("conditions") or ()
    return any(
        each["type"] == "Failed" and each["status"] == "True" and each["reason"] == "BudgetExceeded"
        for each in conditions
    )
