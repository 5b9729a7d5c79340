"""Real peers, started as a comparison starts them, before two simulated engines: each passes streamed calls on, heeds
the program that a call names where it knows programs, and is gone afterwards."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

import client_process_trees as trees
from autellix_bench.comparison import OURS, Result, System, compare
from autellix_bench.comparison.loads import idle
from autellix_bench.peers import PEERS, EngineKind, EngineShape, Fronted, NotReady, Peer, fronted
from autellix_bench.peers.commands import Command, Place
from autellix_bench.programs import Call, Program, Segment
from autellix_bench.records import CallRecord, ProgramRecord, by_program
from bench_peers import SHAPE, installed_peers, simulated_engines

pytestmark = pytest.mark.timeout(180)

CALLS = 6


@pytest.fixture(scope="module")
def engines() -> Iterator[tuple[str, ...]]:
    with simulated_engines(2) as urls:
        yield urls


async def streamed(front: Fronted, program: str, prompt: str, *, url: str | None = None) -> str:
    """The text of a streamed call that names its program."""
    body = {"model": front.model, "prompt": prompt, "max_tokens": 5, "ignore_eos": True, "stream": True}
    async with (
        aiohttp.ClientSession() as http,
        http.post(
            f"{url or front.urls[0]}/v1/completions",
            json={**body, **front.told.fields_for(program)},
            headers={**front.headers, **front.told.headers_for(program)},
        ) as reply,
    ):
        text = await reply.text()
    assert reply.status == 200, text
    events = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    choices = [choice for event in events[:-1] for choice in json.loads(event)["choices"]]
    return "".join(choice.get("text") or "" for choice in choices)


async def got(url: str, path: str) -> Any:
    async with aiohttp.ClientSession() as http, http.get(f"{url}{path}") as reply:
        assert reply.status == 200
        return await reply.json()


def descendants() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


@pytest.mark.parametrize("name", [name for name, peer in PEERS.items() if peer.command is not None])
async def test_a_peer_passes_streamed_calls_on_and_is_gone_afterwards(
    name: str, engines: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    if name != "Autellix":
        monkeypatch.setenv("AUTELLIX_PEERS", str(installed_peers()))
    before = descendants()
    alone = Fronted(urls=engines, model=SHAPE.model)
    async with fronted(PEERS[name], engines, SHAPE) as front:
        (url,) = front.urls
        started = await idle(engines)
        for number in range(CALLS):
            prompt = f"Call {number} of one program, long enough to be counted by its tokens."
            assert await streamed(front, "one-program", prompt) == await streamed(alone, "", prompt, url=engines[0])
        ended = await idle(engines)
        if name == "vllm-router programs":
            said = await got(url, "/scheduling/diagnostics")
            programs = [program["root_program_id"] for rank in said["ranks"] for program in rank["programs"]]
            assert "one-program" in programs
        if name == "Autellix":
            sessions = (await got(url, "/v1/sessions"))["data"]
            assert CALLS in [session["calls"] for session in sessions]
    assert ended.prompt_tokens - started.prompt_tokens > 0
    assert descendants() == before
    with pytest.raises(aiohttp.ClientConnectorError):
        await got(url, PEERS[name].ready_path)


async def test_round_robin_really_turns(engines: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTELLIX_PEERS", str(installed_peers()))
    async with fronted(PEERS["vllm-router round robin"], engines, SHAPE) as front:
        before = [await idle([url]) for url in engines]
        for number in range(4):
            await streamed(front, "p", f"Prompt {number} of four that are equally long.")
        after = [await idle([url]) for url in engines]
    seen = [now.prompt_tokens - then.prompt_tokens for then, now in zip(before, after, strict=True)]
    assert seen[0] == seen[1] > 0


async def test_a_peer_that_ends_by_itself_says_how(engines: tuple[str, ...]) -> None:
    def ends(place: Place) -> Command:
        return Command("/bin/sh", ("-c", "echo no tokens today; exit 3"))

    peer = Peer(name="short-lived", resembles="", command=ends)
    with pytest.raises(NotReady, match=r"short-lived ended by itself \(status 3\)[\s\S]*no tokens today"):
        async with fronted(peer, engines, SHAPE):
            pytest.fail("It cannot be ready.")


def test_a_killed_comparison_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "scratch"
    folder.mkdir()
    killed = subprocess.run([sys.executable, "-c", KILLED, str(folder)], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    command = int((tmp_path / "id").read_text())
    assert trees.wait_until(lambda: trees.none_alive([command]))
    assert trees.wait_until(lambda: not folder.exists())


KILLED = """
import asyncio, os, pathlib, signal, sys
from autellix_bench.peers.processes import running

async def main():
    folder = pathlib.Path(sys.argv[1])
    written = folder.parent / "id"
    async with running("it", ["/bin/sh", "-c", f"echo $$ > {written}.part && mv {written}.part {written} && sleep 600"],
                       folder=folder):
        while not written.exists():
            await asyncio.sleep(0.05)
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


@dataclass(frozen=True)
class Driven:
    programs: list[ProgramRecord]
    params: Mapping[str, float | str] = field(default_factory=lambda: {"slip_share": 0.0, "valid": "yes"})


async def drives(
    programs: Iterable[Program], to: Fronted, *, salt: str, record: Callable[[CallRecord], None]
) -> Driven:
    """A driver that sends one call after another."""
    clock, calls = asyncio.get_running_loop().time, []
    begun = clock()
    for program in programs:
        for call in program.calls:
            due_s = clock() - begun
            text = await streamed(to, f"{salt}-{program.id}", f"{salt} {call.id}")
            calls.append(
                CallRecord(
                    program.id, "chat", call.id, 0.0, due_s, due_s, clock() - begun, len(text), call.prompt_tokens
                )
            )
            record(calls[-1])
    return Driven(by_program(calls))


async def test_a_comparison_has_a_point_a_run_and_goes_on_where_one_fails(engines: tuple[str, ...]) -> None:
    @asynccontextmanager
    async def opens(
        kinds: Mapping[EngineKind, int], shape: EngineShape
    ) -> AsyncIterator[Mapping[EngineKind, tuple[str, ...]]]:
        yield dict(zip(kinds, ((url,) for url in engines), strict=True))

    def programs(seed: int) -> list[Program]:
        return [Program(f"{seed}-{n}", "chat", 0.0, (Call("c", (Segment("s", 9),), 5),)) for n in range(3)]

    def missing(place: Place) -> Command:
        return Command("no-such-router", ())

    systems = (
        System("direct", PEERS["direct round robin"]),
        System("missing", Peer(name="missing", resembles="", command=missing)),
        OURS,
    )
    calls: list[str] = []
    results: list[Result] = [
        result
        async for result in compare(
            programs,
            drives,
            workload="chat",
            rate=0.0,
            systems=systems,
            repetitions=2,
            shape=SHAPE,
            opens=opens,
            record=lambda run, call: calls.append(run.system.name),
        )
    ]
    order = [(result.run.repetition, result.run.system.name) for result in results]
    assert order == [(0, "direct"), (0, "missing"), (0, OURS.name), (1, "direct"), (1, OURS.name), (1, "missing")]
    points = [result.point for result in results if result.point is not None]
    assert [(point.system, point.seed, point.programs) for point in points] == [
        ("direct", 0, 3),
        (OURS.name, 0, 3),
        ("direct", 1, 3),
        (OURS.name, 1, 3),
    ]
    assert all(point.params["cached_share"] == 0.0 for point in points)
    assert all("make peers" in (result.why or "") for result in results if result.run.system.name == "missing")
    assert sorted(calls) == sorted([OURS.name, "direct"] * 6)
