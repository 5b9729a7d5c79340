"""A gateway's table before a primary that can be away, or go on from what it once was."""

import copy
from typing import cast

import pytest

from autellix_core.program import CallId, EngineId, Measured, Program, ProgramId
from autellix_gateway.table.fallback import FallbackTable, Reconciled
from autellix_gateway.table.memory import MemoryTable
from autellix_gateway.table.protocol import Arrival, Limits, ProcessTable, TableAway
from distant_table import DistantTable
from table_clock import TableClock

__all__ = ["COST", "E0", "LIMITS", "P", "Stage", "arrival", "twin"]

LIMITS = Limits(session_ttl_s=1000.0, remember_s=100.0, lease_s=10.0, programs_per_tenant=3)
P = ProgramId("p")
E0 = EngineId("e0")
COST = Measured(service_s=1.5, wait_s=0.25, prompt_tokens=100, output_tokens=20)


class Stage:
    """A gateway's table before a primary that can be away."""

    def __init__(self, *, journal_at_most: int = 100) -> None:
        self.clock = TableClock()
        self.shared = MemoryTable(LIMITS, self.clock)
        self.distant = DistantTable(self.shared)
        self.table = FallbackTable(
            cast(ProcessTable, self.distant), LIMITS, clock=self.clock, journal_at_most=journal_at_most
        )

    async def go_away(self) -> None:
        """The primary goes, and the gateway has noticed."""
        self.distant.leave()
        with pytest.raises(TableAway):
            await self.table.ping()

    async def come_back(self) -> Reconciled:
        """The primary is back, and the gateway has noticed."""
        self.distant.come_back()
        reconciled = await self.table.probe()
        assert reconciled is not None
        assert not self.table.degraded
        return reconciled

    def image(self) -> MemoryTable:
        """The primary as it is now, to go on from later."""
        return twin(self.shared)

    def go_on_from(self, image: MemoryTable) -> None:
        """The primary is what it once was."""
        self.shared = self.distant.table = image

    def row(self, program: ProgramId = P) -> Program:
        """As the primary has it."""
        row = self.shared.known(program)
        assert row is not None
        return row


def twin(table: MemoryTable) -> MemoryTable:
    """One that goes its own way from here, by the same clock. Rows do not change, so they are shared."""
    other = copy.copy(table)
    for name, value in vars(table).items():
        if not isinstance(value, TableClock):
            setattr(other, name, copy.copy(value))
    return other


def arrival(call: str, program: ProgramId = P, *, single_call: bool = False) -> Arrival:
    return Arrival(program, CallId(call), "ann", "model", single_call)
