"""One call to the engine over HTTP, with the gateway's headers, and what came of it."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import aiohttp

from autellix_core.errors import MalformedReport
from autellix_core.priority import Policy
from autellix_core.wire import REPORT_COMMENT, REPORT_HEADER, CallHeaders, Report
from autellix_engine.conformance.verdicts import Failed

__all__ = ["Call", "Caller", "headers", "new_id"]


def new_id() -> str:
    """An id that no other call or program has."""
    return f"check-{uuid4().hex}"


def headers(
    service_s: float = 0.0,
    *,
    policy: Policy = Policy.ATLAS,
    program: str | None = None,
    wait_s: float = 0.0,
    program_service_s: float | None = None,
) -> CallHeaders:
    """A call of a program (a new one unless named) that has had so much service."""
    return CallHeaders(
        program=program or new_id(),
        call=new_id(),
        service_s=service_s,
        program_wait_s=wait_s,
        program_service_s=service_s if program_service_s is None else program_service_s,
        policy=policy,
    )


@dataclass(eq=False)
class Call:
    """A streamed call, while it runs and after."""

    headers: CallHeaders
    prompt: str
    tokens: int
    text: str = ""
    chunks: int = 0
    sent_at: float = 0.0
    first_at: float = 0.0
    ended_at: float = 0.0
    report: Report | None = None
    tail: list[str] = field(default_factory=list)
    """The last lines of the stream, as they came."""
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def reported(self) -> Report:
        """Its report. Raises :class:`Failed` if none came."""
        if self.report is None:
            raise Failed("A stream of a call with x-autellix-call must end with the call's report, but none came.")
        return self.report

    @property
    def observed_s(self) -> float:
        """From sending the request to the end of the stream."""
        return self.ended_at - self.sent_at

    @property
    def token_s(self) -> float:
        """Between two pieces of text."""
        return (self.ended_at - self.first_at) / max(1, self.chunks - 1)


class Caller:
    """Sends calls to one engine."""

    def __init__(self, http: aiohttp.ClientSession, model: str) -> None:
        self._http, self.model = http, model

    def body(self, prompt: str, tokens: int, **more: Any) -> dict[str, Any]:
        """A body whose answer is the same text each time and has exactly so many tokens."""
        asked = {"model": self.model, "prompt": prompt, "max_tokens": tokens}
        return {**asked, "temperature": 0, "ignore_eos": True, **more}

    async def whole(
        self, sent: Mapping[str, str], prompt: str, tokens: int
    ) -> tuple[int, dict[str, Any], Report | None]:
        """Status, body and report of a call that is not streamed."""
        async with self._http.post("/v1/completions", json=self.body(prompt, tokens), headers=sent) as response:
            text = await response.text()
            given = response.headers.get(REPORT_HEADER)
            try:
                answer = json.loads(text)
            except ValueError:
                answer = {"error": text[:200]}
            return response.status, answer, None if given is None else _report(given)

    async def stream(self, call: Call) -> Call:
        """Send the call and read its stream to the end."""
        call.sent_at = time.monotonic()
        body = self.body(call.prompt, call.tokens, stream=True)
        sent = call.headers.to_headers()
        async with self._http.post("/v1/completions", json=body, headers=sent) as response:
            if response.status != 200:
                raise Failed(f"A call was answered with status {response.status}: {(await response.text())[:200]}")
            async for line in response.content:
                self._line(call, line.decode().rstrip("\r\n"))
        call.ended_at = time.monotonic()
        call.ended.set()
        return call

    async def lines(self, sent: Mapping[str, str], prompt: str, tokens: int) -> list[str]:
        """The lines of a stream that are not empty."""
        body = self.body(prompt, tokens, stream=True)
        async with self._http.post("/v1/completions", json=body, headers=sent) as response:
            return [line for raw in (await response.text()).splitlines() if (line := raw.strip())]

    async def get(self, path: str) -> Any:
        """A JSON document of the engine."""
        async with self._http.get(path) as response:
            response.raise_for_status()
            return await response.json(content_type=None)

    @staticmethod
    def _line(call: Call, line: str) -> None:
        if not line:
            return
        call.tail = [*call.tail[-1:], line]
        if line.startswith(REPORT_COMMENT):
            call.report = _report(line.removeprefix(REPORT_COMMENT))
        elif line.startswith("data: {"):
            choices = json.loads(line.removeprefix("data: ")).get("choices") or [{}]
            text = choices[0].get("text") or ""
            call.text += text
            call.chunks += bool(text)
            if not call.begun.is_set():
                call.first_at = time.monotonic()
                call.begun.set()


def _report(text: str) -> Report:
    try:
        return Report.from_json(text)
    except MalformedReport as error:
        raise Failed(str(error)) from error
