"""Many iterations at once are the same as one after the other: the same tokens at the same times, to the last bit."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from autellix_bench.engine import Costs, EngineModel, EngineSettings, Job, Piece, Preemption, Ranked
from autellix_core.levels import Levels
from autellix_core.priority import Policy
from autellix_core.wire import CallHeaders, Report

LEVELS = Levels(bounds_s=(10.0, 40.0), quanta_s=(10.0, 30.0, math.inf), beta=3.0)
COSTS = Costs(
    step_s=0.9, prefill_s=0.2, prefill_token_s=0.013, decode_s=0.07, context_token_s=0.0011, swap_token_s=0.003
)


@dataclass(frozen=True)
class Asked:
    at: float
    prompt: int
    output: int
    service_s: float
    policy: Policy
    family: int
    aborts_after: float | None


class AlwaysDecides(EngineModel):
    """The model without what it knows of decisions that would change nothing."""

    def _may_decide(self) -> bool:
        return self._waiting > 0


@dataclass
class Seen:
    outputs: list[tuple[float, str, int, Report | None]]
    counters: tuple[int, ...]
    aborted: list[Report | None]


def drive(model: EngineModel, load: Sequence[Asked], *, most: int, retain_s: float = 0.0) -> Seen:
    """Serve the load; what ends at an instant ends before what comes then, and the next iteration begins after both."""
    todo = sorted(
        [(asked.at, 0, number) for number, asked in enumerate(load)]
        + [(asked.at + asked.aborts_after, 1, number) for number, asked in enumerate(load) if asked.aborts_after]
    )
    outputs: list[tuple[float, str, int, Report | None]] = []
    aborted: list[Report | None] = []
    while todo or model.until is not None:
        now = min(todo[0][0] if todo else math.inf, math.inf if model.until is None else model.until)
        idle = model.until is None
        if model.until == now:
            outputs += [(now, output.job, output.index, output.report) for output in model.end(now)]
            idle = True
        while todo and todo[0][0] == now:
            _, aborts, number = todo.pop(0)
            if aborts:
                aborted.append(model.abort(str(number), now=now))
            else:
                model.add(job(str(number), load[number], retain_s), now=now)
                idle |= model.until == now
        if model.until == now:
            outputs += [(now, output.job, output.index, output.report) for output in model.end(now)]
            idle = True
        if idle:
            model.begin(now, most=most)
    counters = (
        model.preemptions,
        model.recomputed_tokens,
        model.swapped_tokens,
        model.prompt_tokens,
        model.cached_tokens,
        model.output_tokens,
        model.iterations,
    )
    assert model.blocks.free == model.settings.blocks or retain_s
    return Seen(outputs, counters, aborted)


def job(name: str, asked: Asked, retain_s: float) -> Job:
    headers = CallHeaders(
        program=f"p{asked.family}", call=name, service_s=asked.service_s, program_service_s=1.0, policy=asked.policy
    )
    pieces: tuple[Piece, ...] = (Piece("shared", 1), Piece(("family", asked.family), 3))
    full = asked.prompt // 4
    pieces = pieces if full >= 4 else pieces[: 1 if full else 0]
    return Job(name, headers, asked.prompt, asked.output, pieces, retain_s)


ASKED = st.builds(
    Asked,
    at=st.one_of(st.floats(0.0, 60.0), st.sampled_from([0.0, 1.0, 5.0])),
    prompt=st.integers(1, 30),
    output=st.integers(1, 30),
    service_s=st.sampled_from([0.0, 15.0, 90.0]),
    policy=st.sampled_from([Policy.ATLAS, Policy.ATLAS, Policy.ATLAS, Policy.FCFS]),
    family=st.integers(0, 2),
    aborts_after=st.one_of(st.none(), st.none(), st.none(), st.floats(0.1, 30.0)),
)
SETTINGS = st.builds(
    EngineSettings,
    slots=st.integers(1, 5),
    blocks=st.integers(15, 40),
    block_tokens=st.just(4),
    step_tokens=st.sampled_from([8, 16, 64]),
    levels=st.just(LEVELS),
    costs=st.just(COSTS),
    decide_every_steps=st.integers(1, 3),
    most_preemptions=st.integers(1, 3),
    prefix_caching=st.booleans(),
    preemption=st.sampled_from(list(Preemption)),
    host_blocks=st.sampled_from([8, 100]),
)


@settings(max_examples=200, deadline=None)
@given(load=st.lists(ASKED, max_size=16), of=SETTINGS, retain_s=st.sampled_from([0.0, 0.0, 12.5]))
def test_a_jump_is_as_many_steps(load: list[Asked], of: EngineSettings, retain_s: float) -> None:
    stepped = drive(AlwaysDecides(of), load, most=1, retain_s=retain_s)
    assert drive(EngineModel(of), load, most=1, retain_s=retain_s) == stepped
    assert drive(EngineModel(of), load, most=256, retain_s=retain_s) == stepped
    assert drive(EngineModel(of), load, most=3, retain_s=retain_s) == stepped


@settings(max_examples=100, deadline=None)
@given(load=st.lists(ASKED, max_size=16), of=SETTINGS, preemptive=st.booleans())
def test_a_jump_is_as_many_steps_in_any_order(load: list[Asked], of: EngineSettings, preemptive: bool) -> None:
    load = [replace(asked, policy=Policy.ATLAS) for asked in load]
    stepped = drive(AlwaysDecides(of, Ranked(preemptive=preemptive)), load, most=1)
    assert drive(EngineModel(of, Ranked(preemptive=preemptive)), load, most=256) == stepped


def test_a_long_answer_alone_is_one_event() -> None:
    model = EngineModel(EngineSettings(levels=LEVELS, costs=Costs(step_s=1.0)))
    alone = Asked(0.0, 1, 100, 0.0, Policy.FCFS, 0, None)
    model.add(job("a", alone, 0.0), now=0.0)
    assert model.begin(0.0) == 1.0
    assert [output.index for output in model.end(1.0)] == [0]
    assert model.begin(1.0) == 100.0
    model.add(job("b", alone, 0.0), now=41.5)
    assert model.until == 42.0
