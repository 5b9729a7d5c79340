"""How the gateway is started; it is a distribution of its own and may be absent."""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
import sys
from collections.abc import Mapping, Sequence

from autellix import errors
from autellix.stack.plan import HOST, Plan

__all__ = ["command", "environment", "lacks", "plan_arguments", "require"]

_MODULE = "autellix_gateway"
_SECRET = "AUTELLIX_SESSION_SECRET"  # noqa: S105 - a variable's name


def require() -> None:
    """:raises PartMissing: if the gateway is not installed beside this command."""
    if importlib.util.find_spec(_MODULE) is None:
        raise errors.PartMissing(
            "The gateway is not installed beside this command: `pip install autellix-gateway`, or use "
            "`make install` in the project."
        )


def command(arguments: Sequence[str]) -> list[str]:
    """The gateway in this interpreter, with these arguments."""
    return [sys.executable, "-m", _MODULE, *arguments]


def plan_arguments(plan: Plan, redis_url: str, engine_urls: Sequence[str]) -> list[str]:
    """The arguments of the plan's gateway."""
    estimate = () if plan.chars_per_token is None else ("--chars-per-token", str(plan.chars_per_token))
    return [
        *("--host", HOST, "--port", str(plan.port)),
        *("--redis-url", redis_url, "--engines", ",".join(engine_urls)),
        *("--policy", plan.policy, "--placement", plan.placement),
        *estimate,
    ]


def environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """What the gateway needs beside its arguments: a secret to sign session tokens with, unless one is set."""
    env = os.environ if environ is None else environ
    return {} if env.get(_SECRET) else {_SECRET: secrets.token_hex(32)}


def lacks(state: str) -> str | None:
    """What a gateway's readiness (JSON) says is missing for a whole stack: its Redis and every engine."""
    try:
        read = json.loads(state)
        away = [engine["url"] for engine in read["engines"].values() if not engine["up"]]
        if read["table"] != "shared":
            return "its Redis does not answer"
    except (ValueError, LookupError, TypeError, AttributeError):
        return "what answers there is not an Autellix gateway"
    return f"no answer from the engine {' and '.join(away)}" if away else None
