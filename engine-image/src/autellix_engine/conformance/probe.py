"""What the suite must know of an engine before it can check it: its state says some, the rest is measured."""

import asyncio
import math
from dataclasses import dataclass
from typing import Any

import aiohttp

from autellix_core.errors import InvalidSetting
from autellix_core.levels import Levels
from autellix_core.wire import STATE_PATH
from autellix_engine.conformance.calls import Call, Caller, headers, new_id
from autellix_engine.conformance.verdicts import Failed, Unfit

__all__ = ["Engine", "probe"]

_LEARN_TOKENS = 48
_HOLD_S = 0.4
_PATIENCE_S = 30.0


@dataclass(frozen=True)
class Engine:
    """An engine as the suite sees it."""

    caller: Caller
    slots: int
    levels: Levels
    longest: int
    """Tokens of one call, prompt and answer."""
    token_s: float = 0.0
    """How long a token takes when the batch is full."""
    overhead_s: float = 0.0
    """What a call takes on its way to the engine and back."""

    @property
    def deep_s(self) -> float:
        """Service of a program whose calls enter the last level."""
        return self.levels.bounds_s[-1] * 2 if self.levels.bounds_s else 1.0

    @property
    def hold_s(self) -> float:
        """How long a full batch is kept full, unless a check needs longer: long beside a short call's whole way."""
        return max(_HOLD_S, 15 * self.overhead_s)

    def tokens(self, seconds: float) -> int:
        """About how many tokens a call gets in that time, the batch being full; at most what the model takes."""
        return max(2, min(round(seconds / self.token_s), self.longest - 256))

    def call(self, tokens: int, service_s: float = 0.0, *, prompt: str | None = None, **more: Any) -> Call:
        """A call to be streamed, with a prompt of its own."""
        return Call(headers(service_s, **more), prompt or f"Tell {new_id()} of it.", tokens)

    async def state(self) -> dict[str, Any]:
        """The engine's state."""
        state: dict[str, Any] = await self.caller.get(STATE_PATH)
        return state

    async def settled(self) -> None:
        """Wait until the engine serves nobody. Raises :class:`Failed` if it does not come to rest."""
        for _ in range(round(_PATIENCE_S / 0.02)):
            state = await self.state()
            if not state["running"] and not state["waiting"]:
                return
            await asyncio.sleep(0.02)
        raise Failed(
            f"Calls stay in the engine {_PATIENCE_S:.0f} s after the last one was answered or aborted: it still runs "
            f"{len(state['running'])} and queues {state['waiting']}. Nobody else may use it during the checks."
        )


async def probe(caller: Caller, model: str | None) -> Engine:
    """Read the engine's state and measure it. Raises :class:`Unfit` where that cannot be done."""
    try:
        models = (await caller.get("/v1/models"))["data"]
        state = await caller.get(STATE_PATH)
    except (aiohttp.ClientError, TimeoutError, ValueError, TypeError, KeyError) as error:
        raise Unfit(f"What answers there is no engine behind the contract: {error}.") from error
    known = next((each for each in models if model in (None, each.get("id"))), None)
    if known is None:
        raise Unfit(f"The engine does not serve {model!r}.")
    caller.model = known["id"]
    engine = Engine(caller, *_set(state), longest=known.get("max_model_len") or 4096)
    try:
        await engine.settled()
        return await _measured(engine)
    except Failed as error:
        raise Unfit(f"The engine cannot be measured: {error}") from error


def _set(state: Any) -> tuple[int, Levels]:
    try:
        slots = int(state["slots"])
        quanta = tuple(math.inf if quantum is None else float(quantum) for quantum in state["quanta_s"])
        levels = Levels(tuple(float(bound) for bound in state["bounds_s"]), quanta, state["beta"])
        for name in ("version", "policy", "levels", "running", "waiting", "resident_blocks", "kv_usage", "aborted"):
            state[name]
    except (KeyError, TypeError, ValueError, InvalidSetting) as error:
        raise Unfit(f"{STATE_PATH} does not say what the contract asks for: {error!r}.") from error
    if slots < 1:
        raise Unfit(f"{STATE_PATH} says that the batch holds {slots} calls.")
    return slots, levels


async def _measured(engine: Engine) -> Engine:
    """A warm-up, then a full batch; times are ours, not the engine's word."""
    caller = engine.caller
    await caller.stream(engine.call(4))
    lone = await caller.stream(engine.call(2))
    for _ in range(2):  # what an engine does for the first time may take longer
        calls = [engine.call(_LEARN_TOKENS) for _ in range(engine.slots)]
        async with asyncio.TaskGroup() as group:
            for call in calls:
                group.create_task(caller.stream(call))
    token_s = max(1e-5, sorted(call.token_s for call in calls)[len(calls) // 2])
    overhead_s = lone.observed_s
    return Engine(caller, engine.slots, engine.levels, engine.longest, token_s=token_s, overhead_s=overhead_s)
