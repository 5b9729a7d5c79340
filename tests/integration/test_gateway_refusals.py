"""What the gateway refuses, in which words and shape, and that a refusal leaves nothing behind."""

import json
import time
from typing import Any

import httpx2
import jwt
import pytest

from autellix_core import wire
from autellix_core.program import ProgramId
from autellix_gateway.identity import ANONYMOUS, SessionTokens
from gateway_fixtures import Pool, pool, redis_for_gateways
from gateways import SECRET, gateway
from scripted_engine import MODEL, REFUSAL

__all__ = ["pool", "redis_for_gateways"]

MESSAGES = [{"role": "user", "content": "hi"}]


def refused(answer: httpx2.Response, status: int, code: str, *, kind: str = "invalid_request_error") -> str:
    """Assert OpenAI's shape; the sentence."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["code"], error["type"]) == (code, kind)
    assert answer.headers["x-request-id"]
    return str(error["message"])


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        pytest.param(b"", "invalid_json", "not valid JSON", id="empty"),
        pytest.param(b"{", "invalid_json", "not valid JSON", id="half"),
        pytest.param(b"\xff\xfe", "invalid_json", "not valid JSON", id="no-text"),
        pytest.param(b"[" * 100_000, "invalid_json", "not valid JSON", id="too-deep"),
        pytest.param(b"[]", "invalid_json", "JSON object", id="a-list"),
        pytest.param({"messages": MESSAGES}, "invalid_request", "model must be", id="no-model"),
        pytest.param({"model": 7, "messages": MESSAGES}, "invalid_request", "model must be", id="model-number"),
        pytest.param({"model": "", "messages": MESSAGES}, "invalid_request", "model must be", id="model-empty"),
        pytest.param({"model": MODEL, "stream": "yes"}, "invalid_request", "stream must be", id="stream-text"),
    ],
)
async def test_a_body_that_cannot_be_understood(pool: Pool, body: bytes | dict[str, Any], code: str, says: str) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert says in refused(await pool.gateway.http.post("/v1/chat/completions", content=content), 400, code)
    assert pool.seen == []
    assert await pool.clean()


async def test_an_unknown_model_is_told_what_there_is(pool: Pool) -> None:
    answer = await pool.gateway.chat({}, model="other")
    assert MODEL in refused(answer, 404, "model_not_found")
    assert answer.json()["error"]["param"] == "model"
    assert await pool.clean()
    refused(await pool.gateway.http.get("/v1/models/other"), 404, "model_not_found")


async def test_a_body_that_is_too_large_is_not_read_to_its_end(pool: Pool) -> None:
    async with gateway(pool.redis.url, *pool.urls, max_body_bytes=2048) as small:
        answer = await small.chat({}, user="x" * 3000)
        assert "2048" in refused(answer, 413, "body_too_large")
        assert (await small.chat({})).status_code == 200


@pytest.mark.parametrize(
    ("token", "code"),
    [
        pytest.param("gibberish", "invalid_session_token", id="gibberish"),
        pytest.param("a.b.c", "invalid_session_token", id="no-token"),
        pytest.param(
            SessionTokens(["another secret"], ttl_s=86_400).sign(ProgramId("p"), ANONYMOUS, now=time.time()),
            "invalid_session_token",
            id="forged",
        ),
        pytest.param(
            jwt.encode({"sid": "p", "ten": ANONYMOUS, "exp": 9e9}, "", algorithm="none"),
            "invalid_session_token",
            id="unsigned",
        ),
        pytest.param(
            SessionTokens([SECRET], ttl_s=86_400).sign(ProgramId("p"), "key-of-another", now=time.time()),
            "invalid_session_token",
            id="another-tenants",
        ),
        pytest.param(
            SessionTokens([SECRET], ttl_s=1).sign(ProgramId("p"), ANONYMOUS, now=time.time() - 60),
            "session_expired",
            id="expired",
        ),
    ],
)
async def test_a_session_token_that_is_not_good(pool: Pool, token: str, code: str) -> None:
    answer = await pool.gateway.chat({}, headers={wire.SESSION_HEADER: token})
    assert "session" in refused(answer, 401, code, kind="authentication_error")
    assert pool.seen == []
    assert await pool.clean()


async def test_a_rotated_secret_is_still_accepted() -> None:
    old = SessionTokens(["old"], ttl_s=60)
    both = SessionTokens(["new", "old"], ttl_s=60)
    token = old.sign(ProgramId("p"), "t", now=time.time())
    assert both.named(token, lambda: "t").program == "p"
    assert (
        SessionTokens(["new"], ttl_s=60).named(both.sign(ProgramId("q"), "t", now=time.time()), lambda: "t").program
        == "q"
    )


async def test_an_id_that_cannot_be_one(pool: Pool) -> None:
    answer = await pool.gateway.chat({}, headers={"x-session-id": "x" * 201})
    assert "200 printable" in refused(answer, 400, "invalid_request")


async def test_an_ended_session_takes_no_call_but_can_be_read(pool: Pool) -> None:
    session = await pool.gateway.session()
    headers = {wire.SESSION_HEADER: session["token"]}
    await pool.gateway.chat({}, headers=headers)
    for _ in range(2):
        ended = await pool.gateway.http.delete(f"/v1/sessions/{session['id']}")
        assert (ended.status_code, ended.json()["state"]) == (200, "ended")
    assert "POST /v1/sessions" in refused(await pool.gateway.chat({}, headers=headers), 410, "session_ended")
    shown = await pool.gateway.shown(session["id"])
    assert (shown["state"], shown["calls"], shown["service_seconds"]) == ("ended", 1, 0.5)
    assert await pool.clean()


async def test_sessions_that_there_are_not(pool: Pool) -> None:
    for method in ("GET", "DELETE"):
        refused(await pool.gateway.http.request(method, "/v1/sessions/ses_none"), 404, "session_not_found")
    refused(await pool.gateway.http.get("/v1/sessions/" + "x" * 600), 400, "invalid_request")


@pytest.mark.parametrize(
    ("body", "says"),
    [({"model": 7}, "model"), ({"modle": "m"}, "modle"), ({"model": "x" * 300}, "model"), ([], "body")],
)
async def test_a_session_of_wrong_types(pool: Pool, body: Any, says: str) -> None:
    message = refused(await pool.gateway.http.post("/v1/sessions", json=body), 400, "invalid_request")
    assert says in message.lower()


async def test_a_session_for_an_unknown_model(pool: Pool) -> None:
    refused(await pool.gateway.http.post("/v1/sessions", json={"model": "other"}), 404, "model_not_found")
    assert (await pool.gateway.session(json={"model": MODEL}))["model"] == MODEL
    assert (await pool.gateway.session())["model"] == MODEL, "there is only one"


async def test_over_the_limit_sessions_are_refused_but_calls_are_served(pool: Pool) -> None:
    async with gateway(pool.redis.url, *pool.urls, programs_per_tenant=1) as tight:
        await tight.session()
        answer = await tight.http.post("/v1/sessions")
        refused(answer, 429, "too_many_sessions", kind="rate_limit_error")
        assert int(answer.headers["retry-after"]) > 0
        assert (await tight.chat({}, headers={"x-session-id": "one-more"})).status_code == 200
        assert len((await tight.http.get("/v1/sessions")).json()["data"]) == 1


async def test_with_keys_configured_each_sees_its_own(pool: Pool) -> None:
    async with gateway(pool.redis.url, *pool.urls, api_keys=("one", "two")) as closed:
        one, two = ({"authorization": f"Bearer {key}"} for key in ("one", "two"))
        kind = "authentication_error"
        refused(await closed.chat({}), 401, "invalid_api_key", kind=kind)
        refused(await closed.chat({}, headers={"authorization": "Bearer three"}), 401, "invalid_api_key", kind=kind)
        refused(await closed.http.get("/v1/models"), 401, "invalid_api_key", kind=kind)
        session = await closed.session(headers=one)
        token = {wire.SESSION_HEADER: session["token"]}
        assert (await closed.chat({}, headers={**one, **token})).status_code == 200
        refused(await closed.chat({}, headers={**two, **token}), 401, "invalid_session_token", kind=kind)
        at = f"/v1/sessions/{session['id']}"
        assert (await closed.http.get(at, headers={"x-api-key": "one"})).status_code == 200
        refused(await closed.http.get(at, headers=two), 404, "session_not_found")
        refused(await closed.http.delete(at, headers=two), 404, "session_not_found")
        assert (await closed.http.get("/v1/sessions", headers=two)).json()["data"] == []


@pytest.mark.parametrize("stream", [False, True])
async def test_what_an_engine_refuses_comes_back_unchanged(pool: Pool, stream: bool) -> None:
    session = await pool.gateway.session()
    headers = {wire.SESSION_HEADER: session["token"]}
    answer = await pool.gateway.chat({"status": 422}, stream=stream, headers=headers)
    assert (answer.status_code, answer.json()) == (422, REFUSAL)
    shown = await pool.gateway.shown(session["id"])
    assert (shown["active_calls"], shown["service_seconds"], shown["last_completion_at"]) == (0, 0.0, None)
    assert await pool.clean()


async def test_where_nothing_is_there_is_a_sentence(pool: Pool) -> None:
    assert "/v1/nothing" in refused(await pool.gateway.http.get("/v1/nothing"), 404, "not_found")
    answer = await pool.gateway.http.get("/v1/chat/completions")
    refused(answer, 405, "invalid_request")
    assert answer.headers["allow"] == "POST"


async def test_metrics_count_without_naming_anybody(pool: Pool) -> None:
    session = await pool.gateway.session()
    await pool.gateway.chat({}, headers={wire.SESSION_HEADER: session["token"]})
    await pool.gateway.http.get("/v1/made/up/path")
    exposed = (await pool.gateway.http.get("/metrics")).text
    assert 'autellix_gateway_calls_total{outcome="completed"} 1.0' in exposed
    assert 'autellix_gateway_requests_total{route="/v1/chat/completions",status="200"} 1.0' in exposed
    assert "autellix_gateway_engines_ready 2.0" in exposed
    assert session["id"] not in exposed
    assert "made/up" not in exposed
