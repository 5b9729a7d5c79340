"""The engine environment's side of the matrix: ``python -m matrix_process``, one process for each version of vLLM.

Prints one line of JSON: vLLM's version, and for each lane what was seen, what is wrong, and how long it took.
"""

import json
import sys
import time
from collections import Counter
from typing import Any

from matrix_checks import findings
from matrix_engine import Call, Engine, Lane
from matrix_mutations import MUTATIONS, mutated
from matrix_walk import SETTINGS, walk

__all__ = ["main"]

LANES = [Lane(depth=depth, runner=runner) for depth in (1, 2) for runner in (1, 2)]
SEEDS = range(20)
_MOST_FINDINGS = 5


def main() -> None:
    """Walk all lanes of the vLLM that is on the path, or with ``mutations`` one walk of each lane for each of them."""
    import vllm

    lanes = [_walked(lane) for lane in LANES]
    wrong: dict[str, list[str]] = {}
    if "mutations" in sys.argv[1:]:
        for name in MUTATIONS:
            with mutated(name):
                wrong[name] = [each for lane in LANES for each in findings(walk(lane, seed=0))][:_MOST_FINDINGS]
    said = {"version": vllm.__version__, "vllm": vllm.__file__, "lanes": lanes, "mutations": wrong}
    sys.stdout.write(f"{json.dumps(said)}\n")


def _walked(lane: Lane) -> dict[str, Any]:
    began_s = time.perf_counter()
    seen: Counter[str] = Counter()
    found: list[str] = []
    for seed in SEEDS:
        walked = walk(lane, seed)
        seen += walked.seen
        seen["aborts"] += len(walked.aborted)
        seen["calls"] += len(walked.engine.calls)
        found += [f"seed {seed}: {each}" for each in findings(walked)]
    return {
        "depth": lane.depth,
        "runner": lane.runner,
        "seen": dict(seen),
        "findings": found[:_MOST_FINDINGS],
        "order": _order(lane),
        "base": type(walked.engine.scheduler).__mro__[2].__name__,
        "took_s": time.perf_counter() - began_s,
    }


def _order(lane: Lane) -> list[str]:
    """The order in which calls come into the batch: it is full of heavy programs' calls when others arrive."""
    engine = Engine(lane, SETTINGS)
    order: list[str] = []

    def go_on(steps: int) -> None:
        for _ in range(steps):
            engine.step()
            order.extend(sorted({request.request_id for request in engine.scheduler.running} - set(order)))
            engine.sleep(0.001)

    for number in range(lane.slots):
        engine.add(_short(f"heavy {number}", service_s=1.0))
    go_on(6)
    for name, service_s in (("medium", 0.3), ("light", 0.08), ("new", 0.0), ("equal", 1.0)):
        engine.add(_short(name, service_s=service_s))
    go_on(6)
    return order


def _short(name: str, *, service_s: float) -> Call:
    return Call(name=name, prompt=tuple(range(8)), most_tokens=20, service_s=service_s)


if __name__ == "__main__":
    main()
