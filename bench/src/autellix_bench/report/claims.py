"""The paper's claims as data, each with how ours is computed from points.

Luo et al., "Autellix: An Efficient Serving Engine for LLM Agents as General Programs", arXiv 2502.13965v1 (2025),
section 6 unless it says otherwise. "Up to" is over the paper's models and arrival rates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autellix_bench.points import Point
from autellix_bench.report import checks, findings
from autellix_bench.report.findings import Finding, Measured
from autellix_bench.report.settings import of
from autellix_bench.report.systems import OURS, look, workload_name

__all__ = ["CLAIMS", "PAPER", "TAIL_RIVALS", "Claim", "found"]

PAPER = "Luo et al., Autellix, arXiv 2502.13965v1 (2025)"

TAIL_RIVALS = ("vllm-opt", "mlfq")
"""What the paper compares tails with."""

_UP_TO = {
    "sharegpt": {"vllm": 8.0, "vllm-opt": 2.0, "mlfq": 1.5},
    "bfcl": {"vllm": 8.0, "vllm-opt": 2.0, "mlfq": 1.5},
    "lats": {"vllm": 5.0, "vllm-opt": 2.0, "mlfq": 2.5},
    "mixed": {"vllm": 15.0, "vllm-opt": 4.0, "mlfq": 5.5},
}


@dataclass(frozen=True, slots=True)
class Claim:
    """One sentence of the paper that points can be held against."""

    id: str
    says: str
    where: str
    experiment: str
    """Whose points answer it."""
    measured: Measured
    number: float | None = None
    """The paper's figure, where it is one."""


def found(points: Sequence[Point]) -> Mapping[str, Finding | None]:
    """What these points say to each claim, by its id."""
    return {claim.id: claim.measured(of(points, claim.experiment)) for claim in CLAIMS}


def _throughput(workload: str, other: str, number: float) -> Claim:
    return Claim(
        id=f"throughput.{workload}.{other}",
        says=f"{workload_name(workload)}: up to {number:g}x the throughput of {look(other).name} at equal latency",
        where="Section 6, one engine",
        experiment="latency",
        measured=findings.throughput(workload, other, number, ours=OURS),
        number=number,
    )


def _placement(other: str) -> Claim:
    return Claim(
        id=f"placement.{other}",
        says=f"Its load balancer sustains up to 1.4x the rate of {look(other).name.removeprefix('ATLAS, ')} "
        "on 4 engines with the 8B model or 2 with the 70B (1.5x in the introduction)",
        where="Section 6, load balancer",
        experiment="placement",
        measured=findings.throughput(None, other, 1.4, ours=OURS),
        number=1.4,
    )


CLAIMS: tuple[Claim, ...] = (
    *(_throughput(workload, other, x) for workload, others in _UP_TO.items() for other, x in others.items()),
    Claim(
        id="tails",
        says="P95 and P99 are better than with vLLM-opt and with MLFQ in 7 of 8 scenarios, up to 1.7x the throughput",
        where="Section 6, tail latencies",
        experiment="latency",
        measured=findings.tails(TAIL_RIVALS, 1.7, workloads=_UP_TO, ours=OURS),
        number=1.7,
    ),
    _placement("atlas-least"),
    _placement("atlas-round-robin"),
    Claim(
        id="placement.more-engines",
        says="The load balancer's gain is larger with more engines",
        where="Section 6, load balancer",
        experiment="placement",
        measured=checks.grows(("atlas-least", "atlas-round-robin"), ours=OURS),
    ),
    Claim(
        id="scale-out",
        says="The highest arrival rate at an SLO grows linearly with the number of engines",
        where="Section 6, scale-out",
        experiment="scale-out",
        measured=checks.linear(ours=OURS),
        number=1.0,
    ),
    Claim(
        id="makespan",
        says="The makespan of an offline batch is 10% to 40% shorter than with vLLM-opt",
        where="Section 6, offline batch",
        experiment="makespan",
        measured=checks.shorter("vllm-opt", 0.10, ours=OURS),
        number=0.10,
    ),
    Claim(
        id="makespan.memory",
        says="MLFQ runs out of memory with 4,000 programs",
        where="Section 6, offline batch",
        experiment="makespan",
        measured=checks.memory("mlfq"),
    ),
    Claim(
        id="overhead",
        says="Scheduling costs more than FCFS and less than MLFQ",
        where="Section 6, overhead",
        experiment="overhead",
        measured=checks.cheaper("mlfq", ours=OURS),
    ),
    Claim(
        id="optimum",
        says="In simulation better than FCFS, round robin and MLFQ, with a visible gap to clairvoyant SRPT",
        where="Section 6, simulation",
        experiment="optimum",
        measured=checks.closes_gap(("fcfs-least", "vllm-opt", "mlfq"), ours=OURS),
    ),
)
