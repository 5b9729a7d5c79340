"""What a health endpoint says is missing before calls can be sent; None when nothing is.

A router may answer before it knows its engines (SGLang's registers them in the background), so being up is not enough.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from autellix_bench.peers.commands import Place

__all__ = ["Lacks", "lacks_a_router", "lacks_an_answer", "lacks_autellix"]

Lacks = Callable[[int, str, Place], str | None]
"""From the status and the text of the answer, and the system's place."""


def lacks_an_answer(status: int, text: str, place: Place) -> str | None:
    """For a program whose readiness is a status."""
    return None if status == 200 else f"it answers with status {status}: {text[:200]}"


def lacks_a_router(status: int, text: str, place: Place) -> str | None:
    """The Rust routers: ``/readiness`` says how many of their engines are healthy."""
    try:
        healthy = json.loads(text)["healthy_workers"]
    except (ValueError, LookupError, TypeError):
        return lacks_an_answer(status, text, place) or f"it says {text[:200]}"
    return None if healthy == len(place.engines) else f"it sees {healthy} of its {len(place.engines)} engines"


def lacks_autellix(status: int, text: str, place: Place) -> str | None:
    """Our gateway: ``/readyz`` says which engines are up and whether Redis answers."""
    try:
        said = json.loads(text)
        up = sum(engine["up"] for engine in said["engines"].values())
        shared = said["table"] == "shared"
    except (ValueError, LookupError, TypeError, AttributeError):
        return lacks_an_answer(status, text, place) or f"it says {text[:200]}"
    if not shared:
        return "its Redis does not answer"
    return None if up == len(place.engines) else f"it sees {up} of its {len(place.engines)} engines"
