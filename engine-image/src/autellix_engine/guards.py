"""Nothing of ours may break the engine: whatever our code raises inside vLLM's scheduler ends here.

An exception is counted, the first is logged, and what it left behind is put in order. That step is then vLLM's own.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from autellix_engine.counts import Counts

__all__ = ["Guard", "Guards"]

logger = logging.getLogger(__name__)


class Guards:
    """The guards of one scheduler. ``recover`` is called after each failure."""

    def __init__(self, counts: Counts, recover: Callable[[], None]) -> None:
        self._counts = counts
        self._recover = recover
        self._logged = False

    def __call__(self, what: str) -> "Guard":
        """A guard for code that does ``what``, a phrase such as "deciding"."""
        return Guard(what, self._failed)

    def _failed(self, what: str, error: Exception) -> None:
        self._counts.failures[what] += 1
        with suppress(Exception):
            self._recover()
        if not self._logged:
            self._logged = True
            logger.error(
                "%s failed; this step is in vLLM's own order. Further failures are not logged but counted.",
                what.capitalize(),
                exc_info=error,
            )


class Guard:
    """A context that no exception leaves. A step enters several, so each is made once, and costs next to nothing."""

    __slots__ = ("_failed", "_what")

    def __init__(self, what: str, failed: Callable[[str, Exception], None]) -> None:
        self._what = what
        self._failed = failed

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        if not isinstance(error, Exception):
            return False
        self._failed(self._what, error)
        return True
