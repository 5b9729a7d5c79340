"""What each system does that the others do not, on a load made for it."""

import pytest

from autellix_bench.engine import Costs
from autellix_bench.engine.profiles import Profile
from autellix_bench.programs import Call, Program, Segment
from autellix_bench.simulation import SYSTEMS, Run, simulate
from bench_loads import chain, fan, program, records_of, unit


def run(programs: list[Program], system: str, profile: Profile | None = None, *, engines: int = 1) -> Run:
    return simulate(programs, SYSTEMS[system], profile=profile or unit(slots=1), engines=engines)


def order(ended: Run) -> list[str]:
    """Programs in the order in which their last calls ended."""
    return list(dict.fromkeys(record.program for record in reversed(ended.calls)))[::-1]


def test_every_system_says_what_it_is() -> None:
    for name, system in SYSTEMS.items():
        assert system.name == name
        assert system.about.endswith(".")


@pytest.mark.parametrize(("system", "cached"), [("vllm", 0), ("vllm-opt", 44)])
def test_a_prefix_cache_or_none(system: str, cached: int) -> None:
    ended = run([chain("p", 8, 8, prompt=40)], system)
    assert records_of(ended.calls, "p")["c1"].cached_tokens == cached  # 40 + 8, less the block of the last token


def test_a_shared_beginning_is_found_by_other_programs_and_an_own_one_is_not() -> None:
    def asks(name: str, *keys: str, arrival_s: float) -> Program:
        return program(name, Call("c", tuple(Segment(key, 20) for key in keys), 4), arrival_s=arrival_s)

    ended = run(
        [
            asks("first", "shared/system", "question", arrival_s=0.0),
            asks("second", "shared/system", "question", arrival_s=10.0),
            asks("third", "own", "shared/system", arrival_s=20.0),
        ],
        "atlas",
    )
    cached = {record.program: record.cached_tokens for record in ended.calls}
    assert cached == {"first": 0, "second": 20, "third": 0}


def test_first_come_first_served_lets_a_long_call_block_and_a_queue_by_levels_does_not() -> None:
    programs = [chain("long", 35), chain("short", 2, arrival_s=12.0)]
    assert order(run(programs, "fcfs-least")) == ["long", "short"]
    assert order(run(programs, "mlfq")) == ["short", "long"]
    assert order(run(programs, "atlas")) == ["short", "long"]


def test_only_program_awareness_keeps_the_next_call_of_a_long_program_behind_a_new_program() -> None:
    programs = [chain("long", *[9] * 6), chain("new", 9, arrival_s=28.0)]
    at = {name: records_of(run(programs, name).calls, "new")["c0"].ended_s for name in ("mlfq", "plas", "atlas")}
    assert at["mlfq"] == 45.0
    assert at["plas"] == at["atlas"] == 37.0


def test_parallel_service_counts_in_sum_for_plas_and_by_the_longest_path_for_atlas() -> None:
    wide = fan("wide", 8, 8, 8, 8, join=9)
    programs = [wide, chain("other", 9, arrival_s=10.5)]
    two = unit(slots=4)
    assert records_of(run(programs, "atlas", two).calls, "wide")["join"].level == 0
    assert records_of(run(programs, "plas", two).calls, "wide")["join"].level == 1


def test_a_long_call_goes_home_under_algorithm_2_only() -> None:
    programs = [
        chain("p", 4, 4, 4, prompt=3000, gap_s=1.0),
        *(chain(f"short{number}", 40, arrival_s=0.5) for number in range(3)),
    ]
    profile = unit(slots=8, step_tokens=8192)
    homes = {
        name: [record.engine for record in records_of(run(programs, name, profile, engines=2).calls, "p").values()]
        for name in ("atlas", "atlas-least", "atlas-round-robin")
    }
    assert len(set(homes["atlas"])) == 1
    assert len(set(homes["atlas-round-robin"])) == 2


def test_a_gateway_queue_serves_the_least_served_and_displaces_nobody() -> None:
    programs = [
        chain("used", 9, 9, 9),
        chain("fresh", 3, arrival_s=10.0),
    ]
    ended = run(programs, "las-gateway")
    fresh = records_of(ended.calls, "fresh")["c0"]
    assert (fresh.ended_s, fresh.wait_s) == (21.0, 0.0)  # after the call that ran, before the next of the used one
    assert ended.counters["preemptions"] == 0
    assert ended.counters["peak_waiting"] == 2


def test_attained_service_is_forgotten_by_half_every_minute() -> None:
    programs = [
        chain("old", 50, 2, gap_s=600.0),
        chain("lately", 20, 2, arrival_s=615.0, gap_s=10.0),
        chain("blocks", 30, arrival_s=638.0),
    ]
    ended = run(programs, "las-gateway")
    assert records_of(ended.calls, "old")["c1"].ended_s < records_of(ended.calls, "lately")["c1"].ended_s


def test_a_session_answered_last_comes_before_a_new_one() -> None:
    programs = [chain("talks", 5, 5, 5), chain("new", 5, arrival_s=1.0)]
    assert order(run(programs, "session-boost")) == ["talks", "new"]
    assert order(run(programs, "fcfs-least")) == ["new", "talks"]


def test_programs_beyond_the_cache_wait_and_the_smallest_comes_first() -> None:
    profile = unit(slots=8, blocks=30)  # 120 tokens: 96 to admit
    programs = [
        chain("first", 20, 2, prompt=40, gap_s=5.0),
        chain("large", 5, prompt=60, arrival_s=1.0),
        chain("small", 5, prompt=50, arrival_s=2.0),
    ]
    ended = run(programs, "thunderagent", profile)
    assert order(ended)[0] == "small"
    assert records_of(ended.calls, "small")["c0"].first_token_s == 3.0
    assert (records_of(ended.calls, "large")["c0"].first_token_s or 0.0) > 7.0


def test_programs_between_calls_are_paused_when_the_cache_overflows() -> None:
    profile = unit(slots=8, blocks=30)
    programs = [
        chain("grows", 60, 2, prompt=20, gap_s=2.0),
        chain("idle", 4, 4, prompt=30, gap_s=10.0),
        chain("waits", 4, prompt=30, arrival_s=11.0),
    ]
    ended = run(programs, "thunderagent", profile)
    assert len(ended.calls) == 5
    assert ended.counters["preemptions"] == 0


def test_earlier_programs_come_first_and_nobody_is_displaced() -> None:
    programs = [chain("first", 5, 5, 5), chain("second", 8, arrival_s=1.0), chain("third", 2, arrival_s=2.0)]
    ended = run(programs, "continuum")
    assert order(ended) == ["first", "second", "third"]
    assert ended.counters["preemptions"] == 0


@pytest.mark.parametrize(("system", "cached", "first_s"), [("continuum", 20, 11.0), ("fcfs-least", 8, 4.0)])
def test_blocks_are_kept_during_a_tool_call(system: str, cached: int, first_s: float) -> None:
    programs = [
        chain("busy", 30),
        chain("p", 2, 2, prompt=20, gap_s=6.0),
        chain("greedy", 4, prompt=50, arrival_s=3.0),
    ]
    ended = run(programs, system, unit(slots=4, blocks=18))
    assert records_of(ended.calls, "greedy")["c0"].first_token_s == first_s
    assert records_of(ended.calls, "p")["c1"].cached_tokens == cached


def test_the_clairvoyant_serves_what_is_least_to_do() -> None:
    programs = [
        chain("long", 4, 4, 4, 4, 4),
        chain("middle", 9, arrival_s=0.5),
        chain("short", 3, arrival_s=0.7),
    ]
    ended = run(programs, "srpt")
    assert order(ended) == ["short", "middle", "long"]
    assert ended.counters["preemptions"] >= 1
    assert all(record.level is None for record in ended.calls)


def test_swapping_moves_what_recomputing_computes_again() -> None:
    profile = unit(slots=1, blocks=64, costs=Costs(step_s=1.0, swap_token_s=0.01))
    long = chain("long", 60, prompt=100)
    programs = [long, chain("short", 2, prompt=150, arrival_s=15.0)]
    again, moved = (run(programs, system, profile) for system in ("atlas", "atlas-swap"))
    assert again.counters["recomputed_tokens"] > 0 == again.counters["swapped_tokens"]
    assert moved.counters["swapped_tokens"] > 0 == moved.counters["recomputed_tokens"]
