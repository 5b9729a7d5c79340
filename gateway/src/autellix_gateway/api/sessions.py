"""The sessions API: a program opened, looked at and ended by its client.

A client sees its own key's sessions. Where no API keys are configured, everybody who reaches the gateway may look at
all of them; ending one takes the key that opened it.
"""

import time
from typing import Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from autellix_core.levels import Levels
from autellix_core.priority import Policy
from autellix_core.program import Program, ProgramId
from autellix_core.wire import ErrorCode, SessionJSON, session_json
from autellix_gateway.calls.accounts import Accounts
from autellix_gateway.engines.registry import Engines
from autellix_gateway.errors import BadRequest, ModelNotFound, SessionNotFound, TooManySessions
from autellix_gateway.identity import Identities, SessionTokens, new_session_id
from autellix_gateway.metrics import Metrics
from autellix_gateway.table.protocol import ProcessTable, TooManyPrograms

__all__ = ["session_routes"]


class NewSession(BaseModel):
    """The body of ``POST /v1/sessions``."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field("", max_length=256, description="The model that the program's calls will name, if known.")
    mirror: bool = Field(False, description="Whether Kubernetes is to show the program from the start.")


def session_routes(
    *,
    table: ProcessTable,
    engines: Engines,
    accounts: Accounts,
    identities: Identities,
    tokens: SessionTokens,
    policy: Policy,
    levels: Levels,
    metrics: Metrics,
) -> APIRouter:
    """The routes of the sessions API."""
    routes = APIRouter(prefix="/v1/sessions", tags=["sessions"])

    def shown(program: Program) -> SessionJSON:
        return session_json(program, policy=policy, levels=levels)

    @routes.post("", status_code=201, response_model=None)
    async def start(request: Request, wanted: NewSession | None = None) -> SessionJSON:
        tenant = identities.tenant(request.headers)
        try:
            program = await table.start_session(
                new_session_id(), tenant=tenant, model=_model(wanted), mirror=wanted is not None and wanted.mirror
            )
        except TooManyPrograms as refused:
            raise TooManySessions(
                "This API key holds as many open sessions as it may; end some, or wait until idle ones expire."
            ) from refused
        metrics.sessions.labels("started").inc()
        return {**shown(program), "token": tokens.sign(program.id, tenant, now=time.time())}

    @routes.get("")
    async def several(request: Request, limit: int = Query(100, ge=1, le=1000)) -> dict[str, Any]:
        tenant = identities.tenant(request.headers)
        rows = await table.programs(tenant=None if identities.open else tenant, limit=limit)
        return {"object": "list", "data": [shown(program) for program in rows]}

    @routes.get("/{session:path}", response_model=None)
    async def one(request: Request, session: str) -> SessionJSON:
        tenant = identities.tenant(request.headers)
        return shown(await _found(session, tenant if not identities.open else None))

    @routes.delete("/{session:path}", response_model=None)
    async def end(request: Request, session: str) -> SessionJSON:
        program = await _found(session, identities.tenant(request.headers))
        ended = await table.end_session(program.id)
        accounts.end(program.id)
        metrics.sessions.labels("ended").inc()
        return shown(ended or program)

    def _model(wanted: NewSession | None) -> str:
        served = [str(entry["id"]) for entry in engines.models()]
        if wanted is None or not wanted.model:
            return served[0] if len(served) == 1 else ""
        if served and wanted.model not in served:
            raise ModelNotFound(f"The model {wanted.model!r} is not served here; see /v1/models.", param="model")
        return wanted.model

    async def _found(session: str, tenant: str | None) -> Program:
        if len(session) > 512:
            raise BadRequest("A session id is shorter than that.", param="session", code=ErrorCode.INVALID_REQUEST)
        program = await table.program(ProgramId(session))
        if program is None or tenant not in (None, program.tenant):
            raise SessionNotFound(f"There is no session {session!r} of this API key; GET /v1/sessions lists them.")
        return program

    return routes
