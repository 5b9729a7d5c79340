"""Small programs and small engines for the simulator's tests."""

import math
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from autellix_bench.engine import Costs, EngineSettings
from autellix_bench.engine.profiles import Profile
from autellix_bench.programs import Call, Program, Segment
from autellix_bench.records import CallRecord
from autellix_core.levels import Levels

__all__ = ["chain", "fan", "loads", "program", "records_of", "unit"]

LEVELS = Levels(bounds_s=(10.0, 40.0), quanta_s=(10.0, 30.0, math.inf))


def unit(**settings: Any) -> Profile:
    """An engine whose iterations take a second, with two places unless told otherwise."""
    given = {"slots": 2, "costs": Costs(step_s=1.0), "levels": LEVELS, "block_tokens": 4, **settings}
    return Profile("unit", EngineSettings(**given), "made up")


def program(name: str, *calls: Call, arrival_s: float = 0.0) -> Program:
    return Program(name, "made-up", arrival_s, calls)


def chain(name: str, *outputs: int, arrival_s: float = 0.0, prompt: int = 1, gap_s: float = 0.0) -> Program:
    """Calls one after the other, each with the history of those before it."""
    segments: list[Segment] = []
    calls: list[Call] = []
    for index, output in enumerate(outputs):
        segments.append(Segment(f"turn{index}", prompt))
        parents = (calls[-1].id,) if calls else ()
        calls.append(Call(f"c{index}", tuple(segments), output, parents, gap_s if calls else 0.0))
        segments.append(Segment(f"c{index}", output, answer=True))
    return program(name, *calls, arrival_s=arrival_s)


def fan(name: str, *outputs: int, join: int = 1, arrival_s: float = 0.0) -> Program:
    """Calls side by side and one that waits for all of them."""
    calls = [Call(f"c{index}", (Segment("q", 2),), output) for index, output in enumerate(outputs)]
    answers = tuple(Segment(call.id, call.output_tokens, answer=True) for call in calls)
    joined = Call("join", (Segment("q", 2), *answers), join, tuple(call.id for call in calls))
    return program(name, *calls, joined, arrival_s=arrival_s)


def records_of(records: Sequence[CallRecord], name: str) -> dict[str, CallRecord]:
    """A program's records by call."""
    return {record.call: record for record in records if record.program == name}


@st.composite
def loads(draw: st.DrawFn, most: int = 8) -> list[Program]:
    """Programs of any shape in order of arrival; every call fits into 30 blocks of 4 tokens."""
    programs = []
    arrival_s = 0.0
    for number in range(draw(st.integers(1, most))):
        arrival_s += draw(st.sampled_from([0.0, 0.5, 3.0, 20.0]))
        calls: list[Call] = []
        for index in range(draw(st.integers(1, 6))):
            known = [call.id for call in calls]
            parents = draw(st.lists(st.sampled_from(known), max_size=2, unique=True)) if known else []
            prompt = [Segment("shared/system", 9), Segment(f"turn{index}", draw(st.integers(1, 20)))]
            prompt += [Segment(parent, 12, answer=True) for parent in parents]
            output = draw(st.integers(1, 12))
            calls.append(Call(f"c{index}", tuple(prompt), output, tuple(parents), draw(st.sampled_from([0.0, 2.5]))))
        programs.append(program(f"p{number}", *calls, arrival_s=arrival_s))
    return programs
