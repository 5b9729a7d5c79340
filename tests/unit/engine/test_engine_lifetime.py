"""An engine process ends when the process that started it is killed, and not before."""

import contextlib
import os
import signal
import subprocess
import sys

# The parent starts a child that watches it, says the child's id and waits; the child says when it was ended.
PARENT = """
import multiprocessing, os, signal, sys, time
from autellix_engine.lifetime import end_with_parent

def child():
    def ended(*_):
        os.write(1, b"ended\\n")
        os._exit(0)
    signal.signal(signal.SIGTERM, ended)
    end_with_parent()
    os.write(1, f"{os.getpid()}\\n".encode())
    while True:
        time.sleep(0.05)

if __name__ == "__main__":
    end_with_parent()  # a first process has nobody to watch
    multiprocessing.get_context("fork").Process(target=child).start()
    time.sleep(600)
"""


def test_a_killed_parent_takes_the_engine_process_with_it() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    try:
        os.kill(child, 0)
        parent.kill()
        assert parent.stdout.readline() == b"ended\n"
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
