"""The systems that are compared on one machine: routers of others, our gateway, and the engines behind them.

Each is a program that is started as its users start it, on 127.0.0.1, and ended with all that it started. Nothing of
another's code is here: only its command line, how it says that it is ready, and how it is told of programs. ::

    serving        an engine or a system as a running process, ready and warm, for as long as a block lasts
    descriptions   the systems by name: what each is, and how it is told a call's program
    commands       their command lines, from the engines' URLs
    engines        vLLM's: stock, and with the adapter
    readiness      what their health endpoints say is missing
    environments   which Python, and which programs, are installed where
    processes      a command behind a guard, with its log
"""

from autellix_bench.peers.commands import Command, Place
from autellix_bench.peers.descriptions import PEERS, Peer, Told
from autellix_bench.peers.engines import EngineKind, EngineShape
from autellix_bench.peers.environments import PartMissing
from autellix_bench.peers.processes import NotReady
from autellix_bench.peers.serving import Fronted, engines_serving, fronted

__all__ = [
    "PEERS",
    "Command",
    "EngineKind",
    "EngineShape",
    "Fronted",
    "NotReady",
    "PartMissing",
    "Peer",
    "Place",
    "Told",
    "engines_serving",
    "fronted",
]
