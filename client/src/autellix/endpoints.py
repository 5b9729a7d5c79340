"""Where the gateway is and with which key: arguments first, then the environment, then this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Endpoint"]

_LOCAL_BASE_URL = "http://127.0.0.1:8080/v1"
_LOCAL_API_KEY = "autellix"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A gateway's base URL, which ends in `/v1` as an OpenAI client's does, and the API key to show it."""

    base_url: str
    api_key: str = field(repr=False)

    @classmethod
    def find(
        cls,
        base_url: str | None = None,
        api_key: str | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Endpoint:
        """What is given, else AUTELLIX_BASE_URL, and AUTELLIX_API_KEY or OPENAI_API_KEY; else what `autellix up`
        uses."""
        env = os.environ if environ is None else environ
        url = base_url or env.get("AUTELLIX_BASE_URL") or _LOCAL_BASE_URL
        key = api_key or env.get("AUTELLIX_API_KEY") or env.get("OPENAI_API_KEY") or _LOCAL_API_KEY
        return cls(url.rstrip("/"), key)
