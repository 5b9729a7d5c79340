"""The discrete-event simulation: programs, a gateway and many engines in virtual time.

At one instant engines' iterations end first, then programs and calls come, then the gateway's queue lets calls go, and
engines begin anew last; so a call that comes as another one ends may take its place, as in the paper's figures. Nothing
is drawn by chance, and events of one kind at one instant are handled in the order in which they were foreseen: the same
load gives the same records to the last bit.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import partial

from autellix_bench.engine import EngineModel, Job, Output
from autellix_bench.engine.profiles import Profile
from autellix_bench.programs import Call, Program
from autellix_bench.records import CallRecord
from autellix_bench.simulation.gates import Gate, Pool
from autellix_bench.simulation.gateway import Gateway
from autellix_bench.simulation.prompts import Prompts
from autellix_bench.simulation.runs import Run
from autellix_bench.simulation.systems import System
from autellix_bench.simulation.threads import Progress, Thread
from autellix_bench.simulation.timelines import Watched
from autellix_bench.timeline import Stretch
from autellix_core.priority import Policy
from autellix_core.wire import CallHeaders, Report

__all__ = ["simulate"]


def simulate(
    programs: Iterable[Program],
    system: System,
    *,
    profile: Profile,
    engines: int,
    seed: int = 0,
    timeline: bool = False,
) -> Run:
    """Serve these programs, which come in order of arrival and are taken as they do, to the end.

    ``seed`` says which engine round robin begins with; there is no other chance in it. Raises ValueError where a call
    can never fit into an engine, or an id is there twice.
    """
    simulation = _Simulation(programs, system, profile=profile, engines=engines, turn=seed, timeline=timeline)
    return simulation.run()


_COUNTED = (
    "preemptions",
    "recomputed_tokens",
    "swapped_tokens",
    "prompt_tokens",
    "cached_tokens",
    "output_tokens",
    "iterations",
    "decisions",
)
"""Of each engine model."""


class _Kind(IntEnum):
    """Of events; at one instant in this order."""

    END = 0
    ARRIVE = 1
    DUE = 2
    LET_GO = 3
    BEGIN = 4


@dataclass(eq=False, slots=True)
class _Engine:
    name: str
    model: EngineModel
    watched: Watched | None = None
    ending: float | None = None
    """When its present iterations are foreseen to end."""
    beginning: bool = False
    """Whether it is foreseen to begin."""


class _Simulation:
    def __init__(
        self, programs: Iterable[Program], system: System, *, profile: Profile, engines: int, turn: int, timeline: bool
    ) -> None:
        self.system = system
        self.settings = system.engine(profile.engine)
        self.ranking = system.ranking(self.settings) if system.ranking else None
        # A ranked call carries its number in place of service, which no policy but those by service looks at.
        self.policy = Policy.ATLAS if self.ranking else system.policy
        names = [f"engine-{index:0{len(str(engines - 1))}}" for index in range(engines)]
        self.gateway = Gateway(system.policy, system.placement, names, turn=turn)
        pool = Pool(engines * self.settings.slots, engines * self.settings.longest_tokens)
        self.gate = system.gate(pool) if system.gate else None
        self.prompts = Prompts(self.settings.block_tokens)
        self.threads: dict[str, Thread] = {}
        self.records: list[CallRecord] = []
        self.stretches: list[Stretch] = []
        self.engines = {name: self._engine(name, timeline) for name in names}
        self.headers: dict[str, CallHeaders] = {}
        self.inside = self.peak_calls = self.peak_waiting = self.serial = 0
        self.events: list[tuple[float, int, int, Callable[[float], None]]] = []
        self.foreseen = 0
        self.letting_go = False
        self.coming: Iterator[Program] = iter(programs)

    def run(self) -> Run:
        self._next_program(0.0)
        while self.events:
            now, _, _, happens = heapq.heappop(self.events)
            happens(now)
        assert not self.threads, "a call was never answered"
        return Run(self.records, self._counters(), self.stretches)

    def _arrive(self, program: Program, now: float) -> None:
        progress = Progress(program)
        for call, due_s in progress.roots():
            self._foresee(due_s, _Kind.DUE, partial(self._due, progress, call))
        self._next_program(now)

    def _due(self, progress: Progress, call: Call, now: float) -> None:
        """A call is sent: to an engine, or to wait at the gate."""
        self.serial += 1
        thread = Thread(f"{progress.program.id}/{call.id}", progress, call, now, self.serial)
        if thread.id in self.threads:
            raise ValueError(f"Call {thread.id} is under way already; every program and call needs an id of its own.")
        self.threads[thread.id] = thread
        self.peak_calls = max(self.peak_calls, len(self.threads))
        self.headers[thread.id] = self.gateway.arrive(thread, now=now)
        if self.gate is None:
            self._send(thread, now)
        else:
            self.gate.hold(thread, now=now)
            self.peak_waiting = max(self.peak_waiting, len(self.threads) - self.inside)
            self._foresee_let_go(now)

    def _let_go(self, gate: Gate, now: float) -> None:
        self.letting_go = False
        while (thread := gate.let_go(now=now, inside=self.inside)) is not None:
            self._send(thread, now)

    def _send(self, thread: Thread, now: float) -> None:
        self.inside += 1
        engine = self.engines[self.gateway.place(thread)]
        engine.model.add(self._job(thread), now=now)
        if engine.model.until is None:
            self._foresee_begin(engine, now)
        else:
            self._foresee_end(engine)

    def _job(self, thread: Thread) -> Job:
        headers = self.headers.pop(thread.id)
        if self.ranking is not None:
            told = headers
            headers = CallHeaders(told.program, told.call, service_s=self.ranking.rank(thread), policy=self.policy)
        call = thread.call
        pieces = self.prompts.pieces(thread.of.program, call) if self.system.prefix_caching else ()
        retain_s = self.system.retain_s if thread.of.left > 1 else 0.0  # with its last call a client ends its session
        return Job(thread.id, headers, call.prompt_tokens, call.output_tokens, pieces, retain_s)

    def _begin(self, engine: _Engine, now: float) -> None:
        engine.beginning = False
        engine.model.begin(now)
        self._foresee_end(engine)

    def _end(self, engine: _Engine, now: float) -> None:
        if engine.ending != now:
            return  # an arrival made it earlier
        engine.ending = None
        for output in engine.model.end(now):
            self._token(engine, output, now)
        if len(engine.model):
            self._foresee_begin(engine, now)

    def _token(self, engine: _Engine, output: Output, now: float) -> None:
        thread = self.threads[output.job]
        if output.index == 0:
            thread.first_token_s = now
        if output.report is not None:
            if engine.watched is not None:
                engine.watched.left(thread.id, now=now)
            self._answered(thread, output.report, now)

    def _answered(self, thread: Thread, report: Report, now: float) -> None:
        self.inside -= 1
        del self.threads[thread.id]
        self.records.append(self._record(thread, report, now))
        progress = thread.of
        for call, due_s in progress.answered(thread.call, now=now):
            self._foresee(due_s, _Kind.DUE, partial(self._due, progress, call))
        self.gateway.settle(thread, report, now=now)
        if self.ranking is not None:
            self.ranking.answered(thread)
        if not progress.left:
            self.prompts.forget(progress.program)
        if self.gate is not None:
            self.gate.answered(thread, report, now=now)
            self._foresee_let_go(now)

    def _record(self, thread: Thread, report: Report, now: float) -> CallRecord:
        program = thread.of.program
        return CallRecord(
            program=program.id,
            workload=program.workload,
            call=thread.call.id,
            program_arrival_s=program.arrival_s,
            due_s=thread.due_s,
            sent_s=thread.due_s,
            ended_s=now,
            output_tokens=report.output_tokens,
            prompt_tokens=report.prompt_tokens,
            first_token_s=thread.first_token_s,
            engine=thread.engine,
            service_s=report.service_s,
            wait_s=report.wait_s,
            level=report.level if self.ranking is None else None,
            preemptions=report.preemptions,
            cached_tokens=report.cached_tokens,
        )

    def _foresee(self, at: float, kind: _Kind, happens: Callable[[float], None]) -> None:
        self.foreseen += 1
        heapq.heappush(self.events, (at, kind, self.foreseen, happens))

    def _foresee_let_go(self, now: float) -> None:
        if self.gate is not None and not self.letting_go:
            self.letting_go = True
            self._foresee(now, _Kind.LET_GO, partial(self._let_go, self.gate))

    def _foresee_begin(self, engine: _Engine, now: float) -> None:
        if not engine.beginning:
            engine.beginning = True
            self._foresee(now, _Kind.BEGIN, partial(self._begin, engine))

    def _foresee_end(self, engine: _Engine) -> None:
        until = engine.model.until
        if until is not None and until != engine.ending:
            engine.ending = until
            self._foresee(until, _Kind.END, partial(self._end, engine))

    def _next_program(self, now: float) -> None:
        program = next(self.coming, None)
        if program is not None:
            if program.arrival_s < now:
                raise ValueError(f"Program {program.id} arrives before the one before it; sort them by arrival.")
            self._foresee(program.arrival_s, _Kind.ARRIVE, partial(self._arrive, program))

    def _engine(self, name: str, timeline: bool) -> _Engine:
        order = self.system.order(self.settings)
        if not timeline:
            return _Engine(name, EngineModel(self.settings, order))
        watched = Watched(order, name, self.threads, self.stretches)
        return _Engine(name, EngineModel(self.settings, watched), watched)

    def _counters(self) -> dict[str, float]:
        models = [engine.model for engine in self.engines.values()]
        counters: dict[str, float] = {name: sum(getattr(model, name) for model in models) for name in _COUNTED}
        counters["cached_share"] = counters["cached_tokens"] / max(1, counters["prompt_tokens"])
        return {**counters, "peak_calls": self.peak_calls, "peak_waiting": self.peak_waiting}
