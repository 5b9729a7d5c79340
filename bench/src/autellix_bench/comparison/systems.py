"""What is compared: a system in front, and which engines behind it."""

from __future__ import annotations

from dataclasses import dataclass

from autellix_bench.peers import PEERS, EngineKind, Peer

__all__ = ["OURS", "SYSTEMS", "System"]


@dataclass(frozen=True, slots=True)
class System:
    """One of the compared."""

    name: str
    """Of lower-case words with hyphens, as it is chosen on a command line and stands in points."""
    peer: Peer
    engines: EngineKind = EngineKind.STOCK


_AUTELLIX = PEERS["Autellix"]

OURS = System("autellix", _AUTELLIX, EngineKind.ADAPTER)
"""What all others are set against."""

SYSTEMS: tuple[System, ...] = (
    *(System(name.lower().replace(" ", "-"), peer) for name, peer in PEERS.items() if peer is not _AUTELLIX),
    System("autellix-stock-engines", _AUTELLIX),
    OURS,
)
