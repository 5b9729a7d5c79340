"""A gateway for the operator: programs in memory, told what to answer; called directly, or over HTTP by ``serving``."""

import copy
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from autellix_core.pools import POOLS_PATH, PROGRAMS_PATH, NewProgramJSON, PoolsJSON, ProgramJSON, ProgramsJSON
from autellix_core.wire import timestamp
from autellix_operator.errors import ClusterError, GatewayAway, GatewayRefused
from operator_cluster import Calls

__all__ = ["ScriptedGateway", "serving"]


class ScriptedGateway:
    """:class:`~autellix_operator.gateways.Gateway` in memory. ``away`` and ``shared`` say how it is."""

    def __init__(self, *, now: Callable[[], float] = lambda: 1_700_000_000.0) -> None:
        self.calls = Calls()
        self.rows: dict[str, ProgramJSON] = {}
        self.ended: list[str] = []
        self.tokens: list[str] = []
        self.engines = ["e-0", "e-1"]
        self.away = False
        self.shared = True
        self.unserved: set[str] = set()
        """Models that it refuses."""
        self._changed: dict[str, float] = {}
        self._now = now

    def put(self, program: str, **facts: Any) -> ProgramJSON:
        """Something happened to a program, or there is a new one."""
        now = self._now()
        new: ProgramJSON = {
            "id": program,
            "model": "tiny",
            "tenant": "anonymous",
            "state": "idle",
            "calls": 0,
            "active_calls": 0,
            "service_seconds": 0.0,
            "wait_seconds": 0.0,
            "critical_path_seconds": 0.0,
            "level": 0,
            "engines": [],
            "prompt_tokens": 0,
            "output_tokens": 0,
            "created_at": timestamp(now),
            "last_arrival_at": None,
            "last_completion_at": None,
            "pool": "",
            "mirror": False,
        }
        self.rows[program] = {**self.rows.get(program, new), **facts}  # type: ignore[typeddict-item]
        self._changed[program] = now
        return self.rows[program]

    async def pools(self) -> PoolsJSON:
        """See Gateway."""
        self._begin("pools")
        engines = [
            {
                "id": each,
                "ready": True,
                "draining": False,
                "calls": 0,
                "slots": 8,
                "wait_seconds": 0.0,
                "programs": 0,
                "cached_tokens": 0,
            }
            for each in self.engines
        ]
        pool = {
            "name": "tiny",
            "model": "tiny",
            "held": 0,
            "longest_held_seconds": 0.0,
            "active": 0,
            "returning": 0,
            "engines": engines,
        }
        self.calls.end()
        return {"at": self._now(), "gateways": 1, "shared": self.shared, "pools": [pool]}  # type: ignore[list-item]

    async def programs(self, *, active_since: float, limit: int) -> ProgramsJSON:
        """See Gateway."""
        self._begin("programs")
        latest = sorted(self.rows, key=lambda each: (-self._changed[each], each))
        found = [each for each in latest if self._changed[each] >= active_since]
        rows = [copy.deepcopy(self.rows[each]) for each in found[:limit]]
        self.calls.end()
        return {"at": self._now(), "shared": self.shared, "programs": rows, "more": len(found) > limit}

    async def open(self, wanted: NewProgramJSON) -> ProgramJSON:
        """See Gateway."""
        self._begin(f"open {wanted['id']}")
        if wanted["model"] in self.unserved:
            raise GatewayRefused(f"The model {wanted['model']!r} is not served here.")
        if wanted["id"] in self.rows and self.rows[wanted["id"]]["state"] == "ended":
            raise GatewayRefused(f"The program {wanted['id']} was ended; open another one.")
        if wanted["id"] not in self.rows:
            self.put(wanted["id"], tenant=wanted["tenant"], model=wanted["model"])
        self.tokens.append(f"token-{len(self.tokens)}")
        self.calls.end()
        return {**copy.deepcopy(self.rows[wanted["id"]]), "token": self.tokens[-1]}

    async def program(self, program: str) -> ProgramJSON | None:
        """See Gateway."""
        self._begin(f"program {program}")
        found = copy.deepcopy(self.rows.get(program))
        self.calls.end()
        return found

    async def end(self, program: str) -> None:
        """See Gateway."""
        self._begin(f"end {program}")
        if program in self.rows and self.rows[program]["state"] != "ended":
            self.put(program, state="ended", active_calls=0)
            self.ended.append(program)
        self.calls.end()

    def _begin(self, what: str) -> None:
        try:
            self.calls.begin(f"gateway {what}")
        except ClusterError as error:
            raise GatewayAway(str(error)) from error
        if self.away:
            raise GatewayAway("The gateway is away.")


@asynccontextmanager
async def serving(gateway: ScriptedGateway, *, key: str) -> AsyncIterator[str]:
    """Its base URL, on a port of this machine. Requests without the key are refused."""

    @web.middleware
    async def answer(request: web.Request, handler: Any) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {key}":
            return _error(401, "invalid_api_key", "The operator's key is wrong.")
        try:
            done: web.StreamResponse = await handler(request)
        except GatewayAway as error:
            return _error(503, "no_engine", str(error))
        except GatewayRefused as error:
            return _error(404, "model_not_found", str(error))
        return done

    async def pools(_: web.Request) -> web.Response:
        return web.json_response(await gateway.pools())

    async def programs(request: web.Request) -> web.Response:
        since, limit = float(request.query["active_since"]), int(request.query["limit"])
        return web.json_response(await gateway.programs(active_since=since, limit=limit))

    async def opened(request: web.Request) -> web.Response:
        return web.json_response(await gateway.open(await request.json()), status=201)

    async def one(request: web.Request) -> web.Response:
        found = await gateway.program(request.match_info["id"])
        return (
            web.json_response(found)
            if found is not None
            else _error(404, "session_not_found", "There is no such program.")
        )

    async def ended(request: web.Request) -> web.Response:
        program = request.match_info["id"]
        await gateway.end(program)
        if program not in gateway.rows:
            return _error(404, "session_not_found", "There is no such program.")
        return web.json_response(gateway.rows[program])

    app = web.Application(middlewares=[answer])
    app.router.add_get(POOLS_PATH, pools)
    app.router.add_get(PROGRAMS_PATH, programs)
    app.router.add_post(PROGRAMS_PATH, opened)
    app.router.add_get(PROGRAMS_PATH + "/{id:.+}", one)
    app.router.add_delete(PROGRAMS_PATH + "/{id:.+}", ended)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message}}, status=status)
