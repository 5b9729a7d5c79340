"""Engines and the systems in front of them, running for as long as a block lasts.

A system counts as ready when its health endpoint says so *and* it has answered streamed calls that were told their
program: that its calls arrive is part of what must be so before anything is measured, and some load half of themselves
at their first call.
"""

from __future__ import annotations

import secrets
import socket
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import aiohttp

from autellix_bench.peers.commands import HOST, Command, Place
from autellix_bench.peers.descriptions import Peer, Told
from autellix_bench.peers.engines import EngineKind, EngineShape, engine_command
from autellix_bench.peers.environments import engine_python, peer_program
from autellix_bench.peers.processes import NotReady, running

__all__ = ["Fronted", "engines_serving", "fronted"]

_ENGINE_DEADLINE_S = 600.0
_DEADLINE_S = 120.0
_ASK_S = 5.0
_FIRST_ANSWER_S = 60.0
_PREFIX = "autellix-bench-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fronted:
    """A system that is ready for calls, and how to send them."""

    urls: tuple[str, ...]
    """Several where nothing is in front of the engines: calls go to them in turn."""
    model: str
    headers: Mapping[str, str] = field(default_factory=dict)
    """On every call."""
    told: Told = field(default_factory=Told)


@asynccontextmanager
async def engines_serving(
    kinds: Mapping[EngineKind, int], shape: EngineShape
) -> AsyncIterator[Mapping[EngineKind, tuple[str, ...]]]:
    """So many engines of each kind, each warm; their URLs.

    :raises PartMissing: if there is no vLLM.
    :raises NotReady: if one does not come up, or has ended by itself before the block did.
    """
    python = engine_python()
    urls: dict[EngineKind, tuple[str, ...]] = {}
    async with AsyncExitStack() as stack:
        started = []
        for kind in [kind for kind, count in kinds.items() for _ in range(count)]:
            (port,) = _free_ports(1)
            url = f"http://{HOST}:{port}"
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=_PREFIX)))
            arguments = engine_command(python, kind, shape, port)
            started.append(
                (await stack.enter_async_context(running(f"The {kind} engine", arguments, folder=folder)), url)
            )
            urls[kind] = (*urls.get(kind, ()), url)
        for process, url in started:
            await process.await_ready(partial(_lacks, f"{url}/health"), deadline_s=_ENGINE_DEADLINE_S)
            await _answer_first(Fronted(urls=(url,), model=shape.model), calls=2)
        yield urls
        for process, _ in started:
            process.check()


@asynccontextmanager
async def fronted(peer: Peer, engines: tuple[str, ...], shape: EngineShape) -> AsyncIterator[Fronted]:
    """The system before these engines.

    :raises PartMissing: if it is not installed.
    :raises NotReady: if it does not come up, does not pass calls on, or has ended by itself before the block did.
    """
    if peer.command is None:
        yield Fronted(urls=engines, model=shape.model, told=peer.told)
        return
    port, metrics_port = _free_ports(2)
    key = f"sk-{secrets.token_hex(16)}"
    place = Place(engines=engines, shape=shape, port=port, metrics_port=metrics_port, key=key)
    command = peer.command(place)
    program = command.program if "/" in command.program else str(peer_program(command.program))
    headers = {"authorization": f"Bearer {key}"} if peer.wants_key else {}
    front = Fronted(urls=(place.url,), model=shape.model, headers=headers, told=peer.told)
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name:
        folder = _written(Path(name), command)
        arguments = (program, *command.arguments)
        async with running(peer.name, arguments, folder=folder, environment=command.environment) as process:
            ready = partial(_lacks, f"{place.url}{peer.ready_path}", peer, place)
            await process.await_ready(ready, deadline_s=_DEADLINE_S)
            try:
                await _answer_first(front, calls=2 * len(engines))
            except NotReady as error:
                raise NotReady(f"{peer.name} passes no calls on: {error} {process.end_of_log()}") from error
            yield front
            process.check()


def _written(folder: Path, command: Command) -> Path:
    for name, text in command.files.items():
        (folder / name).write_text(text)
    return folder


async def _lacks(url: str, peer: Peer | None = None, place: Place | None = None) -> str | None:
    """None if nothing is; else a sentence's end."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(_ASK_S)) as http,
            http.get(url) as reply,
        ):
            if peer is None or place is None:
                return None if reply.status == 200 else f"it answers with status {reply.status}"
            return peer.lacks(reply.status, await reply.text(), place)
    except (aiohttp.ClientError, TimeoutError, OSError):
        return "it does not answer"


async def _answer_first(front: Fronted, *, calls: int) -> None:
    """Have it answer its first calls, one after another, which are nobody's programs.

    :raises NotReady: if one is not answered by a whole stream.
    """
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(_FIRST_ANSWER_S)) as http:
        for number in range(calls):
            program = f"first-{secrets.token_hex(4)}-{number}"
            body = {"model": front.model, "prompt": program, "max_tokens": 4, "ignore_eos": True, "stream": True}
            try:
                async with http.post(
                    f"{front.urls[0]}/v1/completions",
                    json={**body, **front.told.fields_for(program)},
                    headers={**front.headers, **front.told.headers_for(program)},
                ) as reply:
                    text = await reply.text()
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise NotReady(f"A first call had no answer ({str(error) or type(error).__name__}).") from error
            if reply.status != 200 or "[DONE]" not in text:
                raise NotReady(f"A first call was answered with status {reply.status}: {text[-300:]!r}.")


def _free_ports(count: int) -> list[int]:
    """Different ports that nobody listens on just now."""
    with ExitStack() as held:
        listeners = [held.enter_context(socket.socket()) for _ in range(count)]
        for listener in listeners:
            listener.bind((HOST, 0))
        return [int(listener.getsockname()[1]) for listener in listeners]
