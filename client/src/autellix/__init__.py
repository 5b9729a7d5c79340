"""Autellix serves agentic programs, not single requests; this package is what an agent imports.

    import autellix

    with autellix.session() as s:
        s.client.chat.completions.create(model="autellix-tiny", messages=[...])

Every call that `s.client` (an OpenAI client) makes belongs to one program, which the gateway schedules as a whole.
The package also brings the `autellix` command.
"""

from autellix.errors import AutellixError, GatewayError, GatewayRefused, GatewayUnreachable
from autellix.sessions import AsyncSession, Session, SessionScope, session

__all__ = [
    "AsyncSession",
    "AutellixError",
    "GatewayError",
    "GatewayRefused",
    "GatewayUnreachable",
    "Session",
    "SessionScope",
    "session",
]
