"""The systems by name: what each is, how it is started, and how it is told which program a call belongs to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from autellix_bench.peers import commands
from autellix_bench.peers.commands import Command, Place
from autellix_bench.peers.readiness import Lacks, lacks_a_router, lacks_an_answer, lacks_autellix

__all__ = ["PEERS", "Peer", "Told"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What each call carries to say whose it is: a header whose value is the program's id, or fields of the body in
    whose texts ``{program}`` stands for it. Neither, where a system has no notion of programs."""

    header: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)

    def headers_for(self, program: str) -> dict[str, str]:
        """What a call of this program carries in its headers."""
        return {} if self.header is None else {self.header: program}

    def fields_for(self, program: str) -> dict[str, Any]:
        """What it carries in its body."""
        named: dict[str, Any] = _named(self.fields, program)
        return named


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A system that calls go through on their way to the engines."""

    name: str
    resembles: str
    """What of it is compared, in a sentence."""
    command: Callable[[Place], Command] | None
    """None: nothing stands between, and the driver sends to the engines in turn."""
    ready_path: str = ""
    lacks: Lacks = lacks_an_answer
    told: Told = field(default_factory=Told)
    wants_key: bool = False


def _named(template: Any, program: str) -> Any:
    match template:
        case str():
            return template.replace("{program}", program)
        case Mapping():
            return {name: _named(value, program) for name, value in template.items()}
    return template


_HINTED = Told(fields={"agent_hint": {"session_id": "{program}", "blocks_parent": False}})
"""As vLLM's router reads it. A hint without a parent must say that it blocks none, or the call is refused."""


def _router(name: str, resembles: str, command: Callable[[Place], Command], told: Told | None = None) -> Peer:
    """vLLM's or SGLang's, which say alike that they are ready."""
    return Peer(
        name=name,
        resembles=resembles,
        command=command,
        ready_path="/readiness",
        lacks=lacks_a_router,
        told=told or Told(),
    )


_ALL = (
    Peer(
        name="direct round robin",
        resembles="no router: calls go to the engines in turn, which order them by arrival",
        command=None,
    ),
    _router(
        "vllm-router round robin",
        "vLLM's router, engines in turn",
        partial(commands.vllm_router, policy="round_robin"),
    ),
    _router(
        "vllm-router cache aware",
        "vLLM's router by its usual policy: the engine whose past prompts match best, unless it is too busy",
        partial(commands.vllm_router, policy="cache_aware"),
    ),
    _router(
        "vllm-router programs",
        "vLLM's router with program-level scheduling (Progress-TTL) before the engines",
        partial(commands.vllm_router, policy="cache_aware", programs=True),
        told=_HINTED,
    ),
    _router(
        "sglang-router cache aware",
        "SGLang's router by its usual policy, which is the same",
        partial(commands.sglang_router, policy="cache_aware"),
    ),
    Peer(
        name="LiteLLM",
        resembles="the proxy that most people have: an engine at random",
        command=commands.litellm,
        ready_path="/health/readiness",
        wants_key=True,
    ),
    Peer(
        name="Autellix",
        resembles="our gateway: ATLAS, and the engine that holds a program's cache for its long calls",
        command=commands.autellix,
        ready_path="/readyz",
        lacks=lacks_autellix,
        told=Told(header="x-session-id"),
    ),
)

PEERS: Mapping[str, Peer] = {peer.name: peer for peer in _ALL}
"""By name."""
