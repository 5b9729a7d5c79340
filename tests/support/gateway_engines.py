"""Engines that are only said to be there: what a registry asks them, answered from a table, without a network."""

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any
from urllib.parse import urlsplit

from autellix_core.wire import STATE_PATH
from autellix_gateway.engines.transport import EngineAnswer, NotTaken

__all__ = ["SaidEngines"]


class SaidEngines:
    """A transport for :class:`Engines`. ``up`` names the base URLs that answer, ``asked`` is what was asked for."""

    def __init__(self, *up: str, model: str = "m", slots: object = 8) -> None:
        self.up = set(up)
        self.model = model
        self.slots = slots
        self.adapter = True
        self.asked: list[str] = []
        self.answers = asyncio.Event()
        """Cleared: nothing is answered yet."""
        self.answers.set()

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> AbstractAsyncContextManager[EngineAnswer]:
        """Nobody takes a call."""
        raise NotTaken(url)

    async def get_json(self, url: str, *, timeout_s: float) -> Any:
        """As an engine with the adapter answers."""
        self.asked.append(url)
        await asyncio.sleep(0)
        await self.answers.wait()
        parts = urlsplit(url)
        if f"{parts.scheme}://{parts.netloc}" not in self.up or (parts.path == STATE_PATH and not self.adapter):
            raise NotTaken(url)
        match parts.path:
            case "/v1/models":
                return {"data": [{"id": self.model}, "nonsense"]}
            case "/autellix/state":
                return {"slots": self.slots, "aborted": []}
            case _:
                return None
