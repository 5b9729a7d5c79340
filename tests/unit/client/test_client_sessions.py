"""A session lives exactly as long as its program, and its calls carry it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import openai
import pytest

import autellix
from client_gateway import Gateway, running_gateway

MESSAGES: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]
PROBLEM = {"error": {"message": "Too many sessions are open.", "code": "too_many_sessions"}}


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AUTELLIX_BASE_URL", "AUTELLIX_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with running_gateway() as running:
        yield running


def test_calls_of_the_client_carry_the_session_and_it_ends_on_exit(gateway: Gateway) -> None:
    with autellix.session(gateway.base_url, model="autellix-tiny") as s:
        answer = s.client.chat.completions.create(model="autellix-tiny", messages=MESSAGES)
        assert answer.choices[0].message.content == "noise"
        assert s.info()["state"] == "idle"
        assert s.info()["calls"] == 1
    assert gateway.sessions[s.id]["state"] == "ended"
    (start,) = gateway.asked("POST", "/v1/sessions")
    assert start.body == {"model": "autellix-tiny"}
    assert start.headers["authorization"] == "Bearer autellix"
    (call,) = gateway.asked("POST", "/v1/chat/completions")
    assert call.headers["x-autellix-session"] == f"token-of-{s.id}"
    assert call.headers["authorization"] == "Bearer autellix"
    assert s.headers == {"x-autellix-session": f"token-of-{s.id}"}


async def test_async_calls_carry_the_session_and_it_ends_on_exit(gateway: Gateway) -> None:
    async with autellix.session(gateway.base_url, "a-key") as s:
        await asyncio.gather(
            *(s.async_client.chat.completions.create(model="autellix-tiny", messages=MESSAGES) for _ in range(3))
        )
        assert (await s.info())["calls"] == 3
    assert gateway.sessions[s.id]["state"] == "ended"
    calls = gateway.asked("POST", "/v1/chat/completions")
    assert {call.headers["x-autellix-session"] for call in calls} == {f"token-of-{s.id}"}
    assert {call.headers["authorization"] for call in gateway.seen} == {"Bearer a-key"}


def test_a_failed_program_ends_its_session_and_keeps_its_error(gateway: Gateway) -> None:
    with pytest.raises(ZeroDivisionError), autellix.session(gateway.base_url) as s:
        _ = 1 / 0
    assert gateway.sessions[s.id]["state"] == "ended"


async def test_a_failed_async_program_ends_its_session_and_keeps_its_error(gateway: Gateway) -> None:
    with pytest.raises(ZeroDivisionError):
        async with autellix.session(gateway.base_url) as s:
            _ = 1 / 0
    assert gateway.sessions[s.id]["state"] == "ended"


async def test_a_cancelled_program_ends_its_session(gateway: Gateway) -> None:
    entered = asyncio.Event()

    async def program() -> None:
        async with autellix.session(gateway.base_url):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(program())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [session["state"] for session in gateway.sessions.values()] == ["ended"]


def test_a_failing_goodbye_never_masks_the_programs_error(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    gateway.refusals["DELETE /v1/sessions/s-1"] = (500, PROBLEM)
    with pytest.raises(ZeroDivisionError), autellix.session(gateway.base_url):
        _ = 1 / 0
    assert "Session s-1 was not ended" in caplog.text


def test_a_program_with_its_answers_does_not_fail_for_want_of_a_goodbye(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with running_gateway() as gone:
        scope = autellix.session(gone.base_url)
        s = scope.__enter__()
    with caplog.at_level(logging.WARNING):
        scope.__exit__(None, None, None)
    assert f"Session {s.id} was not ended (No gateway answers at" in caplog.text


def test_a_session_that_is_gone_already_is_as_good_as_ended(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    with autellix.session(gateway.base_url):
        gateway.sessions.clear()
    assert gateway.seen[-1].method == "DELETE"
    assert caplog.text == ""


def test_no_gateway_is_a_sentence() -> None:
    with running_gateway() as gone:
        pass
    with pytest.raises(autellix.GatewayUnreachable) as caught, autellix.session(gone.base_url):
        pass
    address = gone.base_url.removesuffix("/v1")
    assert str(caught.value) == (
        f"No gateway answers at {address}; start one with `autellix up`, or set AUTELLIX_BASE_URL to where it is."
    )


async def test_no_gateway_is_the_same_sentence_for_async_programs() -> None:
    with running_gateway() as gone:
        pass
    with pytest.raises(autellix.GatewayUnreachable, match="start one with `autellix up`"):
        async with autellix.session(gone.base_url):
            pass


def test_a_refusal_keeps_the_gateways_sentence_status_and_code(gateway: Gateway) -> None:
    gateway.refusals["POST /v1/sessions"] = (429, PROBLEM)
    with pytest.raises(autellix.GatewayRefused) as caught, autellix.session(gateway.base_url):
        pass
    assert (caught.value.status, caught.value.code) == (429, "too_many_sessions")
    assert str(caught.value).endswith("refused: Too many sessions are open.")


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param((200, "<html>welcome</html>"), id="html"),
        pytest.param((200, {"object": "list"}), id="no-session"),
        pytest.param((201, {"id": "s-1"}), id="no-token"),
        pytest.param((200, ["list"]), id="no-object"),
        pytest.param((404, {"detail": "Not Found"}), id="not-found"),
    ],
)
def test_a_server_of_another_kind_is_named_as_such(gateway: Gateway, answer: tuple[int, object]) -> None:
    gateway.refusals["POST /v1/sessions"] = answer
    with pytest.raises(autellix.GatewayRefused, match="is not an Autellix gateway"):
        autellix.session(gateway.base_url).__enter__()


@pytest.mark.parametrize("url", ["nonsense", "http://[::1/v1", "ftp://127.0.0.1/v1"])
def test_a_base_url_that_is_none_is_a_sentence(url: str) -> None:
    with pytest.raises(autellix.GatewayUnreachable, match="is not a URL; give one such as http"):
        autellix.session(url).__enter__()


def test_nothing_is_sent_before_a_session_is_entered(gateway: Gateway) -> None:
    autellix.session(gateway.base_url)
    assert gateway.seen == []


def test_the_key_of_a_session_is_not_in_its_text(gateway: Gateway) -> None:
    with autellix.session(gateway.base_url, "a-secret-key") as s:
        assert repr(s) == f"<Session {s.id} at {gateway.base_url}>"


def test_a_session_may_ask_to_be_mirrored(gateway: Gateway) -> None:
    with autellix.session(gateway.base_url, model="m", mirror=True), autellix.session(gateway.base_url):
        pass
    assert [seen.body for seen in gateway.asked("POST", "/v1/sessions")] == [{"model": "m", "mirror": True}, {}]
