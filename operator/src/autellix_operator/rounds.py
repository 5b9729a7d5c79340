"""Looks at what is due, object by object: again when the look says so, and after a growing pause where it failed."""

import logging
from collections.abc import Awaitable, Callable

from autellix_operator.errors import GatewayAway, OperatorError
from autellix_operator.metrics import Metrics
from autellix_operator.pacing import Due, Key

__all__ = ["Rounds"]

_LOG = logging.getLogger(__name__)
_LONGEST_PAUSE_S = 30.0


class Rounds:
    """The work on the objects of one kind. Any number of workers may go round at once.

    ``look`` brings one object up to date and says in how many seconds it is to be looked at again; None: when
    something changes.
    """

    def __init__(
        self, due: Due, metrics: Metrics, *, kind: str, look: Callable[[Key], Awaitable[float | None]]
    ) -> None:
        self._due = due
        self._metrics = metrics
        self._kind = kind
        self._look = look
        self._failures: dict[Key, int] = {}

    async def work(self) -> None:
        """Until cancelled."""
        while True:
            await self.next()

    async def next(self) -> None:
        """Look at the object that is due, or wait for one."""
        key = await self._due.take()
        try:
            with self._metrics.reconciled.labels(self._kind).time():
                again = await self._look(key)
            self._failures.pop(key, None)
        except OperatorError as error:
            again = self._failed(key)
            level = logging.INFO if isinstance(error, GatewayAway) else logging.WARNING
            _LOG.log(level, "%s/%s is tried again in %.0f s: %s", *key, again, error)
        except Exception:  # noqa: BLE001 - one object must not stop the others
            again = self._failed(key)
            _LOG.exception("%s/%s could not be brought up to date", *key)
        finally:
            self._due.done(key)
        if again is not None:
            self._due.put(key, in_s=again)

    def forget(self, key: Key) -> None:
        """It is gone."""
        self._failures.pop(key, None)

    def _failed(self, key: Key) -> float:
        self._metrics.failures.labels(self._kind).inc()
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        return float(min(2.0 ** (failures - 1), _LONGEST_PAUSE_S))
