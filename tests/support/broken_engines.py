"""Simulated engines, one that keeps the contract and others that each break it in one way."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from autellix_bench.engine import Costs, EngineModel, EngineSettings, Job, Output
from autellix_bench.server import Knobs, Serving, application
from autellix_bench.server.answers import Answer
from autellix_bench.server.asked import Asked
from autellix_core.levels import Levels, Queued
from autellix_core.priority import Policy
from autellix_core.queues import Queues
from autellix_core.wire import CallHeaders, Report

__all__ = ["BROKEN", "Broken", "quick", "simulated"]


def quick(*, slots: int = 2, beta: float | None = 4.0, policy: Policy = Policy.ATLAS) -> Knobs:
    """An engine whose quanta last a few dozen tokens, so that the whole suite takes seconds."""
    levels = Levels.geometric(4, 0.1, beta=beta)
    return Knobs(engine=EngineSettings(slots=slots, levels=levels, policy=policy, costs=Costs(step_s=0.003)))


def simulated(
    knobs: Knobs,
    *,
    model: type[EngineModel] = EngineModel,
    serving: type[Serving] = Serving,
    answer: Callable[..., Response] = Answer,
) -> ASGIApp:
    """The simulated engine's application with some part of it exchanged."""
    return application(serving(knobs, model=model(knobs.engine)), answer=answer)


class _NeverDisplaces(EngineModel):
    def _displace(self, now: float, put_back: set[str]) -> None:
        pass


class _FirstLevelForAll(EngineModel):
    def _enter(self, job: Job, now: float) -> Queued:
        return super()._enter(replace(job, headers=replace(job.headers, service_s=0.0)), now)


class _NeverDemotes(EngineModel):
    def __init__(self, settings: EngineSettings) -> None:
        super().__init__(settings)
        self.queues = Queues(replace(settings.levels, quanta_s=(math.inf,) * settings.levels.count))


class _DemotesEarly(EngineModel):
    def __init__(self, settings: EngineSettings) -> None:
        super().__init__(settings)
        halves = tuple(quantum / 2 for quantum in settings.levels.quanta_s)
        self.queues = Queues(replace(settings.levels, quanta_s=halves))


class _NeverPromotes(EngineModel):
    def __init__(self, settings: EngineSettings) -> None:
        super().__init__(settings)
        self.queues = Queues(replace(settings.levels, beta=None))


class _IgnoresPolicy(EngineModel):
    def _enter(self, job: Job, now: float) -> Queued:
        return super()._enter(replace(job, headers=replace(job.headers, policy=Policy.ATLAS)), now)


class _NewestFirst(EngineModel):
    """Of the calls that wait at one level, the last to arrive is served first."""

    def __init__(self, settings: EngineSettings) -> None:
        super().__init__(settings, _Stacks(settings.levels))


class _Stacks(Queues):
    @property
    def waiting(self) -> Iterator[Queued]:
        return iter(sorted(super().waiting, key=lambda call: (call.level, -call.enqueued_at)))


class _PutsSiblingsLast(EngineModel):
    def _enter(self, job: Job, now: float) -> Queued:
        program = job.headers.program
        siblings = sum(live.job.headers.program == program for live in self._live.values())
        later = replace(job.headers, service_s=job.headers.service_s + siblings)
        return super()._enter(replace(job, headers=later), now)


class _DropsWait(EngineModel):
    def _report(self, *args: Any) -> Report:
        return replace(super()._report(*args), wait_s=0.0)


class _CountsServiceTwice(EngineModel):
    def _report(self, *args: Any) -> Report:
        report = super()._report(*args)
        return replace(report, service_s=2 * report.service_s)


class _ForgetsAborts(EngineModel):
    def abort(self, job: str, *, now: float) -> Report | None:
        report = super().abort(job, now=now)
        self._aborted.clear()
        return report


class _LosesTheThread(Serving):
    """After a preemption the text goes on a token too far."""

    def spoken(self, asked: Asked, output: Output) -> str:
        queues = self.model.queues
        lost = output.job in queues and queues[output.job].preemptions
        return asked.author.token(output.index + 1 if lost else output.index)


class _ReportsBeforeDone(Answer):
    def _ending(self, report: Report | None) -> bytes:
        done = super()._ending(None)
        return done if report is None else report.to_comment() + done


class _ReportsToNobody(Answer):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "reported": True})


class _FailsOnAbsurdHeaders:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            decoded = {name.decode(): value.decode() for name, value in scope["headers"]}
            if CallHeaders.from_headers(decoded)[1]:
                await Response(status_code=500)(scope, receive, send)
                return
        await self._app(scope, receive, send)


@dataclass(frozen=True)
class Broken:
    """A way to break the contract, and the checks that must fail for it: exactly these, and none but these and those
    that may, since it depends on which calls happen to wait together."""

    build: Callable[[Knobs], ASGIApp]
    fails: frozenset[str]
    may_fail: frozenset[str] = frozenset()


def _broken(*fails: str, may: tuple[str, ...] = (), **parts: Any) -> Broken:
    return Broken(lambda knobs: simulated(knobs, **parts), frozenset(fails), frozenset(may))


BROKEN = {
    "never displaces": _broken("preemption", "figure-2", model=_NeverDisplaces),
    "first level for all": _broken("entry-level", "siblings", "promotion", "figure-2", model=_FirstLevelForAll),
    "never demotes": _broken("demotion", model=_NeverDemotes),
    "demotes early": _broken("demotion", model=_DemotesEarly),
    "never promotes": _broken("promotion", model=_NeverPromotes),
    "ignores the policy": _broken("entry-level", "fcfs", model=_IgnoresPolicy),
    "serves the newest first": _broken("fcfs", may=("figure-2",), model=_NewestFirst),
    "puts siblings last": _broken("siblings", model=_PutsSiblingsLast),
    "drops the wait": _broken("report", "figure-2", model=_DropsWait),
    "counts service twice": _broken("report", "figure-2", model=_CountsServiceTwice),
    "forgets aborts": _broken("abort", model=_ForgetsAborts),
    "loses the thread": _broken("same-text", serving=_LosesTheThread),
    "reports before done": _broken("report-place", answer=_ReportsBeforeDone),
    "reports to nobody": _broken("report-place", answer=_ReportsToNobody),
    "fails on absurd headers": Broken(lambda knobs: _FailsOnAbsurdHeaders(simulated(knobs)), frozenset({"headers"})),
}
