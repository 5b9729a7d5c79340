"""Calls to a server: the same bytes to each system, so that each reads what it understands and ignores the rest.

A call carries its program's service as the gateway's headers, for the adapter, and as the body's ``priority``, for
stock vLLM. Every prompt begins with a salt that no other prompt has, so no run finds another's prefixes in the cache.
"""

import itertools
import math
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp

from adapter_benchmark.servers import Server
from autellix_core.levels import Levels, level_of
from autellix_core.priority import Policy
from autellix_core.wire import REPORT_COMMENT, REPORT_HEADER, STATE_PATH, CallHeaders, Report
from autellix_engine import tiny_model

__all__ = ["Answered", "Caller", "Salts"]

_LEVELS = Levels.geometric()
_PATIENCE = aiohttp.ClientTimeout(total=300)


class Salts:
    """Names that occur once in a run, the same ones in the next run with the same seed."""

    def __init__(self, seed: int) -> None:
        self._names = (f"{seed}-{index}" for index in itertools.count())

    def __call__(self) -> str:
        return next(self._names)


@dataclass(frozen=True, slots=True)
class Answered:
    """A finished call."""

    first_token_s: float
    """Until its first token arrived; of a whole response, until all did."""
    preemptions: int
    """As the adapter reports them; 0 of a stock server."""


class Caller:
    """A client of one server."""

    def __init__(self, server: Server, salts: Salts, policy: Policy = Policy.ATLAS) -> None:
        self.server = server
        self._policy = policy
        self._salts = salts
        # Idle connections are ours to close: the server closes them after 5 s, which may meet a call on its way.
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=2.0)
        self._http = aiohttp.ClientSession(server.url, timeout=_PATIENCE, connector=connector)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        await self._http.close()

    async def stream(self, *, service_s: float, prompt: int, output: int, begun: Any = None) -> Answered:
        """A streamed call of so many tokens. ``begun``, an event, is set at its first token."""
        body, headers = self._call(service_s, prompt, output, stream=True)
        sent = time.perf_counter()
        first_s, preemptions = math.nan, 0
        async with self._http.post("/v1/completions", json=body, headers=headers) as response:
            response.raise_for_status()
            async for line in response.content:
                if math.isnan(first_s) and line.startswith(b"data: {"):
                    first_s = time.perf_counter() - sent
                    if begun is not None:
                        begun.set()
                elif line.startswith(REPORT_COMMENT.encode()):
                    preemptions = Report.from_json(line.decode().removeprefix(REPORT_COMMENT)).preemptions
        return Answered(first_s, preemptions)

    async def whole(self, *, service_s: float, prompt: int, output: int) -> Answered:
        """A call whose response comes in one piece."""
        body, headers = self._call(service_s, prompt, output, stream=False)
        sent = time.perf_counter()
        async with self._http.post("/v1/completions", json=body, headers=headers) as response:
            response.raise_for_status()
            await response.read()
            report = response.headers.get(REPORT_HEADER)
        return Answered(time.perf_counter() - sent, 0 if report is None else Report.from_json(report).preemptions)

    async def counter(self, name: str) -> float:
        """The sum over labels of one of the server's Prometheus counters."""
        async with self._http.get("/metrics") as response:
            lines = (await response.text()).splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((f"{name}{{", f"{name} ")))

    async def state(self) -> dict[str, Any]:
        """``GET /autellix/state`` of a server with the adapter."""
        async with self._http.get(STATE_PATH) as response:
            response.raise_for_status()
            state: dict[str, Any] = await response.json()
            return state

    def _call(
        self, service_s: float, prompt: int, output: int, *, stream: bool
    ) -> tuple[dict[str, Any], dict[str, str]]:
        salt = self._salts()
        text = f"{salt} " + "Lorem ipsum dolor sit amet. " * (prompt // 28 + 1)
        headers = CallHeaders(
            program=salt, call=salt, service_s=service_s, program_service_s=service_s, policy=self._policy
        )
        return {
            "model": tiny_model.NAME,
            "prompt": text[:prompt],  # the model has one token a byte
            "max_tokens": output,
            "temperature": 0,
            "ignore_eos": True,
            "stream": stream,
            "priority": level_of(_LEVELS, service_s),
        }, headers.to_headers()
