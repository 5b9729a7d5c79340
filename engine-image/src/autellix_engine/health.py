"""``python -m autellix_engine.health``: whether the engine in this container serves; its exit status says so.

The image's health check: vLLM's ``/health`` on the port that ``AUTELLIX_ENGINE_PORT`` names. Images need no curl.
"""

import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping

from autellix_engine.variables import PREFIX

__all__ = ["main", "url"]

_PATIENCE_S = 4.0
_USUAL_PORT = "8000"


def url(environment: Mapping[str, str]) -> str:
    """Where the engine of this container answers."""
    port = environment.get(f"{PREFIX}PORT", "").strip()
    return f"http://127.0.0.1:{port if port.isdigit() else _USUAL_PORT}/health"


def main() -> None:
    """Exit with 0 if the engine answers that it is well, else with 1 and a sentence."""
    at = url(os.environ)
    try:
        with urllib.request.urlopen(at, timeout=_PATIENCE_S):  # noqa: S310 - http to ourselves
            return
    except (urllib.error.URLError, OSError) as error:
        sys.exit(f"The engine at {at} does not answer that it is well: {error}.")


if __name__ == "__main__":
    main()
