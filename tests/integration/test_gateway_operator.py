"""What the operator asks and tells: two gateways on one real Redis are one, whichever of them it reaches."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import anyio
import httpx2
import pytest
import redis

from autellix_core import wire
from autellix_core.pools import POOLS_PATH, PROGRAMS_PATH
from eventually import eventually
from gateway_fixtures import redis_for_gateways
from gateways import Gateway, gateway
from redis_server import RedisServer
from scripted_engine import MODEL, ScriptedEngine, served

__all__ = ["redis_for_gateways"]

KEY = "the operator's own"
HEADERS = {"authorization": f"Bearer {KEY}"}
LONG = [{"role": "user", "content": "x" * 4 * 3000}]
ID = "k8s:agents/nightly/7f0c:2"


@dataclass(frozen=True)
class Two:
    """Two gateways, their two engines by name, and their Redis."""

    gateways: tuple[Gateway, Gateway]
    engines: dict[str, ScriptedEngine]
    redis: RedisServer

    async def asked(self, path: str, *, of: int = 0, **query: Any) -> dict[str, Any]:
        """What one of the gateways answers the operator."""
        response = await self.gateways[of].http.get(path, params=query, headers=HEADERS)
        assert response.status_code == 200, response.text
        return dict(response.json())

    async def pool(self, of: int = 0) -> dict[str, Any]:
        """The one pool there is."""
        [pool] = (await self.asked(POOLS_PATH, of=of))["pools"]
        return dict(pool)

    async def start(self, *, of: int = 0, **wanted: Any) -> httpx2.Response:
        """Open a program."""
        body = {"id": ID, "tenant": "k8s:agents", "model": MODEL, **wanted}
        return await self.gateways[of].http.post(PROGRAMS_PATH, json=body, headers=HEADERS)


@pytest.fixture
async def two(redis_for_gateways: RedisServer) -> AsyncIterator[Two]:
    with redis.Redis.from_url(redis_for_gateways.url) as client:
        client.flushall()
    engines = [ScriptedEngine(), ScriptedEngine()]
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(served(engine.app)) for engine in engines]
        first, second = [
            await stack.enter_async_context(
                gateway(redis_for_gateways.url, *urls, operator_key=KEY, lease_s=1.0, api_keys=("client's",))
            )
            for _ in range(2)
        ]
        names = [url.removeprefix("http://") for url in urls]
        yield Two((first, second), dict(zip(names, engines, strict=True)), redis_for_gateways)


async def test_each_gateway_gives_the_same_answer_for_all_of_them(two: Two) -> None:
    opened = (await two.start()).json()
    headers = {wire.SESSION_HEADER: opened["token"]}
    await two.gateways[0].chat({"wait_s": 0.5}, headers=headers)
    await two.gateways[1].chat({"wait_s": 1.5}, headers=headers, messages=LONG)
    async with anyio.create_task_group() as tasks:
        for each in two.gateways:
            tasks.start_soon(_held, each, headers)

        async def told() -> bool:
            pools = [await two.pool(of) for of in (0, 1)]
            return pools[0] == pools[1] and pools[0]["active"] == 1 and _calls(pools[0]) == 2 and _waits(pools[0])

        await eventually(told, "both gateways tell of both their calls and all waits")
        pool = await two.pool()
        answers = [await two.asked(POOLS_PATH, of=of) for of in (0, 1)]
        for engine in two.engines.values():
            engine.release()

    assert (pool["name"], pool["model"], pool["held"], pool["returning"]) == ("", MODEL, 0, 0)
    assert [engine["id"] for engine in pool["engines"]] == sorted(two.engines)
    assert all(engine["ready"] and not engine["draining"] for engine in pool["engines"])
    assert sum(engine["programs"] for engine in pool["engines"]) == 1
    assert sum(engine["cached_tokens"] for engine in pool["engines"]) == 28
    assert [(answer["gateways"], answer["shared"]) for answer in answers] == [(2, True), (2, True)]

    async def came_back() -> bool:
        pools = [await two.pool(of) for of in (0, 1)]
        return all(pool["returning"] == 1 and _calls(pool) == 0 for pool in pools)

    await eventually(came_back, "the program is between two calls")


async def _held(of: Gateway, headers: dict[str, str]) -> None:
    """A call that stays in its engine until that lets go."""
    await of.chat({"hold": 0}, headers=headers)


def _calls(pool: dict[str, Any]) -> int:
    """Of both engines: where two gateways placed one each at once is left to chance."""
    return sum(engine["calls"] for engine in pool["engines"])


def _waits(pool: dict[str, Any]) -> bool:
    """Two calls ended, on one engine or on two."""
    return sorted(engine["wait_seconds"] for engine in pool["engines"]) in ([0.5, 1.5], [0.0, 1.0])


async def test_a_gateway_that_goes_is_no_longer_counted(two: Two) -> None:
    async with gateway(two.redis.url, "http://127.0.0.1:9", operator_key=KEY):

        async def three() -> bool:
            answer = await two.asked(POOLS_PATH)
            return (
                bool(answer["gateways"] == 3) and [e["ready"] for e in answer["pools"][0]["engines"]].count(False) == 1
            )

        await eventually(three, "the third gateway is counted, with its engine that nobody reaches")

    async def gone() -> bool:
        answer = await two.asked(POOLS_PATH)
        return bool(answer["gateways"] == 2) and len(answer["pools"][0]["engines"]) == 2

    await eventually(gone, "the third gateway is gone")


async def test_prometheus_gets_the_same_from_both(two: Two) -> None:
    async def shown(of: int) -> dict[str, str]:
        text = (await two.gateways[of].http.get("/metrics")).text
        return dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("autellix_pool_"))

    opened = (await two.start()).json()
    await two.gateways[0].chat({"wait_s": 0.5}, headers={wire.SESSION_HEADER: opened["token"]})

    async def both() -> bool:
        one, other = await shown(0), await shown(1)
        return one == other and one['autellix_pool_wait_seconds{pool=""}'] == "0.5"

    await eventually(both, "both gateways show the wait that one measured")
    one = await shown(1)
    assert one['autellix_pool_engines_ready{pool=""}'] == "2.0"
    assert one['autellix_pool_returning_programs{pool=""}'] == "1.0"
    assert len(one) == 7


async def test_a_program_opens_once_whoever_is_asked_and_however_often(two: Two) -> None:
    opened, again = await two.start(mirror=True), await two.start(of=1, model="other")

    assert (opened.status_code, again.status_code) == (200, 200)
    first, second = opened.json(), again.json()
    assert (first["id"], first["tenant"], first["model"], first["state"]) == (ID, "k8s:agents", MODEL, "idle")
    assert (first["mirror"], first["pool"]) == (True, "")
    assert {**second, "token": ""} == {**first, "token": ""}
    assert (await two.start(tenant="k8s:others")).status_code == 409


async def test_a_programs_token_is_all_that_its_calls_need(two: Two) -> None:
    opened = (await two.start()).json()

    for each in two.gateways:
        answer = await each.chat({"service_s": 0.5}, headers={wire.SESSION_HEADER: opened["token"]})
        assert answer.status_code == 200

    shown = await two.asked(f"{PROGRAMS_PATH}/{ID}", of=1)
    assert shown == await two.asked(f"{PROGRAMS_PATH}/{quote(ID, safe='')}")
    assert (shown["calls"], shown["service_seconds"], shown["tenant"]) == (2, 1.0, "k8s:agents")
    forged = opened["token"][:-4] + "AAAA"
    refused = await two.gateways[0].chat({}, headers={wire.SESSION_HEADER: forged})
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_session_token")


async def test_an_end_aborts_the_calls_in_every_gateway(two: Two) -> None:
    opened = (await two.start()).json()
    headers = {wire.SESSION_HEADER: opened["token"]}
    calls = [asyncio.create_task(each.chat({"hold": 0}, headers=headers)) for each in two.gateways]
    await eventually(lambda: _are(sum(engine.inside for engine in two.engines.values()) == 2), "both are inside")

    ended = await two.gateways[0].http.delete(f"{PROGRAMS_PATH}/{ID}", headers=HEADERS)

    assert (ended.status_code, ended.json()["id"]) == (200, ID)
    assert [answer.status_code for answer in await asyncio.gather(*calls)] == [410, 410]
    await eventually(lambda: _state_is(two, "ended"), "its calls are settled")
    again = await two.gateways[1].http.delete(f"{PROGRAMS_PATH}/{ID}", headers=HEADERS)
    assert (again.status_code, again.json()["state"]) == (200, "ended")
    assert (await two.start(of=1)).status_code == 410
    assert (await two.gateways[0].chat({}, headers=headers)).status_code == 410


async def _state_is(two: Two, state: str) -> bool:
    return bool((await two.asked(f"{PROGRAMS_PATH}/{ID}", of=1))["state"] == state)


async def _are(holds: bool) -> bool:
    return holds


async def test_only_what_changed_is_listed_over_all_tenants(two: Two) -> None:
    client = {"authorization": "Bearer client's"}
    await two.gateways[0].session(headers=client)
    mirrored = await two.gateways[0].session(json={"mirror": True}, headers=client)
    await two.start()

    everything = await two.asked(PROGRAMS_PATH)
    assert [(row["id"] == ID, row["mirror"]) for row in everything["programs"]] == [
        (True, False),
        (False, True),
        (False, False),
    ]
    assert (everything["more"], everything["shared"]) == (False, True)
    assert len({row["tenant"] for row in everything["programs"]}) == 2

    assert (await two.asked(PROGRAMS_PATH, of=1, active_since=everything["at"]))["programs"] == []
    await two.gateways[0].http.delete(f"/v1/sessions/{mirrored['id']}", headers=client)
    await two.gateways[0].chat({}, headers=client)  # of no program
    changed = await two.asked(PROGRAMS_PATH, of=1, active_since=everything["at"])
    assert [(row["id"], row["state"]) for row in changed["programs"]] == [(mirrored["id"], "ended")]
    assert changed["at"] > everything["at"]

    page = await two.asked(PROGRAMS_PATH, limit=2)
    assert ([row["id"] for row in page["programs"]], page["more"]) == ([mirrored["id"], ID], True)


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"id": ""}, "id"),
        ({"id": "has space"}, "id"),
        ({"id": "x" * 257}, "id"),
        ({"tenant": ""}, "tenant"),
        ({"mirror": "perhaps"}, "mirror"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_what_is_no_program_is_refused(two: Two, wanted: dict[str, Any], says: str) -> None:
    refused = await two.start(**wanted)
    assert refused.status_code == 400
    assert refused.json()["error"]["message"].startswith(f"{says}: ")


async def test_an_unknown_program_is_said_to_be_unknown(two: Two) -> None:
    for ask in (two.gateways[0].http.get, two.gateways[0].http.delete):
        refused = await ask(f"{PROGRAMS_PATH}/a/b:c", headers=HEADERS)
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "session_not_found")


ROUTES = [
    ("GET", POOLS_PATH),
    ("GET", PROGRAMS_PATH),
    ("POST", PROGRAMS_PATH),
    ("GET", f"{PROGRAMS_PATH}/{ID}"),
    ("DELETE", f"{PROGRAMS_PATH}/{ID}"),
]


@pytest.mark.parametrize("shown", [None, "Bearer wrong", "Bearer client's", f"Basic {KEY}", "Bearer", "Bearer ü"])
async def test_another_key_opens_nothing(two: Two, shown: str | None) -> None:
    for method, path in ROUTES:
        headers = [] if shown is None else [(b"authorization", shown.encode())]
        refused = await two.gateways[0].http.request(method, path, headers=headers)
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
        assert "AUTELLIX_OPERATOR_KEY" in refused.json()["error"]["message"]


async def test_without_a_key_the_operators_routes_are_not_enabled(two: Two) -> None:
    async with gateway(two.redis.url, *(f"http://{name}" for name in two.engines)) as keyless:
        for method, path in ROUTES:
            refused = await keyless.http.request(method, path, headers=HEADERS)
            assert (refused.status_code, refused.json()["error"]["code"]) == (501, "not_enabled")


async def test_while_redis_is_away_a_gateway_says_that_it_speaks_for_itself(two: Two) -> None:
    two.redis.stop()
    try:

        async def alone() -> bool:
            answers = [await two.asked(POOLS_PATH, of=of) for of in (0, 1)]
            return [(answer["shared"], answer["gateways"]) for answer in answers] == [(False, 1), (False, 1)]

        await eventually(alone, "both have noticed")
        assert not (await two.asked(PROGRAMS_PATH))["shared"]
        assert "autellix_pool_calls{" not in (await two.gateways[0].http.get("/metrics")).text
    finally:
        two.redis.start()

    async def together() -> bool:
        answer = await two.asked(POOLS_PATH)
        return bool(answer["shared"] and answer["gateways"] == 2)

    await eventually(together, "both are back")
