"""What the real cluster sends to an API server, and what it makes of the answers."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import Configuration

from autellix_operator import apiserver
from autellix_operator.apiserver import ApiServer
from autellix_operator.cluster import LEASE, NAMESPACE, PROGRAM_SESSION, SECRET
from autellix_operator.errors import ClusterAway, ClusterError, Conflicted, NamespaceEnding, NotThere, Refused

SESSION = {
    "apiVersion": "autellix.dev/v1alpha1",
    "kind": "ProgramSession",
    "metadata": {"namespace": "n", "name": "s", "uid": "u"},
}
SESSIONS = "/apis/autellix.dev/v1alpha1/namespaces/n/programsessions"


class _Server:
    """Answers in the order given, the last one again and again, and remembers what it was asked."""

    def __init__(self, *answers: tuple[int, dict[str, Any]]) -> None:
        self.asked: list[tuple[str, str, dict[str, str], str, Any]] = []
        self.wrote: list[tuple[str, str]] = []
        self._answers = list(answers)

    async def answer(self, request: web.Request) -> web.Response:
        text = await request.text()
        body = json.loads(text) if text else None
        self.asked.append((request.method, request.path, dict(request.query), request.content_type, body))
        status, answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return web.json_response(answer, status=status)

    @asynccontextmanager
    async def reached(self, now: Callable[[], float] = lambda: 1_700_000_000.0) -> AsyncIterator[ApiServer]:
        app = web.Application()
        app.router.add_route("*", "/{any:.*}", self.answer)
        async with TestServer(app) as server:
            configuration = Configuration(host=str(server.make_url("")).rstrip("/"))
            wrote = lambda verb, kind: self.wrote.append((verb, kind))  # noqa: E731
            async with ApiServer(configuration, wrote=wrote, now=now) as cluster:
                yield cluster


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apiserver, "_PAUSES_S", (0.0, 0.0, 0.0))


async def test_apply_is_server_side_with_force_and_our_name() -> None:
    server = _Server((200, SESSION))
    async with server.reached() as cluster:
        await cluster.apply({**SESSION, "spec": {"model": "tiny"}})
        await cluster.apply_status({**SESSION, "status": {"calls": 1}})
    query = {"fieldManager": "autellix-operator", "force": "true"}
    kind = "application/apply-patch+yaml"
    assert server.asked == [
        ("PATCH", f"{SESSIONS}/s", query, kind, {**SESSION, "spec": {"model": "tiny"}}),
        ("PATCH", f"{SESSIONS}/s/status", query, kind, {**SESSION, "status": {"calls": 1}}),
    ]
    assert server.wrote == [("apply", "ProgramSession"), ("apply status", "ProgramSession")]


async def test_patch_is_a_merge_patch_and_delete_minds_the_uid() -> None:
    server = _Server((200, SESSION))
    async with server.reached() as cluster:
        await cluster.patch(PROGRAM_SESSION, "n", "s", {"metadata": {"finalizers": []}})
        await cluster.delete(PROGRAM_SESSION, "n", "s", uid="u")
    assert server.asked[0][3:] == ("application/merge-patch+json", {"metadata": {"finalizers": []}})
    assert server.asked[1][0] == "DELETE"
    assert server.asked[1][4] == {"propagationPolicy": "Background", "preconditions": {"uid": "u"}}


@pytest.mark.parametrize(
    ("kind", "namespace", "name", "path"),
    [
        (SECRET, "n", "s", "/api/v1/namespaces/n/secrets/s"),
        (PROGRAM_SESSION, "", "", "/apis/autellix.dev/v1alpha1/programsessions"),
        (NAMESPACE, "", "n", "/api/v1/namespaces/n"),
        (LEASE, "n", "l", "/apis/coordination.k8s.io/v1/namespaces/n/leases/l"),
    ],
)
def test_paths(kind: Any, namespace: str, name: str, path: str) -> None:
    assert kind.path(namespace, name) == path


async def test_what_is_gone_is_no_error_where_that_is_an_answer() -> None:
    server = _Server((404, {"message": "not found"}))
    async with server.reached() as cluster:
        assert await cluster.get(SECRET, "n", "s") is None
        assert await cluster.patch(SECRET, "n", "s", {}) is None
        await cluster.delete(SECRET, "n", "s")
        with pytest.raises(NotThere):
            await cluster.apply_status(SESSION)
    assert server.wrote == []


async def test_deleting_what_is_another_object_by_now_is_fine() -> None:
    server = _Server((409, {"message": "the UID in the precondition does not match"}))
    async with server.reached() as cluster:
        await cluster.delete(SECRET, "n", "s", uid="u")
        with pytest.raises(Conflicted):
            await cluster.patch(SECRET, "n", "s", {})
    assert server.wrote == []


@pytest.mark.parametrize("status", [401, 429, 500, 503])
async def test_what_may_pass_is_tried_again_a_few_times(status: int) -> None:
    server = _Server((status, {}), (status, {}), (200, SESSION))
    async with server.reached() as cluster:
        assert await cluster.get(PROGRAM_SESSION, "n", "s") == SESSION
    assert len(server.asked) == 3
    server = _Server((status, {"message": "later"}))
    async with server.reached() as cluster:
        with pytest.raises(ClusterAway, match=f"{status}: later"):
            await cluster.get(PROGRAM_SESSION, "n", "s")
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    ("status", "answer", "error"),
    [
        pytest.param(403, {"message": "no"}, Refused, id="rights"),
        pytest.param(422, {"message": "spec.model: Required"}, Refused, id="schema"),
        pytest.param(403, {"details": {"causes": [{"reason": "NamespaceTerminating"}]}}, NamespaceEnding, id="ending"),
        pytest.param(409, {"message": "changed"}, Conflicted, id="conflict"),
    ],
)
async def test_what_is_refused_is_not_tried_again(
    status: int, answer: dict[str, Any], error: type[ClusterError]
) -> None:
    server = _Server((status, answer))
    async with server.reached() as cluster:
        with pytest.raises(error, match=f"{status}"):
            await cluster.apply(SESSION)
    assert len(server.asked) == 1


async def test_a_list_is_read_in_pages_and_begun_anew_when_its_snapshot_is_gone() -> None:
    one = {"items": [{"metadata": {"name": "a"}}], "metadata": {"continue": "more"}}
    two = {"items": [{"metadata": {"name": "b"}}], "metadata": {}}
    server = _Server((200, one), (410, {"message": "expired"}), (200, one), (200, two))
    async with server.reached() as cluster:
        found = await cluster.list(SECRET, "n", labels={"a": "b"})
    assert [each["metadata"]["name"] for each in found] == ["a", "b"]
    assert found[0]["kind"] == "Secret"
    assert [query.get("continue") for _, _, query, _, _ in server.asked] == [None, "more", None, "more"]
    assert server.asked[0][2]["labelSelector"] == "a=b"


async def test_nobody_there() -> None:
    server = _Server((200, {}))
    async with server.reached() as cluster:
        pass
    async with ApiServer(Configuration(host="http://127.0.0.1:9")) as cluster:
        with pytest.raises(ClusterAway, match="did not answer"):
            await cluster.get(SECRET, "n", "s")


async def test_the_same_event_is_written_once_in_ten_minutes_by_this_operator_and_by_the_next() -> None:
    server, now = _Server((201, {})), [1_700_000_000.0]
    async with server.reached(now=lambda: now[0]) as cluster:
        for _ in range(3):
            await cluster.event(SESSION, reason="Starved", message="It waits.", warning=True)
        await cluster.event(SESSION, reason="Recovered", message="It does not.")
        now[0] += 601
        await cluster.event(SESSION, reason="Starved", message="It waits.", warning=True)
    method, path, _, _, body = server.asked[0]
    assert (method, path) == ("POST", "/apis/events.k8s.io/v1/namespaces/n/events")
    assert (body["reason"], body["type"], body["note"]) == ("Starved", "Warning", "It waits.")
    assert (body["regarding"]["name"], body["regarding"]["uid"]) == ("s", "u")
    names = [body["metadata"]["name"] for *_, body in server.asked]
    assert len(set(names)) == len(names) == 3
    again = _Server((409, {"message": "exists"}))
    async with again.reached() as cluster:
        await cluster.event(SESSION, reason="Starved", message="It waits.", warning=True)
    assert again.asked[0][4]["metadata"]["name"] == names[0]
    assert again.wrote == []


async def test_an_event_never_fails_its_caller() -> None:
    server = _Server((403, {"message": "no"}))
    async with server.reached() as cluster:
        await cluster.event(SESSION, reason="Ended", message="It was.")
    assert len(server.asked) == 1
