"""Where programs are sent, in which API, and how the system there is told which program a call belongs to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from autellix_bench.live.prompts import ENCODINGS, Encoding

__all__ = ["Api", "InBody", "InHeader", "Sessions", "Target", "Told"]


class Api(StrEnum):
    """The OpenAI API that calls are made in; the value is its path."""

    COMPLETIONS = "/v1/completions"
    CHAT = "/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class Sessions:
    """Autellix's own: opened for a program's first call, whose time that is in, and ended with the program."""


@dataclass(frozen=True, slots=True)
class InHeader:
    """The program's id in a header of each call."""

    name: str = "x-session-id"


@dataclass(frozen=True, slots=True)
class InBody:
    """Fields of each call's body: ``{program}``, ``{call}`` and ``{workload}`` in their texts are filled in."""

    fields: Mapping[str, Any]


Told = Sessions | InHeader | InBody | None
"""How the system is told a call's program; None: it is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A system under load: a gateway, a router, or engines themselves.

    :raises ValueError: if there is no URL, or one with a path.
    """

    urls: tuple[str, ...]
    """As ``http://127.0.0.1:8000``. Calls go to several in turn, which is round robin without a gateway."""
    model: str
    api: Api = Api.COMPLETIONS
    told: Told = None
    encoding: Encoding = ENCODINGS["simulated"]
    streams: bool = True
    """Else answers come whole: no first token is seen, but Autellix states each call's service and wait."""
    timeout_s: float = 1800.0
    """A call that takes longer has failed."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Further ones on every request, such as an API key."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Further ones in every body."""

    def __post_init__(self) -> None:
        if not self.urls:
            raise ValueError("A target needs a URL.")
        for url in self.urls:
            if url.count("/") != 2:
                raise ValueError(f"A target's URL is scheme, host and port, as http://127.0.0.1:8000, not {url}")
