"""What a table says when it refuses, the same words in each."""

from autellix_core.program import ProgramId
from autellix_gateway.table.protocol import Limits, SessionEnded, TooManyPrograms

__all__ = ["session_ended", "too_many_programs"]


def session_ended(program: ProgramId) -> SessionEnded:
    """A call or a start came for a program that its client ended."""
    return SessionEnded(f"Program {program} was ended; start another session.")


def too_many_programs(tenant: str, limits: Limits) -> TooManyPrograms:
    """A tenant is at its limit."""
    return TooManyPrograms(
        f"Tenant {tenant} holds {limits.programs_per_tenant} open programs, as many as it may; "
        "end one, or wait until idle ones expire."
    )
