"""The engine process does not outlive the API process.

vLLM ends its engine process when the API process shuts down, but not when that is killed: it would keep the model's
memory and serve nobody.
"""

import multiprocessing
import os
import signal
import threading
import time
from multiprocessing.process import BaseProcess

__all__ = ["end_with_parent"]

_GRACE_S = 10.0


def end_with_parent() -> None:
    """Watch the process that started this one, in a thread that only sleeps. In a first process this does nothing."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_await_end, args=(parent,), name="autellix-lifetime", daemon=True).start()


def _await_end(parent: BaseProcess) -> None:
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_S)
    os._exit(1)
