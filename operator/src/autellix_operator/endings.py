"""What happens to a program when its object is deleted: it is ended and its calls aborted, within a bound.

A ProgramSession that a user made is kept by a finalizer until that is done. The finalizer always goes: when the
gateways said that the program has ended, or when they did not answer for too long, which an event tells.
"""

import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from autellix_operator.cluster import PROGRAM_SESSION, Cluster
from autellix_operator.errors import GatewayAway, GatewayRefused
from autellix_operator.gateways import Gateway
from autellix_operator.known import Known
from autellix_operator.objects import FINALIZER, key_of, program_of

__all__ = ["Endings"]

_LOG = logging.getLogger(__name__)
_AGAIN_S = 1.0


class Endings:
    """Ends programs. ``within_s``: how long gateways that do not answer are waited for."""

    def __init__(
        self,
        cluster: Cluster,
        gateway: Gateway,
        known: Known,
        *,
        within_s: float,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._cluster = cluster
        self._gateway = gateway
        self._known = known
        self._within_s = within_s
        self._clock = clock
        self._now = now
        self._first_seen: dict[str, float] = {}

    async def finalize(self, session: Mapping[str, Any]) -> float | None:
        """End the program of an object that is being deleted, and let the object go; seconds until the next try."""
        uid = session["metadata"]["uid"]
        if FINALIZER not in (session["metadata"].get("finalizers") or ()):
            self._first_seen.pop(uid, None)
            return None
        deleted_for_s = self._deleted_for(session)
        grace_s = float(session["spec"].get("gracePeriodSeconds") or 0)
        if deleted_for_s < grace_s and await self._is_busy(program_of(session)):
            return _AGAIN_S
        try:
            await self._end(program_of(session))
        except GatewayAway as error:
            if deleted_for_s < grace_s + self._within_s:
                return _AGAIN_S
            await self._cluster.event(
                session,
                reason="GaveUp",
                message=f"No gateway ended its program within {self._within_s:g} s, so it may go on until it expires.",
                warning=True,
            )
            _LOG.warning("program %s may go on: %s", program_of(session), error)
        else:
            await self._cluster.event(session, reason="Ended", message="It was deleted, so its program was ended.")
        await self.release(session)
        self._first_seen.pop(uid, None)
        return None

    async def release(self, session: Mapping[str, Any]) -> None:
        """Take the finalizer off."""
        there = session["metadata"].get("finalizers") or ()
        if FINALIZER in there:
            rest = [each for each in there if each != FINALIZER]
            patch = {"metadata": {"finalizers": rest, "resourceVersion": session["metadata"]["resourceVersion"]}}
            await self._cluster.patch(PROGRAM_SESSION, *key_of(session), patch)

    async def after(self, session: Mapping[str, Any]) -> float | None:
        """End the program of a mirrored object that a user deleted; seconds until the next try."""
        uid = session["metadata"]["uid"]
        self._first_seen.setdefault(uid, self._clock())
        try:
            await self._end(program_of(session))
        except GatewayAway as error:
            if self._clock() - self._first_seen[uid] < self._within_s:
                return _AGAIN_S
            _LOG.warning("program %s goes on although its object was deleted: %s", program_of(session), error)
        del self._first_seen[uid]
        return None

    async def _end(self, program: str) -> None:
        try:
            await self._gateway.end(program)
        except GatewayRefused as error:
            _LOG.warning("program %s cannot be ended: %s", program, error)  # and will not be by asking again
        if (row := self._known.programs.get(program)) is not None:
            self._known.note({**row, "state": "ended", "active_calls": 0})

    async def _is_busy(self, program: str) -> bool:
        try:
            row = await self._gateway.program(program)
        except (GatewayAway, GatewayRefused):
            return True
        return row is not None and row["active_calls"] > 0

    def _deleted_for(self, session: Mapping[str, Any]) -> float:
        """By whichever clock says longer: this process', or that of the API server against ours."""
        metadata = session["metadata"]
        first_seen = self._first_seen.setdefault(metadata["uid"], self._clock())
        deleted_at = datetime.fromisoformat(metadata["deletionTimestamp"]).timestamp()
        return max(self._clock() - first_seen, self._now() - deleted_at)
