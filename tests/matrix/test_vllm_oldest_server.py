"""The oldest version of vLLM that the adapter is for, as a whole server: it keeps the contract, with beta on too."""

import json
import subprocess
import sys
import urllib.request

import pytest

from autellix_engine.conformance.suite import CHECKS
from matrix_versions import VERSIONS, folder
from real_engine import real_engine

OLDEST = VERSIONS[0]


@pytest.mark.timeout(900)  # it may have to be fetched
def test_the_oldest_version_keeps_the_contract() -> None:
    path = folder(OLDEST, whole=True)
    with real_engine("--beta", "4", "--", "--max-num-seqs", "2", path=path) as engine:
        with urllib.request.urlopen(f"{engine.url}/version", timeout=5) as response:
            assert json.load(response)["version"].split("+")[0] == OLDEST
        command = [sys.executable, "-m", "autellix_engine.conformance", engine.url, "--json"]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        said = json.loads(ran.stdout)
        assert {each["check"]: each["word"] for each in said["checks"]} == dict.fromkeys(CHECKS, "passed"), ran.stdout
        assert "failed; this step is in vLLM's own order" not in engine.logged()
