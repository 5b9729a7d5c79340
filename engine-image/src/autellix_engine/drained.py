"""``python -m autellix_engine.drained``: return once no call is in the engine of this container.

A pod's ``preStop``, of a simulated engine too: Kubernetes sends SIGTERM only afterwards. Gateways hear of a pod that
ends a moment after it began to, so the engine must have been without calls for a while. An engine that is not there any
more has none.
"""

import argparse
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable

from autellix_core.wire import STATE_PATH
from autellix_engine import health

__all__ = ["calls_at", "main", "wait"]

_PATIENCE_S = 4.0
_PAUSE_S = 0.5


def main() -> None:
    """Wait; exits with 0 even if calls are left when the time is over, since the pod ends either way."""
    parser = argparse.ArgumentParser(
        prog="python -m autellix_engine.drained",
        description="Return once no call is in the engine of this container.",
        allow_abbrev=False,
    )
    parser.add_argument("--within", type=float, default=300.0, metavar="S", help="at most (default: %(default)s)")
    parser.add_argument("--quiet", type=float, default=3.0, metavar="S", help="without a call (default: %(default)s)")
    given = parser.parse_args()
    at = health.url(os.environ).removesuffix("/health") + STATE_PATH
    if not wait(lambda: calls_at(at), within_s=given.within, quiet_s=given.quiet):
        print(f"Calls are left in the engine after {given.within:g} s.", flush=True)  # noqa: T201 - of a command


def wait(
    calls: Callable[[], int | None],
    *,
    within_s: float,
    quiet_s: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Whether there was no call for ``quiet_s`` on end before ``within_s`` had passed.

    ``calls`` says how many there are, or None where that is not known; then there may be some.
    """
    end_s, busy_s = clock() + within_s, clock()
    while True:
        counted, now_s = calls(), clock()
        if counted != 0:
            busy_s = now_s
        elif now_s - busy_s >= quiet_s:
            return True
        if now_s >= end_s:
            return False
        sleep(_PAUSE_S)


def calls_at(url: str) -> int | None:
    """Calls in the engine, running and queued, as its state says; 0 where nobody listens, None where it cannot say."""
    try:
        with urllib.request.urlopen(url, timeout=_PATIENCE_S) as answer:  # noqa: S310 - http to ourselves
            state = json.load(answer)
            return len(state["running"]) + int(state["waiting"])
    except urllib.error.URLError as error:
        return 0 if isinstance(error.reason, ConnectionRefusedError) else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


if __name__ == "__main__":
    main()
