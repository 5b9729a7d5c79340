"""``engine-sim``: an engine without a GPU and without a model."""

import argparse
import math
from itertools import pairwise

from autellix_bench.commands.failures import Misused
from autellix_bench.engine import Costs, EngineSettings
from autellix_bench.server import FailureKind, Knobs
from autellix_bench.server import run as serve
from autellix_bench.server.knobs import MODEL
from autellix_core.errors import InvalidSetting
from autellix_core.levels import Levels
from autellix_core.priority import Policy

__all__ = ["arguments", "knobs", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """The engine's address, speed, size and rules."""
    usual, engine = Knobs(), EngineSettings()
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=int, default=8000, help="port to listen on (default: %(default)s)")
    add("--model", default=MODEL, help="its name in the API (default: %(default)s)")
    add("--max-model-len", type=int, default=usual.longest_tokens, metavar="TOKENS", help="(default: %(default)s)")
    add("--time-to-first-token", type=_s, default=0.0, metavar="S", help="of a short prompt (default: one iteration)")
    add("--inter-token-time", type=_s, default=0.01, metavar="S", help="an iteration of decoding (default: 0.01)")
    add("--prefill-token-time", type=_s, default=0.0, metavar="S", help="each further prompt token (default: 0)")
    add("--decode-call-time", type=_s, default=0.0, metavar="S", help="each call in the batch (default: 0)")
    add("--context-token-time", type=_s, default=0.0, metavar="S", help="each token attended to (default: 0)")
    add("--max-num-seqs", type=int, default=engine.slots, metavar="CALLS", help="in the batch (default: %(default)s)")
    add("--max-num-batched-tokens", type=int, default=engine.step_tokens, metavar="TOKENS", help="an iteration")
    add("--kv-blocks", type=int, default=engine.blocks, metavar="BLOCKS", help="(default: %(default)s)")
    add("--block-size", type=int, default=engine.block_tokens, metavar="TOKENS", help="(default: %(default)s)")
    policies = [policy.value for policy in Policy]
    add("--policy", choices=policies, default=engine.policy.value, help="for calls that name none")
    add("--level-bounds", type=_times, metavar="S,S,...", help="upper ends of all levels but the last")
    add("--level-quanta", type=_times, metavar="S,S,...", help="each level's quantum (default: the level's width)")
    add("--beta", type=float, help="promote a call when its waiting is beta times its service (default: never)")
    add("--decide-every", type=int, default=engine.decide_every_steps, metavar="N", help="in steps")
    add("--most-preemptions", type=int, default=engine.most_preemptions, metavar="N", help="a decision")
    add("--failure-rate", type=float, default=0.0, metavar="SHARE", help="of calls that are made to fail (default: 0)")
    kinds = [kind.value for kind in FailureKind]
    add("--failure-kind", choices=kinds, default=usual.failure_kind.value, help="(default: %(default)s)")
    add("--seed", type=int, default=0, help="of texts and failures (default: 0)")


def run(given: argparse.Namespace) -> None:
    """Serve until it is told to stop."""
    try:
        engine = knobs(given)
    except InvalidSetting as error:
        raise Misused(str(error)) from error
    serve(engine, host=given.host, port=given.port)


def knobs(given: argparse.Namespace) -> Knobs:
    """What these options set.

    :raises InvalidSetting: if they cannot work.
    """
    costs = Costs(
        step_s=given.inter_token_time,
        prefill_s=max(0.0, given.time_to_first_token - given.inter_token_time),
        prefill_token_s=given.prefill_token_time,
        decode_s=given.decode_call_time,
        context_token_s=given.context_token_time,
    )
    engine = EngineSettings(
        slots=given.max_num_seqs,
        blocks=given.kv_blocks,
        block_tokens=given.block_size,
        step_tokens=given.max_num_batched_tokens,
        policy=Policy(given.policy),
        levels=_levels(given.level_bounds, given.level_quanta, given.beta),
        decide_every_steps=given.decide_every,
        most_preemptions=given.most_preemptions,
        costs=costs,
    )
    return Knobs(
        engine=engine,
        model=given.model,
        longest_tokens=given.max_model_len,
        failure_rate=given.failure_rate,
        failure_kind=FailureKind(given.failure_kind),
        seed=given.seed,
    )


def _levels(bounds: tuple[float, ...] | None, quanta: tuple[float, ...] | None, beta: float | None) -> Levels:
    if bounds is None and quanta is None:
        return Levels.geometric(beta=beta)
    bounds = Levels.geometric().bounds_s if bounds is None else bounds
    widths = tuple(high - low for low, high in pairwise((0.0, *bounds, math.inf)))
    return Levels(bounds_s=bounds, quanta_s=quanta or widths, beta=beta)


def _s(text: str) -> float:
    return float(text)


def _times(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(",") if part.strip())
