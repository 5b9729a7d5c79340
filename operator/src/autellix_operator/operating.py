"""The operator's work while it leads: ask the gateways, choose what to show, bring each object up to date."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from autellix_operator.cluster import PROGRAM_SESSION, Cluster
from autellix_operator.endings import Endings
from autellix_operator.errors import ClusterError, NotLeading
from autellix_operator.known import Known
from autellix_operator.metrics import Metrics
from autellix_operator.mirrors import Mirrors
from autellix_operator.objects import Objects, is_mirrored, key_of, program_of
from autellix_operator.pacing import Due, Key
from autellix_operator.rounds import Rounds
from autellix_operator.sessions import Sessions
from autellix_operator.status import OPEN_STATES

__all__ = ["Operating"]

_LOG = logging.getLogger(__name__)
_WORKERS = 8
_SILENT_S = 30.0
_NOT_LEADING_S = 30.0
_LIST_AGAIN_S = 2.0


class Operating:
    """What is done about ProgramSessions. ``seen`` hears the watch at any time; ``work`` runs while leading."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        known: Known,
        objects: Objects,
        sessions: Sessions,
        mirrors: Mirrors,
        endings: Endings,
        metrics: Metrics,
        namespaces: tuple[str, ...],
        poll_interval_s: float,
        resync_s: float,
        leads: Callable[[], bool],
        due: Due | None = None,
    ) -> None:
        self._cluster = cluster
        self._known = known
        self._objects = objects
        self._sessions = sessions
        self._mirrors = mirrors
        self._endings = endings
        self._metrics = metrics
        self._namespaces = namespaces
        self._poll_interval_s = poll_interval_s
        self._resync_s = resync_s
        self._leads = leads
        self._due = due or Due()
        self._rounds = Rounds(self._due, metrics, kind=PROGRAM_SESSION.kind, look=self._look)
        self._after: dict[Key, Mapping[str, Any]] = {}

    def seen(self, change: str, session: Mapping[str, Any]) -> None:
        """The watch saw an object; ``change`` is DELETED, or anything else for one that is there."""
        key = key_of(session)
        if change != "DELETED":
            if self._objects.put(session):
                self._due.put(key, urgent=not is_mirrored(session))
            return
        gone = self._objects.drop(key, uid=session["metadata"]["uid"])
        if gone is None:
            return
        self._sessions.forget(gone)
        self._rounds.forget(key)
        # Of a mirrored object that a user deleted the program is ended; a declared one's was, before it went.
        if is_mirrored(gone) and not self._mirrors.was_deleted_by_us(gone) and self._leads():
            self._after[key] = gone
            self._due.put(key, urgent=True)
        else:
            self._due.forget(key)

    async def work(self) -> None:
        """Until cancelled, or until this replica no longer leads."""
        await self.listed(_LIST_AGAIN_S)
        await self.poll()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._every(self._poll_interval_s, self.poll))
            tasks.create_task(self._every(self._resync_s, self.resync))
            for _ in range(_WORKERS):
                tasks.create_task(self._rounds.work())

    async def listed(self, again_s: float) -> None:
        """Return once all objects were listed, however often that takes asking."""
        while True:
            if await self.resync():
                return
            await asyncio.sleep(again_s)

    async def resync(self) -> bool:
        """List everything, and look at it again; whether the API server could be asked."""
        try:
            listed = [
                each for namespace in self._namespaces for each in await self._cluster.list(PROGRAM_SESSION, namespace)
            ]
        except ClusterError as error:
            _LOG.warning("ProgramSessions cannot be listed: %s", error)
            return False
        there = {session["metadata"]["uid"] for session in listed}
        for session in self._objects.all():
            if session["metadata"]["uid"] not in there:
                # Nobody saw it go, so nothing is concluded of its program: mirrored, it comes back if it is active.
                self._objects.drop(key_of(session))
                self._sessions.forget(session)
        for session in listed:
            self._objects.put(session)
            self._due.put(key_of(session))
        return True

    async def poll(self) -> None:
        """Ask the gateways, and have what changed looked at."""
        changed = await self._known.poll()
        shown = [program_of(session) for session in self._objects.all()]
        if self._known.reached:
            programs = self._known.programs
            still_open = [each for each in shown if each in programs and programs[each]["state"] in OPEN_STATES]
            changed |= await self._known.ask_after(still_open, silent_s=_SILENT_S)
        for program in changed:
            if (key := self._objects.of(program)) is not None:
                self._due.put(key)
        for key in self._mirrors.plan():
            self._due.put(key)
        self._known.trim(shown)
        self._measure()

    async def settle(self) -> None:
        """Look at all that is due now, one after another: what the workers do, for tests and for the last moments."""
        while self._due.waiting()[0]:
            await self._rounds.next()

    async def _look(self, key: Key) -> float | None:
        try:
            return await self._one(key)
        except NotLeading:
            return _NOT_LEADING_S

    async def _one(self, key: Key) -> float | None:
        if (gone := self._after.get(key)) is not None:
            again = await self._endings.after(gone)
            if again is None:
                del self._after[key]
            return again
        if await self._mirrors.settle(key):
            return None
        return await self._sessions.reconcile(key)

    def _measure(self) -> None:
        sessions = self._objects.all()
        mirrored = sum(is_mirrored(session) for session in sessions)
        self._metrics.programs_mirrored.set(mirrored)
        self._metrics.sessions.set(len(sessions) - mirrored)
        self._metrics.programs_not_mirrored.set(self._mirrors.left_out)
        self._metrics.programs_known.set(len(self._known.programs))
        self._metrics.gateway_reached.set(self._known.reached)
        waiting, lag_s = self._due.waiting()
        self._metrics.waiting.labels(PROGRAM_SESSION.kind).set(waiting)
        self._metrics.lag.labels(PROGRAM_SESSION.kind).set(lag_s)

    async def _every(self, interval_s: float, chore: Callable[[], Any]) -> None:
        while True:
            await asyncio.sleep(interval_s)
            try:
                await chore()
            except Exception:  # noqa: BLE001 - a chore that stopped would be missed only much later
                _LOG.exception("a chore of the operator failed")
