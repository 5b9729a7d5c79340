"""Command lines, as values: what a system is started with for these engines, on this port.

Everything is a router's default unless a comment gives the reason; all listen on 127.0.0.1 alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

from autellix_bench.peers.engines import EngineShape

__all__ = ["HOST", "Command", "Place", "autellix", "litellm", "sglang_router", "vllm_router"]

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a system stands: before which engines, on which ports of this machine."""

    engines: tuple[str, ...]
    """Their URLs, as ``http://127.0.0.1:8000``."""
    shape: EngineShape
    port: int
    metrics_port: int
    """For routers that show their metrics on a port of its own: two would share the default."""
    key: str
    """For systems that insist on an API key."""

    @property
    def url(self) -> str:
        """Where the system answers."""
        return f"http://{HOST}:{self.port}"


@dataclass(frozen=True, slots=True)
class Command:
    """What is run."""

    program: str
    """Looked up among the peers' programs, unless it is a path."""
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Beyond ours."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Text by name, in the folder that it is started in."""


def vllm_router(place: Place, policy: str, *, programs: bool = False) -> Command:
    """vLLM's router. ``programs`` turns on its program-level scheduling, *Progress-TTL*: calls wait in the router while
    an engine has no room for their program, and a program keeps its room through short tool calls.

    Its ``auto`` reads ``agent_hint`` in the body; left alone, the router heeds nothing but
    ``vllm_xargs.agentic_context`` and would serve all calls as if it scheduled none. The global queue is what its
    documentation recommends, and the room of an engine is told where it is known, since without it programs are only
    counted. Its cost models stay at their defaults, which were measured on larger engines than the tiny model's: they
    weigh how long a program's room is kept, at most 10 s.
    """
    settings = {"program_scheduling_enable_key": "auto", "global_queue": True}
    if place.shape.kv_tokens is not None:
        settings["token_capacity_per_target"] = place.shape.kv_tokens
    scheduling = ("--enable-program-scheduling", "--program-scheduling-config-json", json.dumps(settings))
    return Command("vllm-router", (*_router(place), "--policy", policy, *(scheduling if programs else ())))


def sglang_router(place: Place, policy: str) -> Command:
    """SGLang's router, whose HTTP mode takes any engine that speaks OpenAI's API."""
    return Command("sglang-router", ("launch", *_router(place), "--policy", policy))


def litellm(place: Place) -> Command:
    """LiteLLM's proxy, one worker, its usual strategy: a deployment at random.

    It refuses to start without a key, and would fetch its price list, blog and presets from the network at start.
    """
    deployments = [
        {
            "model_name": place.shape.model,
            "litellm_params": {"model": f"hosted_vllm/{place.shape.model}", "api_base": f"{url}/v1"},
        }
        for url in place.engines
    ]
    config = {"model_list": deployments, "router_settings": {"routing_strategy": "simple-shuffle"}}
    local = ("MODEL_COST_MAP", "ANTHROPIC_BETA_HEADERS", "AUTOROUTER_PRESETS", "BLOG_POSTS", "POLICY_TEMPLATES")
    return Command(
        "litellm",
        ("--config", "litellm.yaml", "--host", HOST, "--port", str(place.port)),
        environment={
            "LITELLM_MASTER_KEY": place.key,
            "LITELLM_LOG": "ERROR",
            **{f"LITELLM_LOCAL_{what}": "True" for what in local},
        },
        files={"litellm.yaml": yaml.safe_dump(config, sort_keys=False)},
    )


def autellix(place: Place, *, policy: str = "atlas", placement: str = "local") -> Command:
    """Our gateway with a Redis of its own, by the command that its users have."""
    return Command(
        sys.executable,
        (
            *("-m", "autellix", "up", "--engine", ",".join(place.engines), "--port", str(place.port)),
            *("--policy", policy, "--placement", placement),
        ),
        environment={"AUTELLIX_CHARS_PER_TOKEN": f"{place.shape.chars_per_token:g}"},
    )


def _router(place: Place) -> tuple[str, ...]:
    """Both Rust routers have these: they are one program's descendants.

    Cache-aware routing leaves the cached engine when another has so many calls fewer; the default of 64 is a quarter
    of vLLM's usual batch, and would be many batches of a small engine.
    """
    return (
        *("--host", HOST, "--port", str(place.port)),
        *("--prometheus-host", HOST, "--prometheus-port", str(place.metrics_port)),
        *("--worker-urls", *place.engines),
        *("--balance-abs-threshold", str(max(1, place.shape.slots // 4))),
    )
