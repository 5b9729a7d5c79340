"""Agent programs as a script for a pod: sessions with several calls each, sent again as any SDK would, and an account.

Runs with what the gateway's image has (Python and aiohttp). Writes one line a second on standard error, and one JSON
array when it is done. Stops early, after the calls under way, when the file ``--until`` appears.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import aiohttp

_RETRIED = {429, 502, 503, 504}


@dataclass
class Account:
    """One program's."""

    session: str = ""
    calls: int = 0
    """Answered whole."""
    service_s: float = 0.0
    """As the engines measured it, of whole answers."""
    wait_s: float = 0.0
    broken: int = 0
    """Answers that broke off, each sent again."""
    refused: dict[str, int] = field(default_factory=dict)
    """Refusals and connection failures before an answer, by kind, each sent again."""
    lost: list[str] = field(default_factory=list)
    """Calls given up."""
    engines: list[str] = field(default_factory=list)


async def program(http: aiohttp.ClientSession, given: argparse.Namespace, number: int, done: asyncio.Event) -> Account:
    account = Account()
    opened = await _session(http, given, account)
    if opened is None:
        return account
    account.session = opened["id"]
    headers = {"x-autellix-session": opened["token"]}
    history = f"program {number} of run {given.salt}. " + "context " * given.context_words
    for call in range(given.calls):
        if done.is_set():
            break
        streamed = given.streams and call % 2 == 1
        text = await _call(http, given, account, headers, history, streamed=streamed)
        if text is None:
            break
        history += text
        await asyncio.sleep(given.gap)
    return account


async def _session(http: aiohttp.ClientSession, given: argparse.Namespace, account: Account) -> dict[str, str] | None:
    for _ in range(given.attempts):
        try:
            async with http.post(f"{given.url}/v1/sessions", json={"model": given.model}) as answer:
                if answer.status == 201:
                    found: dict[str, str] = await answer.json()
                    return found
                _count(account, str(answer.status))
        except (aiohttp.ClientError, TimeoutError) as error:
            _count(account, type(error).__name__)
        await asyncio.sleep(given.pause)
    account.lost.append("session")
    return None


async def _call(
    http: aiohttp.ClientSession,
    given: argparse.Namespace,
    account: Account,
    headers: dict[str, str],
    prompt: str,
    *,
    streamed: bool,
) -> str | None:
    body = {
        "model": given.model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": given.tokens,
        "stream": streamed,
    }
    last = ""
    for _ in range(given.attempts):
        try:
            async with http.post(f"{given.url}/v1/chat/completions", json=body, headers=headers) as answer:
                if answer.status != 200:
                    last = f"{answer.status} {(await answer.text())[:200]}"
                    if answer.status not in _RETRIED:
                        break
                    _count(account, str(answer.status))
                else:
                    _seen(account, answer.headers)
                    text = await _stream(answer) if streamed else await _whole(answer, account)
                    if text is not None:
                        account.calls += 1
                        return text
                    account.broken += 1
                    last = "broke off"
        except (aiohttp.ClientPayloadError, ConnectionResetError) as error:
            account.broken += 1
            last = f"{type(error).__name__}: {error}"
        except (aiohttp.ClientError, TimeoutError) as error:
            _count(account, type(error).__name__)
            last = f"{type(error).__name__}: {error}"
        await asyncio.sleep(given.pause)
    account.lost.append(last)
    return None


async def _whole(answer: aiohttp.ClientResponse, account: Account) -> str:
    given = await answer.json()
    account.service_s += float(answer.headers.get("x-autellix-service-seconds", 0.0))
    account.wait_s += float(answer.headers.get("x-autellix-wait-seconds", 0.0))
    return str(given["choices"][0]["message"]["content"])


async def _stream(answer: aiohttp.ClientResponse) -> str | None:
    text, whole = "", False
    async for line in answer.content:
        if line.startswith(b"data: [DONE]"):
            whole = True
        elif line.startswith(b"data: {"):
            event = json.loads(line.removeprefix(b"data: "))
            if "error" in event:
                return None
            text += "".join(choice["delta"].get("content") or "" for choice in event.get("choices", ()))
    return text if whole else None


def _seen(account: Account, headers: object) -> None:
    engine = headers.get("x-autellix-engine")  # type: ignore[attr-defined] # aiohttp's multidict
    if engine and engine not in account.engines:
        account.engines.append(engine)


def _count(account: Account, kind: str) -> None:
    account.refused[kind] = account.refused.get(kind, 0) + 1


async def load(given: argparse.Namespace) -> list[Account]:
    done = asyncio.Event()
    accounts: list[Account] = []

    async def watch() -> None:
        while not done.is_set():
            if given.until and await asyncio.to_thread(Path(given.until).exists):
                done.set()
            sys.stderr.write(f"{len(accounts)} of {given.programs} programs done\n")
            await asyncio.sleep(1.0)

    watching = asyncio.create_task(watch())
    # A connection a call: one that is kept would stay with one gateway, and outlive it only as an error.
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=120.0)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
        places = asyncio.Semaphore(given.at_once)

        async def one(number: int) -> None:
            async with places:
                if not done.is_set():
                    accounts.append(await program(http, given, number, done))

        await asyncio.gather(*(one(number) for number in range(given.programs)))
    done.set()
    await watching
    return accounts


def main() -> None:
    parser = argparse.ArgumentParser()
    add = parser.add_argument
    add("--url", required=True)
    add("--model", required=True)
    add("--programs", type=int, default=20)
    add("--at-once", type=int, default=10)
    add("--calls", type=int, default=6)
    add("--tokens", type=int, default=40)
    add("--context-words", type=int, default=50)
    add("--gap", type=float, default=0.1)
    add("--attempts", type=int, default=60)
    add("--pause", type=float, default=0.5)
    add("--streams", action="store_true")
    add("--salt", default=str(time.time_ns()))
    add("--until", default="")
    accounts = asyncio.run(load(parser.parse_args()))
    sys.stdout.write(f"{json.dumps([asdict(account) for account in accounts])}\n")


if __name__ == "__main__":
    main()
