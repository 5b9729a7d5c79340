"""How many engines a pool needs, and which of them to give up."""

import itertools
import math
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autellix_core.errors import InvalidSetting
from autellix_core.program import EngineId
from autellix_core.scaling import (
    Demand,
    Desired,
    EngineDemand,
    History,
    ScalingPolicy,
    ScalingReason,
    desired,
    explain,
    give_up,
)

POLICY = ScalingPolicy(min_engines=1, max_engines=6, target_calls=4, stabilization_s=60.0, idle_s=100.0)
TO_ZERO = replace(POLICY, min_engines=0)


def engines(*calls: int, wait_s: float = 0.0, slots: int = 0) -> tuple[EngineDemand, ...]:
    """Engines that hold so many calls, all with the same wait."""
    return tuple(
        EngineDemand(EngineId(f"e{n}"), calls=held, wait_s=wait_s, slots=slots) for n, held in enumerate(calls)
    )


def starting(count: int) -> tuple[EngineDemand, ...]:
    return tuple(EngineDemand(EngineId(f"new{n}"), ready=False) for n in range(count))


@dataclass
class Pool:
    """A pool that is told what the rule desires, and looks every five seconds."""

    policy: ScalingPolicy = POLICY
    current: int = 1
    now_s: float = 1000.0
    history: History = field(default_factory=History)
    seen: Desired | None = None

    def look(self, demand: Demand, *, after_s: float = 5.0) -> Desired:
        self.now_s += after_s
        self.seen, self.history = desired(
            self.policy, demand, current=self.current, history=self.history, now_s=self.now_s
        )
        self.current = self.seen.engines
        return self.seen

    def look_on(self, demand: Demand, *, for_s: float) -> list[int]:
        return [self.look(demand).engines for _ in range(int(for_s / 5.0))]


@pytest.mark.parametrize(
    ("policy", "current", "demand", "expected", "reason"),
    [
        pytest.param(POLICY, 1, Demand(engines(9), active=9), 3, ScalingReason.CALLS, id="nine-calls-by-fours"),
        pytest.param(POLICY, 2, Demand(engines(4, 4), active=8), 2, ScalingReason.ENOUGH, id="just-full"),
        pytest.param(POLICY, 1, Demand(engines(3), active=3, returning=4), 2, ScalingReason.CALLS, id="returning"),
        pytest.param(POLICY, 1, Demand(engines(2), held=3, active=5), 2, ScalingReason.CALLS, id="held-ones-count"),
        pytest.param(POLICY, 1, Demand(engines(4, slots=2), active=4), 2, ScalingReason.CALLS, id="no-more-than-slots"),
        pytest.param(POLICY, 2, Demand(engines(3, 3, wait_s=1.5), active=6), 3, ScalingReason.WAIT, id="calls-wait"),
        pytest.param(POLICY, 1, Demand(engines(4, wait_s=99.0), active=4), 3, ScalingReason.WAIT, id="double-and-one"),
        pytest.param(POLICY, 1, Demand(engines(2, wait_s=99.0), active=2), 2, ScalingReason.WAIT, id="one-a-call"),
        pytest.param(
            POLICY, 3, Demand((*engines(9), *starting(2)), active=9), 3, ScalingReason.ENOUGH, id="some-start"
        ),
        pytest.param(
            POLICY,
            3,
            Demand((*engines(4, wait_s=99.0), *starting(2)), active=4),
            3,
            ScalingReason.ENOUGH,
            id="waits-while-some-start",
        ),
        pytest.param(POLICY, 6, Demand(engines(*[9] * 6), active=54), 6, ScalingReason.LIMIT, id="more-than-its-most"),
        pytest.param(POLICY, 5, Demand(engines(*[9] * 5), active=45), 6, ScalingReason.CALLS, id="up-to-its-most"),
        pytest.param(POLICY, 0, Demand(), 1, ScalingReason.BOUNDS, id="fewer-than-its-least"),
        pytest.param(POLICY, 9, Demand(engines(*[1] * 9), active=9), 6, ScalingReason.BOUNDS, id="above-its-most"),
        pytest.param(TO_ZERO, 0, Demand(), 0, ScalingReason.ENOUGH, id="nobody-there"),
        pytest.param(TO_ZERO, 0, Demand(held=1, active=1), 1, ScalingReason.FROM_ZERO, id="one-call-is-held"),
        pytest.param(TO_ZERO, 0, Demand(held=9, active=9), 3, ScalingReason.FROM_ZERO, id="nine-calls-are-held"),
        pytest.param(TO_ZERO, 0, Demand(active=1), 1, ScalingReason.FROM_ZERO, id="one-program-is-active"),
        pytest.param(TO_ZERO, 0, Demand(returning=1), 1, ScalingReason.FROM_ZERO, id="one-will-return"),
        pytest.param(
            replace(TO_ZERO, returning_share=0.0),
            0,
            Demand(returning=9),
            0,
            ScalingReason.ENOUGH,
            id="they-do-not-count",
        ),
    ],
)
def test_the_first_look(
    policy: ScalingPolicy, current: int, demand: Demand, expected: int, reason: ScalingReason
) -> None:
    seen, _ = desired(policy, demand, current=current, history=History(), now_s=0.0)
    assert (seen.engines, seen.reason) == (expected, reason)


def test_an_engine_that_drains_is_no_capacity_but_its_calls_are_demand() -> None:
    drains = EngineDemand(EngineId("d"), draining=True, calls=3, wait_s=50.0)
    seen, _ = desired(POLICY, Demand((*engines(4), drains), active=7), current=1, history=History(), now_s=0.0)
    assert (seen.engines, seen.reason, seen.calls, seen.ready, seen.wait_s) == (2, ScalingReason.CALLS, 7, 1, 0.0)


def test_it_scales_in_only_after_a_whole_window_and_only_to_the_windows_highest() -> None:
    pool = Pool(current=6)
    assert set(pool.look_on(Demand(engines(1, 1), active=2), for_s=60)) == {6}, "an empty history saw no window"
    assert pool.seen is not None
    assert pool.seen.reason is ScalingReason.STABILIZING
    pool.look(Demand(engines(12), active=12))
    assert (pool.seen.engines, pool.seen.reason) == (3, ScalingReason.FEWER)
    pool.look_on(Demand(engines(1), active=1), for_s=55)
    assert pool.current == 3
    pool.look_on(Demand(engines(1), active=1), for_s=15)
    assert (pool.current, pool.look(Demand(engines(1), active=1)).reason) == (1, ScalingReason.ENOUGH)


def test_a_gap_longer_than_the_window_or_a_clock_that_went_back_begins_a_new_one() -> None:
    for jump_s in (61.0, -500.0):
        pool = Pool(current=4)
        pool.look_on(Demand(engines(*[4] * 4), active=16), for_s=300)
        quiet = Demand(engines(1), active=1)
        assert pool.look(quiet, after_s=jump_s).engines == 4
        assert set(pool.look_on(quiet, for_s=55)) == {4}
        assert pool.look(quiet).engines == 1


def test_without_a_window_it_follows_every_look() -> None:
    pool = Pool(replace(TO_ZERO, stabilization_s=0.0, idle_s=0.0))
    assert pool.look(Demand(engines(9), active=9)).engines == 3
    assert pool.look(Demand(engines(4), active=4)).engines == 1
    assert pool.look(Demand(engines(0))).reason is ScalingReason.IDLE
    assert pool.current == 0


def test_to_zero_only_when_there_was_no_program_for_so_long() -> None:
    pool = Pool(TO_ZERO)
    assert set(pool.look_on(Demand(engines(0), returning=1), for_s=600)) == {1}
    assert set(pool.look_on(Demand(engines(0)), for_s=100)) == {1}
    assert pool.look(Demand(engines(0))).reason is ScalingReason.IDLE
    assert pool.current == 0
    assert pool.look(Demand()).reason is ScalingReason.ENOUGH
    assert pool.look(Demand(held=1, active=1)).engines == 1
    assert set(pool.look_on(Demand(engines(0)), for_s=90)) == {1}, "the time without programs begins anew"
    assert pool.look(Demand(engines(0), active=1)).engines == 1
    assert set(pool.look_on(Demand(engines(0)), for_s=100)) == {1}
    assert pool.look(Demand(engines(0)), after_s=70.0).engines == 1, "nobody looked, so somebody may have been there"


def test_what_waited_at_so_many_calls_is_not_tried_again() -> None:
    """Two engines' batches have room for these calls, and yet they wait: until they are fewer, or do not wait."""
    pool = Pool(replace(POLICY, target_calls=8), current=2)
    assert pool.look(Demand(engines(8, 8, wait_s=1.4), active=16)).engines == 3
    pool.look_on(Demand(engines(6, 5, 5), active=16), for_s=300)
    assert pool.current == 3
    pool.look_on(Demand(engines(4, 4, 2), active=10), for_s=300)
    assert pool.current == 2
    pool.look_on(Demand(engines(8, 8), active=16), for_s=300)
    assert (pool.current, pool.history.crowded) == (2, float("inf")), "that many do not wait any more"


def test_waits_that_are_over_do_not_count_against_the_few_calls_of_now() -> None:
    pool = Pool(replace(POLICY, target_calls=8), current=2)
    pool.look(Demand(engines(9, 9, wait_s=3.0), active=18))
    pool.look(Demand(engines(1, 1, wait_s=3.0), active=2))
    assert pool.history.crowded == 9.0
    pool.look(Demand(engines(0, 0)))
    assert pool.history.crowded == float("inf"), "what comes after a rest may be of another kind"


@pytest.mark.parametrize(
    "fields",
    [
        {"min_engines": -1},
        {"min_engines": 5, "max_engines": 4},
        {"min_engines": 0, "max_engines": 0},
        {"target_calls": 0},
        {"target_wait_s": 0.0},
        {"target_wait_s": float("nan")},
        {"returning_share": 1.1},
        {"returning_share": float("nan")},
        {"stabilization_s": -1.0},
        {"idle_s": float("nan")},
    ],
    ids=str,
)
def test_settings_that_cannot_work_are_refused(fields: dict[str, float]) -> None:
    with pytest.raises(InvalidSetting, match=next(iter(fields))):
        replace(POLICY, **fields)  # type: ignore[arg-type]


def test_the_least_locality_goes_first_and_a_drain_that_was_begun_is_finished() -> None:
    demand = Demand(
        (
            EngineDemand(EngineId("cached"), cached_tokens=9000, programs=1),
            EngineDemand(EngineId("homes"), cached_tokens=10, programs=3),
            EngineDemand(EngineId("busy"), cached_tokens=10, programs=2, calls=5),
            EngineDemand(EngineId("b"), cached_tokens=10, programs=2, calls=1),
            EngineDemand(EngineId("a"), cached_tokens=10, programs=2, calls=1),
            EngineDemand(EngineId("starts"), ready=False, cached_tokens=50),
            EngineDemand(EngineId("drains"), draining=True, cached_tokens=99999),
            EngineDemand(EngineId("gone"), draining=True, ready=False),
        )
    )
    order = ("gone", "drains", "starts", "a", "b", "busy", "homes", "cached")
    assert give_up(demand, 8) == give_up(demand, 99) == order
    assert give_up(demand, 4) == order[:4]
    assert give_up(demand, 1) == ("gone",), "the one that drains is taken back"
    assert give_up(demand, 0) == give_up(demand, -1) == ()


SENTENCES = {
    ScalingReason.CALLS: "4 engines needed for 12 calls (3 held) and 2 returning programs, not 3.",
    ScalingReason.WAIT: "Mean wait 3.2 s for 12 calls (3 held) and 2 returning programs on 2 engines.",
    ScalingReason.FROM_ZERO: "No engine yet for 12 calls (3 held) and 2 returning programs.",
    ScalingReason.FEWER: "No more than 1 engine needed lately, now for 12 calls (3 held) and 2 returning programs.",
    ScalingReason.IDLE: "No program has needed an engine lately.",
    ScalingReason.BOUNDS: "The pool's bounds ask for 1 engine, not 3.",
    ScalingReason.LIMIT: "4 engines needed for 12 calls (3 held) and 2 returning programs, and the pool may have 1.",
    ScalingReason.STABILIZING: "4 engines needed for 12 calls (3 held) and 2 returning programs, more a while ago.",
    ScalingReason.ENOUGH: "1 engine for 12 calls (3 held) and 2 returning programs.",
}


@pytest.mark.parametrize("reason", ScalingReason)
def test_every_decision_is_a_sentence(reason: ScalingReason) -> None:
    seen = Desired(1, reason, current=3, needed=4, calls=12, held=3, returning=2, ready=2, wait_s=3.21)
    assert explain(seen) == SENTENCES[reason]


def test_a_sentence_counts_as_people_do() -> None:
    assert explain(Desired(0, ScalingReason.ENOUGH)) == "No engines for no calls."
    one = Desired(1, ScalingReason.ENOUGH, calls=1, returning=1)
    assert explain(one) == "1 engine for 1 call and 1 returning program."


policies = st.builds(
    ScalingPolicy,
    min_engines=st.integers(0, 3),
    max_engines=st.integers(3, 12),
    target_calls=st.integers(1, 10),
    target_wait_s=st.floats(0.1, 5.0),
    returning_share=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    stabilization_s=st.sampled_from([0.0, 20.0, 120.0]),
    idle_s=st.sampled_from([0.0, 30.0, 200.0]),
)
engine_lists = st.lists(
    st.builds(
        EngineDemand,
        id=st.sampled_from("abcdefgh").map(EngineId),
        ready=st.booleans(),
        draining=st.booleans(),
        calls=st.integers(0, 20),
        slots=st.integers(0, 16),
        wait_s=st.one_of(st.just(0.0), st.floats(0.0, 1e300)),
        programs=st.integers(0, 5),
        cached_tokens=st.integers(0, 5000),
    ),
    max_size=8,
    unique_by=lambda engine: engine.id,
).map(tuple)
demands = st.builds(
    Demand, engines=engine_lists, held=st.integers(0, 20), active=st.integers(0, 20), returning=st.integers(0, 20)
)


@given(
    policies,
    st.integers(0, 14),
    st.lists(st.tuples(demands, st.sampled_from([0.5, 2.0, 5.0, 30.0, 150.0])), max_size=60),
)
def test_whatever_comes_it_stays_in_bounds_and_goes_in_no_sooner_than_a_window_after_it_went_out(
    policy: ScalingPolicy, current: int, looks: list[tuple[Demand, float]]
) -> None:
    pool = Pool(policy, current)
    recommended: list[tuple[float, int]] = []
    began_s = out_s = pool.now_s + (looks[0][1] if looks else 0.0)
    for demand, after_s in looks:
        before = pool.current
        seen = pool.look(demand, after_s=after_s)
        assert policy.min_engines <= seen.engines <= policy.max_engines
        assert len(pool.history.looks) <= 14
        recommended.append((pool.now_s, min(max(seen.needed, policy.min_engines), policy.max_engines)))
        of_window = [count for at_s, count in recommended if at_s > pool.now_s - policy.stabilization_s]
        assert seen.engines >= max(of_window, default=0), "in only to the window's highest"
        if seen.engines > before:
            out_s = pool.now_s
            ready = sum(engine.ready and not engine.draining for engine in demand.engines)
            if seen.reason is ScalingReason.WAIT:
                assert seen.engines <= 2 * ready + 1
        elif seen.engines < before <= policy.max_engines:
            assert pool.now_s - max(began_s, out_s) >= policy.stabilization_s
        if demand.calls or demand.active or (demand.returning and (before or policy.returning_share)):
            assert seen.engines >= 1
        assert explain(seen).endswith(".")


@settings(max_examples=50)
@given(policies, demands, st.integers(0, 14))
def test_under_constant_demand_it_converges_and_then_stays(policy: ScalingPolicy, demand: Demand, current: int) -> None:
    """Each look finds the same calls and the same waits on the engines that there are by then."""
    pool = Pool(policy, current)

    def now() -> Demand:
        ready = tuple(replace(engine, ready=True, draining=False) for engine in demand.engines)
        few = itertools.islice(itertools.cycle(ready), pool.current if ready else 0)
        calls = [demand.calls // pool.current + (n < demand.calls % pool.current) for n in range(pool.current)]
        named = (
            replace(engine, id=EngineId(str(n)), calls=held)
            for n, (engine, held) in enumerate(zip(few, calls, strict=False))
        )
        return replace(demand, engines=tuple(named), held=0 if pool.current and ready else demand.calls)

    settling_s = policy.stabilization_s + policy.idle_s + 100.0
    for _ in range(int(settling_s / 5.0)):
        pool.look(now())
    counts = {pool.look(now()).engines for _ in range(60)}
    assert len(counts) == 1, counts


@settings(max_examples=50)
@given(
    calls=st.integers(1, 60),
    returning=st.integers(0, 20),
    fits=st.floats(0.5, 10.0),
    slope_s=st.floats(0.05, 20.0),
    start_looks=st.integers(0, 10),
    lag_looks=st.integers(0, 6),
    current=st.integers(1, 12),
)
def test_where_waits_follow_from_the_engines_it_converges_too(
    calls: int, returning: int, fits: float, slope_s: float, start_looks: int, lag_looks: int, current: int
) -> None:
    """An engine in truth holds ``fits`` calls, whatever the policy says; pods take time to start and waits to show."""
    policy = ScalingPolicy(max_engines=12, target_calls=8, stabilization_s=60.0)
    pool = Pool(policy, current)
    ready_at = [0] * current
    waits = [0.0] * (lag_looks + 1)
    counts: list[int] = []
    for look in range(500):
        ready = max(1, sum(at <= look for at in ready_at))
        waits.append(max(0.0, calls / ready - fits) * slope_s)
        takes = EngineDemand(EngineId("ready"), calls=calls // ready, wait_s=waits[-1 - lag_looks])
        starts = EngineDemand(EngineId("starts"), ready=False)
        each = (takes,) * ready + (starts,) * (len(ready_at) - ready)
        held = calls - ready * (calls // ready)
        counts.append(pool.look(Demand(each, held=held, active=calls, returning=returning)).engines)
        ready_at = (sorted(ready_at) + [look + start_looks] * policy.max_engines)[: counts[-1]]
    assert len(set(counts[-150:])) == 1, counts
    one_a_call = calls + math.ceil(policy.returning_share * returning)
    assert counts[-1] >= min(policy.max_engines, one_a_call) or waits[-1] <= policy.target_wait_s


def test_windows_shorter_than_the_time_between_looks_end_too() -> None:
    policy = ScalingPolicy(min_engines=0, max_engines=3, target_calls=4, stabilization_s=1.0, idle_s=2.0)
    history, current, seen = History(), 2, []
    for look in range(4):
        demand = Demand(tuple(EngineDemand(EngineId(f"e{number}"), slots=4) for number in range(current)))
        told, history = desired(policy, demand, current=current, history=history, now_s=3.0 * look)
        current = told.engines
        seen.append(current)
    assert seen == [2, 0, 0, 0]
