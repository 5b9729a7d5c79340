"""The gateways' HTTP API as the operator reads it."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from autellix_core.pools import PROGRAMS_PATH
from autellix_operator.errors import GatewayAway, GatewayRefused
from autellix_operator.gateways import HttpGateway
from operator_gateway import ScriptedGateway, serving

ID = "k8s:default/s/0-1"


def _gateway(url: str, key: str = "k") -> HttpGateway:
    return HttpGateway(url, key=key, timeout_s=5.0)


async def test_every_verb() -> None:
    scripted = ScriptedGateway()
    async with serving(scripted, key="k") as url, _gateway(url) as gateway:
        assert await gateway.program(ID) is None
        opened = await gateway.open({"id": ID, "tenant": "k8s:default", "model": "tiny"})
        assert (opened["id"], opened["tenant"], opened["token"]) == (ID, "k8s:default", "token-0")
        found = await gateway.program(ID)
        assert found is not None
        assert found["id"] == ID
        listed = await gateway.programs(active_since=0.0, limit=10)
        assert [row["id"] for row in listed["programs"]] == [ID]
        pools = await gateway.pools()
        assert pools["pools"][0]["name"] == "tiny"
        await gateway.end(ID)
        await gateway.end("another")
        assert scripted.ended == [ID]


async def test_what_is_refused_says_why_in_the_gateways_words() -> None:
    scripted = ScriptedGateway()
    scripted.unserved.add("tiny")
    async with serving(scripted, key="k") as url, _gateway(url) as gateway:
        with pytest.raises(GatewayRefused, match="The model 'tiny' is not served here"):
            await gateway.open({"id": ID, "tenant": "k8s:default", "model": "tiny"})


async def test_a_gateway_that_cannot_serve_and_a_wrong_key_are_no_answers() -> None:
    scripted = ScriptedGateway()
    scripted.away = True
    async with serving(scripted, key="k") as url:
        async with _gateway(url) as gateway:
            with pytest.raises(GatewayAway, match="away"):
                await gateway.program(ID)
        async with _gateway(url, key="wrong") as gateway:
            with pytest.raises(GatewayAway, match="key"):
                await gateway.end(ID)


async def test_nobody_there() -> None:
    async with serving(ScriptedGateway(), key="k") as url:
        pass
    async with _gateway(url) as gateway:
        with pytest.raises(GatewayAway, match=f"did not answer GET {PROGRAMS_PATH}"):
            await gateway.programs(active_since=0.0, limit=1)


async def test_a_404_of_something_else_is_not_a_program_that_is_gone() -> None:
    async with TestServer(web.Application()) as server, _gateway(str(server.make_url("")).rstrip("/")) as gateway:
        with pytest.raises(GatewayRefused):
            await gateway.program(ID)
        with pytest.raises(GatewayRefused):
            await gateway.end(ID)
