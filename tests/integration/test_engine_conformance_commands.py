"""`autellix engine-sim` as a process of its own, checked by `autellix engine check`."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

from real_engine import _free_port


def test_a_simulated_engine_is_started_checked_and_ended() -> None:
    url = f"http://127.0.0.1:{(port := _free_port())}"
    autellix = [sys.executable, "-m", "autellix"]
    started = [*autellix, "engine-sim", "--port", str(port), "--inter-token-time", "0.001"]
    engine = subprocess.Popen(started, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        while not _healthy(url):
            assert engine.poll() is None
            time.sleep(0.05)
        checked = subprocess.run(
            [*autellix, "engine", "check", url, "--only", "report-place", "--only", "entry-level"],
            capture_output=True,
            text=True,
            timeout=60,
            env=os.environ,
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr
        assert re.search(r"^pass  report-place .*\n2 passed, 0 failed, 0 skipped\.$", checked.stdout, re.MULTILINE)
    finally:
        engine.send_signal(signal.SIGTERM)
        _, said = engine.communicate(timeout=30)
    assert said == ""


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False
