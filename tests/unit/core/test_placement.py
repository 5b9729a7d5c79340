"""Algorithm 2, and the rules to compare it with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autellix_core.errors import InvalidSetting, NoEngine
from autellix_core.placement import (
    EngineLoad,
    LeastUsed,
    Local,
    LowestCost,
    Placement,
    PlacementPolicy,
    Reason,
    RoundRobin,
    place,
)
from autellix_core.program import EngineId

A, B, C = EngineId("a"), EngineId("b"), EngineId("c")
POLICIES = [Local(), Local(overflow_calls=2), LeastUsed(), RoundRobin(), LowestCost(0.001, 0.5)]


def loads(**calls: int) -> list[EngineLoad]:
    return [EngineLoad(EngineId(name), held) for name, held in calls.items()]


@pytest.mark.parametrize(
    ("tokens", "home", "expected"),
    [
        pytest.param(2048, A, Placement(B, Reason.SHORT, home=False), id="short-goes-to-the-least-used"),
        pytest.param(2049, A, Placement(A, Reason.HOME, home=False), id="long-goes-home"),
        pytest.param(2049, None, Placement(B, Reason.FIRST_LONG, home=True), id="first-long-makes-a-home"),
        pytest.param(2049, EngineId("gone"), Placement(B, Reason.REHOMED, home=True), id="a-lost-home-is-replaced"),
    ],
)
def test_algorithm_2(tokens: int, home: EngineId | None, expected: Placement) -> None:
    assert place(Local(), loads(a=5, b=1, c=2), tokens=tokens, home=home) == expected


def test_among_equally_used_engines_the_home_wins_then_the_first_by_name() -> None:
    assert place(Local(), loads(c=1, b=1, a=1), tokens=10).engine == A
    assert place(Local(), loads(c=1, b=1, a=1), tokens=10, home=B).engine == B


def test_a_hot_home_overflows_only_where_it_is_told_to() -> None:
    hot = loads(a=9, b=1)
    assert place(Local(), hot, tokens=9999, home=A).engine == A
    assert place(Local(overflow_calls=9), hot, tokens=9999, home=A).engine == A
    assert place(Local(overflow_calls=8), hot, tokens=9999, home=A) == Placement(B, Reason.OVERFLOW, home=True)


def test_least_used_and_round_robin_look_at_nothing_else() -> None:
    assert place(LeastUsed(), loads(a=2, b=1), tokens=9999, home=A) == Placement(B, Reason.LEAST_USED, home=False)
    turns = [place(RoundRobin(), loads(b=0, a=9, c=0), tokens=1, turn=turn).engine for turn in range(4)]
    assert turns == [A, B, C, A]


def test_cost_weighs_what_is_cached_against_the_queue() -> None:
    cost = LowestCost(prefill_s_per_token=0.001, wait_s_per_call=1.0)
    two = loads(a=3, b=0)
    stay = place(cost, two, tokens=10_000, home=A, cached_tokens=9_000)
    assert stay == Placement(A, Reason.LOWEST_COST, home=False), "9 s of prefill saved against 3 s of queue"
    move = place(cost, two, tokens=10_000, home=A, cached_tokens=2_000)
    assert move == Placement(B, Reason.LOWEST_COST, home=True)
    assert place(cost, two, tokens=100, home=A, cached_tokens=9_000).engine == B, "no more is saved than the prompt"


DRAINING_A = [EngineLoad(A, 0, draining=True), EngineLoad(B, 3), EngineLoad(C, 2)]


@pytest.mark.parametrize(
    ("policy", "tokens", "home", "expected"),
    [
        pytest.param(Local(), 2048, A, Placement(C, Reason.SHORT, home=False), id="no-short-call"),
        pytest.param(Local(), 2049, None, Placement(C, Reason.FIRST_LONG, home=True), id="no-new-program"),
        pytest.param(Local(), 2049, A, Placement(A, Reason.HOME, home=False), id="its-own-long-calls"),
        pytest.param(Local(), 2049, B, Placement(B, Reason.HOME, home=False), id="no-others-long-calls"),
        pytest.param(LeastUsed(), 9999, A, Placement(C, Reason.LEAST_USED, home=False), id="not-by-use"),
        pytest.param(RoundRobin(), 9999, A, Placement(B, Reason.ROUND_ROBIN, home=False), id="not-in-turn"),
        pytest.param(LowestCost(1.0, 1.0), 9, A, Placement(C, Reason.LOWEST_COST, home=True), id="not-by-cost"),
    ],
)
def test_a_draining_engine_is_only_its_own_programs_home(
    policy: PlacementPolicy, tokens: int, home: EngineId | None, expected: Placement
) -> None:
    assert place(policy, DRAINING_A, tokens=tokens, home=home) == expected


@pytest.mark.parametrize("policy", POLICIES)
def test_where_every_engine_drains_they_serve_as_ever(policy: PlacementPolicy) -> None:
    draining = [EngineLoad(A, 2, draining=True), EngineLoad(B, 1, draining=True)]
    staying = [EngineLoad(A, 2), EngineLoad(B, 1)]
    for tokens in (1, 9999):
        for home in (None, A, EngineId("gone")):
            assert place(policy, draining, tokens=tokens, home=home) == place(policy, staying, tokens=tokens, home=home)


def test_by_cost_a_draining_home_is_kept_for_what_it_has_cached() -> None:
    kept = place(LowestCost(1.0, 1.0), DRAINING_A, tokens=9, home=A, cached_tokens=9)
    assert kept == Placement(A, Reason.LOWEST_COST, home=False)
    other = place(LowestCost(1.0, 1.0), DRAINING_A, tokens=9, home=B, cached_tokens=9)
    assert other == Placement(B, Reason.LOWEST_COST, home=False)


def test_a_hot_draining_home_overflows_to_one_that_stays() -> None:
    hot = [EngineLoad(A, 9, draining=True), EngineLoad(B, 0, draining=True), EngineLoad(C, 1)]
    assert place(Local(overflow_calls=8), hot, tokens=9999, home=A) == Placement(C, Reason.OVERFLOW, home=True)


@pytest.mark.parametrize("policy", POLICIES)
def test_without_engines_there_is_a_sentence(policy: PlacementPolicy) -> None:
    with pytest.raises(NoEngine, match="No engine is ready"):
        place(policy, [], tokens=1)


@pytest.mark.parametrize(
    "fields", [{"short_tokens": -1}, {"overflow_calls": 0}], ids=["negative-threshold", "no-overflow"]
)
def test_settings_that_cannot_work_are_refused(fields: dict[str, int]) -> None:
    with pytest.raises(InvalidSetting):
        Local(**fields)
    with pytest.raises(InvalidSetting):
        LowestCost(0.0, 1.0)


@given(
    st.sampled_from(POLICIES),
    st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 20), min_size=1),
    st.integers(0, 10_000),
    st.one_of(st.none(), st.sampled_from("abcdefg")),
    st.integers(0, 1000),
)
def test_every_gateway_places_alike_whatever_the_order_of_its_list(
    policy: PlacementPolicy, calls: dict[str, int], tokens: int, home: str | None, turn: int
) -> None:
    engines = loads(**calls)
    at = None if home is None else EngineId(home)
    one = place(policy, engines, tokens=tokens, home=at, turn=turn)
    assert one == place(policy, engines[::-1], tokens=tokens, home=at, turn=turn)
    assert one.engine in {engine.id for engine in engines}
    if one.reason in (Reason.SHORT, Reason.FIRST_LONG, Reason.REHOMED, Reason.LEAST_USED, Reason.OVERFLOW):
        assert calls[one.engine] == min(calls.values())
