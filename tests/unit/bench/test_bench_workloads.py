"""The loads that are drawn: what is published of them, what arrives when, and that nothing depends on the rate."""

from collections import Counter
from functools import cache
from itertools import islice, pairwise
from statistics import fmean, pstdev

import pytest

from autellix_bench.programs import Program, flaw
from autellix_bench.workloads import WORKLOADS, Statistics, generate, statistics

PROGRAMS = {"sharegpt": 4000, "bfcl": 3000, "lats": 700, "mixed": 600, "agentic": 300}
"""Enough that means are within 5 % of what they are drawn from: more for longer tails."""


@cache
def drawn(workload: str) -> list[Program]:
    return list(generate(workload, rate=2.0, programs=PROGRAMS[workload], seed=7))


@cache
def numbers(workload: str) -> Statistics:
    return statistics(drawn(workload))


@pytest.mark.parametrize(
    ("workload", "calls", "prefill", "decode"),
    [("sharegpt", 6.66, 256, 277), ("bfcl", 10.75, 735.06, 34.14), ("lats", 159.7, 467.2, 72.6)],
)
def test_means_are_the_published_ones(workload: str, calls: float, prefill: float, decode: float) -> None:
    found = numbers(workload)
    means = (found.calls.mean, found.prefill.mean, found.decode.mean)
    assert means == pytest.approx((calls, prefill, decode), rel=0.05)


@pytest.mark.parametrize(("workload", "most"), [("sharegpt", 80), ("bfcl", 70)])
def test_the_longest_program_has_as_many_calls_as_published(workload: str, most: int) -> None:
    assert 0.9 * most <= numbers(workload).calls.most <= most


@pytest.mark.parametrize(("workload", "least", "most"), [("sharegpt", 7, 15), ("bfcl", 4, 8), ("lats", 2.5, 5)])
def test_programs_are_long_tailed(workload: str, least: float, most: float) -> None:
    calls = numbers(workload).calls
    assert calls.median < calls.mean
    assert least <= calls.p99 / calls.median <= most


@pytest.mark.parametrize("workload", ["sharegpt", "bfcl", "lats"])
def test_prompts_hit_caches_as_the_paper_measured(workload: str) -> None:
    """Over 90 % within a program, at any length; short prompts are mostly the shared system prompt."""
    found = numbers(workload)
    assert found.prefix_hit_share > 0.9
    assert found.short_shared_share > (0.45 if workload == "sharegpt" else 0.7)


def test_chats_and_tool_loops_are_one_thread_that_only_grows() -> None:
    for workload in ("sharegpt", "bfcl"):
        assert numbers(workload).parallelism == 1
        for program in drawn(workload)[:100]:
            for before, call in pairwise(program.calls):
                assert call.parents == (before.id,)
                assert call.prompt[: len(before.prompt)] == before.prompt


def test_tree_searches_fan_out_and_join() -> None:
    assert numbers("lats").parallelism == pytest.approx(5)
    for program in drawn("lats")[:50]:
        children = Counter(call.parents for call in program.calls if call.id.endswith("/propose"))
        assert set(children.values()) == {5}  # the fan-out
        assert all(len(parents) in (0, 5) for parents in children)  # the join
        assert max(len(call.prompt) for call in program.calls) <= 2 + 2 * 7


def test_the_mixture_has_equal_parts_by_program() -> None:
    parts = Counter(program.workload for program in drawn("mixed"))
    assert parts.keys() == {"sharegpt", "bfcl", "lats"}
    assert all(count == pytest.approx(PROGRAMS["mixed"] / 3, rel=0.15) for count in parts.values())


def test_agents_are_as_measured_in_2026() -> None:
    found = numbers("agentic")
    scale = 131_072 / 262_144
    assert found.calls.median == pytest.approx(43, rel=0.1)
    assert (found.prompt.mean, found.decode.mean) == pytest.approx((142_000 * scale, 444 * scale), rel=0.05)
    assert found.prefix_hit_share > 0.96
    pauses = [call.gap_s for program in drawn("agentic") for call in program.calls if call.parents]
    within = [sum(pause <= limit for pause in pauses) / len(pauses) for limit in (1, 10)]
    assert within == pytest.approx([0.86, 0.95], abs=0.01)
    subagents = [program for program in drawn("agentic") if any("sub" in call.id for call in program.calls)]
    assert len(subagents) / PROGRAMS["agentic"] == pytest.approx(0.44, abs=0.05)


@pytest.mark.parametrize("window", [2048, 16_384, 131_072])
def test_agents_stay_within_their_window_and_hit_the_cache_at_every_size(window: int) -> None:
    programs = list(generate("agentic", rate=1, programs=60, seed=3, context_tokens=window))
    longest = max(call.prompt_tokens + call.output_tokens for program in programs for call in program.calls)
    assert 0.9 * window < longest <= window
    assert statistics(programs).prefix_hit_share > 0.9


@pytest.mark.parametrize("workload", WORKLOADS)
def test_every_program_can_be_run(workload: str) -> None:
    assert [flaw(program) for program in drawn(workload)[:100]] == [None] * 100


@pytest.mark.parametrize("workload", WORKLOADS)
def test_answers_are_as_long_in_prompts_as_they_were_given(workload: str) -> None:
    for program in drawn(workload)[:50]:
        given = {call.id: call.output_tokens for call in program.calls}
        answers = {segment for call in program.calls for segment in call.prompt if segment.answer}
        assert all(given[segment.key] == segment.tokens for segment in answers)


def test_programs_arrive_by_a_poisson_process() -> None:
    arrivals = [0.0, *(program.arrival_s for program in drawn("sharegpt"))]
    gaps = [after - before for before, after in pairwise(arrivals)]
    assert fmean(gaps) == pytest.approx(0.5, rel=0.05)
    assert pstdev(gaps) / fmean(gaps) == pytest.approx(1, rel=0.05)
    counts = Counter(int(at) for at in arrivals[1:])
    seconds = [counts[second] for second in range(int(arrivals[-1]))]
    assert pstdev(seconds) ** 2 == pytest.approx(fmean(seconds), rel=0.1)  # Poisson: variance is the mean


@pytest.mark.parametrize("workload", WORKLOADS)
def test_the_rate_changes_arrivals_alone(workload: str) -> None:
    slow, fast, at_once = (list(generate(workload, rate=rate, programs=20, seed=5)) for rate in (0.5, 4.0, 0))
    assert [program.calls for program in slow] == [program.calls for program in fast]
    assert [program.calls for program in slow] == [program.calls for program in at_once]
    assert [program.arrival_s for program in slow] == pytest.approx([8 * program.arrival_s for program in fast])
    assert {program.arrival_s for program in at_once} == {0.0}


@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_seed_decides_and_ids_are_unique(workload: str) -> None:
    one, same, other = (list(generate(workload, rate=1, programs=20, seed=seed)) for seed in (1, 1, 2))
    assert one == same != other
    assert len({program.id for program in one}) == 20


def test_the_first_programs_do_not_depend_on_how_many_are_asked_for() -> None:
    few = list(generate("mixed", rate=1, programs=5, seed=1))
    assert list(islice(generate("mixed", rate=1, programs=10**9, seed=1), 5)) == few  # and it is lazy


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"workload": "chat"}, "choose one of sharegpt, bfcl, lats, mixed, agentic"),
        ({"rate": -1.0}, "programs a second"),
        ({"rate": float("nan")}, "programs a second"),
        ({"programs": -1}, "cannot be -1"),
        ({"context_tokens": 100}, "at least 2048 tokens"),
    ],
)
def test_what_cannot_be_drawn_is_said_at_once(wrong: dict[str, object], sentence: str) -> None:
    asked: dict[str, object] = {"workload": "bfcl", "rate": 1.0, "programs": 1, "seed": 0} | wrong
    with pytest.raises(ValueError, match=sentence):
        generate(**asked)  # type: ignore[arg-type]  # what the caller got wrong
