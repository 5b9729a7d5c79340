"""What the operator asks and tells, in the shapes of ``autellix_core.pools``: demand, and programs of all tenants."""

import hmac
import time

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from autellix_core.levels import Levels
from autellix_core.pools import POOLS_PATH, PROGRAMS_PATH, PoolsJSON, ProgramJSON, ProgramsJSON
from autellix_core.priority import Policy
from autellix_core.program import Program, ProgramId
from autellix_core.wire import session_json
from autellix_gateway.calls.accounts import Accounts
from autellix_gateway.demand.pools import Demand, Pools
from autellix_gateway.errors import (
    Conflict,
    Ended,
    NotEnabled,
    SessionNotFound,
    TooManySessions,
    Unauthorized,
)
from autellix_gateway.identity import SessionTokens
from autellix_gateway.metrics import Metrics
from autellix_gateway.table.protocol import ProcessTable, SessionEnded, TooManyPrograms

__all__ = ["operator_routes"]

_PRINTABLE = r"^[\x21-\x7e]+$"


class NewProgram(BaseModel):
    """The body of ``POST /autellix/programs``."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(max_length=256, pattern=_PRINTABLE, description="Chosen by the operator; may hold / and :.")
    tenant: str = Field(max_length=256, pattern=_PRINTABLE, description="Whose program it is.")
    model: str = Field(max_length=256, description="The model that its calls will name, or empty.")
    mirror: bool = Field(False, description="Whether Kubernetes shows it.")


def operator_routes(
    *,
    table: ProcessTable,
    pools: Pools,
    accounts: Accounts,
    tokens: SessionTokens,
    policy: Policy,
    levels: Levels,
    metrics: Metrics,
    key: str | None,
) -> APIRouter:
    """The operator's routes. ``key`` is what it shows as a Bearer token; None: they refuse everybody."""

    async def check_key(request: Request) -> None:
        if key is None:
            raise NotEnabled("The operator's API is not enabled here; give the gateway AUTELLIX_OPERATOR_KEY.")
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(shown.strip().encode(), key.encode()):
            raise Unauthorized("The operator's key is missing or wrong; send AUTELLIX_OPERATOR_KEY as a Bearer token.")

    routes = APIRouter(tags=["operator"], dependencies=[Depends(check_key)])

    def shown(program: Program, demand: Demand) -> ProgramJSON:
        return {
            **session_json(program, policy=policy, levels=levels),
            "pool": demand.pool_of(program),
            "mirror": program.mirror,
        }

    @routes.get(POOLS_PATH, response_model=None)
    async def demand() -> PoolsJSON:
        return (await pools.now()).to_json()

    @routes.get(PROGRAMS_PATH, response_model=None)
    async def several(
        active_since: float | None = Query(None, ge=0, allow_inf_nan=False), limit: int = Query(1000, ge=1, le=5000)
    ) -> ProgramsJSON:
        """Programs that changed since, the latest first; a call whose client named no program is none of them."""
        now = await pools.now()
        # Read before the rows: what changes while they are read comes again the next time, and is not missed.
        at = (await table.published()).at
        rows = await table.programs(active_since=active_since, limit=limit + 1)
        return {
            "at": at,
            "shared": now.shared and not pools.degraded,
            "programs": [shown(program, now) for program in rows[:limit] if not program.single_call],
            "more": len(rows) > limit,
        }

    @routes.post(PROGRAMS_PATH, response_model=None)
    async def start(wanted: NewProgram) -> ProgramJSON:
        program_id = ProgramId(wanted.id)
        try:
            program = await table.start_session(
                program_id, tenant=wanted.tenant, model=wanted.model, mirror=wanted.mirror
            )
        except SessionEnded as ended:
            raise Ended(f"The program {wanted.id} was ended; open another one.") from ended
        except TooManyPrograms as refused:
            raise TooManySessions(str(refused)) from refused
        if program.tenant != wanted.tenant:
            raise Conflict(f"The program {wanted.id} is one of tenant {program.tenant}, not {wanted.tenant}.")
        metrics.sessions.labels("registered").inc()
        token = tokens.sign(program.id, program.tenant, now=time.time(), alone=True)
        return {**shown(program, await pools.now()), "token": token}

    @routes.get(PROGRAMS_PATH + "/{program_id:path}", response_model=None)
    async def one(program_id: str) -> ProgramJSON:
        program = await table.program(ProgramId(program_id))
        if program is None:
            raise SessionNotFound(f"There is no program {program_id!r}; it never was, or was forgotten.")
        return shown(program, await pools.now())

    @routes.delete(PROGRAMS_PATH + "/{program_id:path}", response_model=None)
    async def end(program_id: str) -> ProgramJSON:
        """Its calls in this gateway are wound up at once, those in others when their leases are renewed."""
        program = await table.end_session(ProgramId(program_id))
        if program is None:
            raise SessionNotFound(f"There is no program {program_id!r}; it never was, or was forgotten.")
        accounts.end(program.id)
        metrics.sessions.labels("ended").inc()
        return shown(program, await pools.now())

    return routes
