"""Asks a target: a program's calls as requests, and its session around them, if it is to have one."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any
from urllib.parse import quote

from autellix_bench.live.prompts import Prompts
from autellix_bench.live.readings import CallFailed, Reading
from autellix_bench.live.targets import Api, InBody, InHeader, Sessions, Target
from autellix_bench.live.transport import Reply, Transport, Unreachable
from autellix_bench.programs import Call, Program
from autellix_core.wire import SESSION_HEADER

__all__ = ["Asker", "Named"]

_SESSIONS = "/v1/sessions"
_SESSION_END_S = 10.0


@dataclass(frozen=True, slots=True)
class Named:
    """A program as the target knows it."""

    headers: Mapping[str, str] = field(default_factory=dict)
    """What each of its calls carries."""
    session: str | None = None
    """The id of its open session."""


class Asker:
    """One target during one run. The run's salt is in all texts and in the programs' ids."""

    def __init__(self, target: Target, transport: Transport, *, salt: str) -> None:
        self._target = target
        self._transport = transport
        self._salt = salt
        self._prompts = Prompts(target.encoding, salt=salt)
        self._urls = cycle(target.urls)

    def body(self, program: Program, call: Call, answers: Mapping[str, str]) -> bytes:
        """The body of a call; ``answers`` are those that its program got so far."""
        target = self._target
        given: dict[str, Any] = {
            "model": target.model,
            "max_tokens": call.output_tokens,
            "ignore_eos": True,  # so that all systems have the same number of tokens to make
            "temperature": 0,
            **target.fields,
        }
        if target.streams:
            given |= {"stream": True, "stream_options": {"include_usage": True}}
        if isinstance(target.told, InBody):
            names = {"{program}": self._id(program), "{call}": call.id, "{workload}": program.workload}
            given |= _filled(target.told.fields, names)
        if target.api is Api.CHAT:
            given["messages"] = self._prompts.messages(program.id, call.prompt, answers)
        else:
            given["prompt"] = self._prompts.text(program.id, call.prompt, answers)
        return json.dumps(given).encode()

    async def ask(self, body: bytes, named: Named, reading: Reading) -> None:
        """Send a call and read its answer to the end.

        :raises CallFailed: if there is none, or only a part of it.
        """
        target = self._target
        url = next(self._urls)
        engine = url.partition("://")[2] if len(target.urls) > 1 else None
        try:
            async with (
                asyncio.timeout(target.timeout_s),
                self._transport.send(
                    "POST", url + target.api, headers={**target.headers, **named.headers}, body=body
                ) as reply,
            ):
                reading.begin(reply.headers, engine=engine)
                await _read(reply, reading)
        except TimeoutError as error:
            raise CallFailed(f"The call took longer than {target.timeout_s:g} s.") from error
        except Unreachable as error:
            raise CallFailed(str(error)) from error

    async def open(self, program: Program) -> Named:
        """Tell the target of a program, as far as that takes more than its calls.

        :raises CallFailed: if it was to have a session and got none.
        """
        match self._target.told:
            case InHeader(name):
                return Named({name: self._id(program)})
            case Sessions():
                return await self._session()
        return Named()

    async def close(self, named: Named) -> bool:
        """End the program's session, if it has one; false if the gateway did not."""
        if named.session is None:
            return True
        path = f"{_SESSIONS}/{quote(named.session, safe='')}"
        try:
            async with asyncio.timeout(_SESSION_END_S):
                status, _ = await self._whole("DELETE", path, b"")
        except (TimeoutError, Unreachable):
            return False
        return status == 200

    async def _session(self) -> Named:
        body = json.dumps({"model": self._target.model}).encode()
        try:
            async with asyncio.timeout(self._target.timeout_s):
                status, answer = await self._whole("POST", _SESSIONS, body)
            given = json.loads(answer)
            return Named({SESSION_HEADER: given["token"]}, given["id"])
        except (TimeoutError, Unreachable) as error:
            raise CallFailed(f"No session could be opened: {error}") from error
        except (ValueError, LookupError, TypeError) as error:
            raise CallFailed(f"No session could be opened; status {status}: {answer[:300]!r}") from error

    async def _whole(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        url = self._target.urls[0] + path
        async with self._transport.send(method, url, headers=self._target.headers, body=body) as reply:
            return reply.status, b"".join([piece async for piece in reply.body])

    def _id(self, program: Program) -> str:
        return f"{self._salt}-{program.id}"


async def _read(reply: Reply, reading: Reading) -> None:
    if reply.status == 200 and reply.headers.get("content-type", "").startswith("text/event-stream"):
        async for piece in reply.body:
            reading.feed(piece)
        reading.end_stream()
        return
    body = b"".join([piece async for piece in reply.body])
    if reply.status != 200:
        raise CallFailed(f"Status {reply.status}: {body[:300].decode(errors='replace')}")
    reading.whole(body)


def _filled(template: Any, names: Mapping[str, str]) -> Any:
    match template:
        case str():
            for name, value in names.items():
                template = template.replace(name, value)
            return template
        case Mapping():
            return {name: _filled(value, names) for name, value in template.items()}
        case list() | tuple():
            return [_filled(value, names) for value in template]
    return template
