"""The systems that are compared: how calls are ordered, where they go, and what holds them back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from autellix_bench.engine import EngineSettings, Order, Preemption, Ranked
from autellix_bench.simulation.gates import Gate, LeastAttained, Pool, RecentFirst, WorkingSets
from autellix_bench.simulation.rankings import FirstProgramFirst, Ranking, RemainingWork
from autellix_core.placement import LeastUsed, Local, PlacementPolicy, RoundRobin
from autellix_core.priority import Policy
from autellix_core.queues import Queues

__all__ = ["SYSTEMS", "System"]


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One way to serve programs. A variant is :func:`dataclasses.replace` of another."""

    name: str
    about: str
    """What it is and whom it stands for, in a paragraph."""
    policy: Policy = Policy.FCFS
    """The order inside the engines, by the rules of the core."""
    ranking: Callable[[EngineSettings], Ranking] | None = None
    """An order that is not the core's, in its place."""
    preemptive: bool = False
    """Whether a ranked call displaces a running one."""
    placement: PlacementPolicy = field(default_factory=LeastUsed)
    gate: Callable[[Pool], Gate] | None = None
    """A queue in the gateway."""
    prefix_caching: bool = True
    preemption: Preemption = Preemption.RECOMPUTE
    retain_s: float = 0.0
    """How long an answered call's KV blocks stay for its program's next."""
    beta: float | None = None
    """The ratio of waiting to service at which a call is promoted; None: never."""

    def engine(self, settings: EngineSettings) -> EngineSettings:
        """The settings of a profile's engines under this system."""
        return replace(
            settings,
            policy=self.policy,
            levels=replace(settings.levels, beta=self.beta),
            prefix_caching=self.prefix_caching,
            preemption=self.preemption,
        )

    def order(self, settings: EngineSettings) -> Order:
        """The queues of one engine."""
        return Queues(settings.levels) if self.ranking is None else Ranked(preemptive=self.preemptive)


_ALL = (
    System(
        name="vllm",
        about="vLLM 0.6.1 as the paper's first baseline: first come first served in each engine, no prefix cache, "
        "round robin over engines. Prefill is in chunks, as in all these systems.",
        placement=RoundRobin(),
        prefix_caching=False,
    ),
    System(
        name="vllm-opt",
        about="The paper's second baseline: vLLM with prefix caching and chunked prefill, first come first served, "
        "round robin over engines. Multi-step scheduling is not modelled.",
        placement=RoundRobin(),
    ),
    System(
        name="fcfs-least",
        about="The same engines behind a balancer that sends each call to the engine with the fewest calls.",
    ),
    System(
        name="mlfq",
        about="The paper's third baseline: a multi-level feedback queue in each engine that knows no programs, so "
        "every call starts in the first queue; otherwise vllm-opt.",
        policy=Policy.MLFQ,
        placement=RoundRobin(),
    ),
    System(
        name="plas",
        about="Program-level attained service: calls enter the queue of their program's cumulative service; Algorithm "
        "2 places them.",
        policy=Policy.PLAS,
        placement=Local(),
    ),
    System(
        name="atlas",
        about="Adaptive thread-level attained service: calls enter the queue of their program's longest critical "
        "path; Algorithm 2 places them. What is deployed by default.",
        policy=Policy.ATLAS,
        placement=Local(),
    ),
    System(
        name="atlas-least",
        about="ATLAS in the engines behind a balancer that sends each call to the engine with the fewest calls: what "
        "Algorithm 2 is compared with.",
        policy=Policy.ATLAS,
    ),
    System(
        name="atlas-round-robin",
        about="ATLAS in the engines behind round robin: what Algorithm 2 is compared with.",
        policy=Policy.ATLAS,
        placement=RoundRobin(),
    ),
    System(
        name="atlas-swap",
        about="ATLAS with preempted calls' keys and values swapped to the host's memory, as in the paper, in place of "
        "being computed again.",
        policy=Policy.ATLAS,
        placement=Local(),
        preemption=Preemption.SWAP,
    ),
    System(
        name="las-gateway",
        about="Stock engines behind a gateway that holds a queue a program and sends the least served one's call when "
        "there is a place: like llm-d-router's program-aware plugin. No call is displaced for a better one in an "
        "engine.",
        gate=LeastAttained,
    ),
    System(
        name="session-boost",
        about="Stock engines behind a gateway that sends follow-ups of the sessions answered last before all others: "
        "like Kthena's session boost.",
        gate=RecentFirst,
    ),
    System(
        name="thunderagent",
        about="Stock engines behind a gateway that admits programs, smallest first, while their working sets fit into "
        "the KV cache: like ThunderAgent. Every call goes to its program's engine.",
        gate=WorkingSets,
        placement=Local(short_tokens=0),
    ),
    System(
        name="continuum",
        about="Engines that serve by the arrival of programs, and keep an answered call's KV blocks for its program's "
        "next one during a tool call, up to 10 s: like Continuum, which learns that time from the tools. Nobody else "
        "gets those blocks in the meantime, unless running calls need them or nobody runs. Every call goes to its "
        "program's engine.",
        ranking=lambda _: FirstProgramFirst(),
        placement=Local(short_tokens=0),
        retain_s=10.0,
    ),
    System(
        name="srpt",
        about="Clairvoyant: the call whose program has the least work left goes first and displaces others. No system "
        "can know it; it is the bound to compare with. Placed by Algorithm 2.",
        ranking=RemainingWork,
        preemptive=True,
        placement=Local(),
    ),
)

SYSTEMS: Mapping[str, System] = {system.name: system for system in _ALL}
"""By name."""
