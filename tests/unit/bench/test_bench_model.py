"""The engine model in virtual time: batching, the rules at work in it, memory, accounts."""

import math
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autellix_bench.engine import Costs, EngineModel, EngineSettings, Job, Piece, Preemption
from autellix_core.errors import InvalidSetting
from autellix_core.levels import Levels
from autellix_core.priority import Policy
from autellix_core.wire import CallHeaders, Report

UNIT = Costs(step_s=1.0)
LEVELS = Levels(bounds_s=(10.0, 40.0), quanta_s=(10.0, 30.0, math.inf))


@dataclass
class Run:
    """A model and its time, which is that of its iterations."""

    model: EngineModel
    now: float = 0.0
    until: float | None = None
    tokens: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    reports: dict[str, Report] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)

    def add(self, name: str, prompt: int = 1, output: int = 1, service_s: float = 0.0, **more: Any) -> None:
        pieces = tuple(map(Piece, more.pop("block_keys", ())))
        headers = CallHeaders(program=name, call=name, service_s=service_s, program_service_s=service_s)
        self.model.add(Job(name, replace(headers, **more), prompt, output, pieces), now=self.now)

    def step(self) -> None:
        self.now = self.now if self.until is None else self.until
        outcome = self.model.step(self.now)
        self.until = outcome.until
        for output in outcome.outputs:
            assert output.index == len(self.tokens[output.job])
            self.tokens[output.job].append(self.now)
            if output.report is not None:
                self.reports[output.job] = output.report
                self.order.append(output.job)

    def to_end(self) -> None:
        self.step()
        while self.until is not None:
            self.step()


def run(**settings: Any) -> Run:
    return Run(EngineModel(EngineSettings(**{"slots": 2, "costs": UNIT, "levels": LEVELS, **settings})))


def test_a_call_takes_a_prefill_and_then_a_step_a_token() -> None:
    it = run()
    it.add("a", prompt=5, output=3)
    it.to_end()
    assert it.tokens["a"] == [1.0, 2.0, 3.0]
    report = it.reports["a"]
    assert (report.service_s, report.wait_s, report.prompt_tokens, report.output_tokens) == (3.0, 0.0, 5, 3)
    assert it.until is None
    assert it.model.blocks.free == it.model.blocks.count


def test_a_step_costs_what_is_in_it() -> None:
    costs = Costs(step_s=1.0, prefill_s=10.0, prefill_token_s=0.5, decode_s=2.0, context_token_s=0.25)
    it = run(costs=costs)
    it.add("a", prompt=4, output=2)
    it.to_end()
    prefill_s = 1.0 + 10.0 + 4 * 0.5 + 4 * 0.25
    assert it.tokens["a"] == [prefill_s, prefill_s + 1.0 + 2.0 + 5 * 0.25]


def test_a_long_prompt_is_computed_in_chunks_beside_those_that_decode() -> None:
    it = run(step_tokens=10)
    it.add("a", output=6)
    it.step()
    it.add("long", prompt=25, output=1)
    it.to_end()
    assert it.tokens["a"] == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert it.tokens["long"] == [4.0]  # 9 + 9 + 7 tokens


def test_a_full_batch_gives_way_to_a_better_call_and_nothing_is_computed_twice() -> None:
    it = run()
    for name in ("a", "b"):
        it.add(name, prompt=32, output=40, service_s=50.0)
    for _ in range(21):
        it.step()
    it.add("short", output=2)
    it.to_end()
    assert it.order[0] == "short"
    assert it.tokens["short"] == [22.0, 23.0]
    assert it.reports["short"].preemptions == 0
    assert [it.reports[name].preemptions for name in ("a", "b")] == [0, 1]
    assert it.reports["b"].wait_s == 2.0
    assert it.model.recomputed_tokens == (32 + 20) % 16  # its last block was not full


def test_of_two_calls_of_the_worst_level_that_one_leaves_that_loses_less() -> None:
    it = run()
    it.add("little", prompt=16, output=40, service_s=50.0)
    it.add("much", prompt=320, output=40, service_s=50.0)
    it.step()
    it.step()
    it.add("short", output=2)
    it.to_end()
    assert [it.reports[name].preemptions for name in ("little", "much")] == [1, 0]


def test_first_come_first_served_displaces_nobody() -> None:
    it = run()
    for name in ("a", "b", "c"):
        it.add(name, output=5, service_s=50.0 if name != "c" else 0.0, policy=Policy.FCFS)
    it.to_end()
    assert it.order == ["a", "b", "c"]
    assert it.reports["c"].wait_s == 5.0
    assert it.model.preemptions == 0


def test_a_used_up_quantum_demotes_and_lets_the_next_one_in() -> None:
    it = run(slots=1)
    it.add("long", output=15)
    it.step()
    it.add("next", output=5)
    it.to_end()
    assert it.order == ["next", "long"]
    assert (it.reports["long"].demotions, it.reports["long"].preemptions, it.reports["long"].level) == (1, 1, 1)
    assert it.reports["next"].wait_s == 10.0


def test_a_starved_call_is_promoted() -> None:
    it = run(slots=1, levels=replace(LEVELS, beta=2.0))
    it.add("long", output=60, service_s=50.0)
    it.step()
    it.add("starved", output=1, service_s=50.0, program_wait_s=95.0)
    it.to_end()
    assert it.reports["starved"].promotions == 1
    assert it.order == ["starved", "long"]


def test_an_answers_prompt_is_found_in_the_cache() -> None:
    it = run()
    keys = tuple("abcd")
    it.add("first", prompt=64, output=1, block_keys=keys)
    it.to_end()
    it.add("second", prompt=70, output=1, block_keys=keys)
    it.add("same", prompt=64, output=1, block_keys=keys)
    it.to_end()
    assert it.reports["first"].cached_tokens == 0
    assert it.reports["second"].cached_tokens == 64
    assert it.reports["same"].cached_tokens == 48  # the last token is always computed, so its block is


def test_an_answer_that_another_call_gave_is_still_to_be_given_and_its_blocks_come_free() -> None:
    it = run(blocks=10)
    for name in ("first", "again"):
        it.add(name, prompt=32, output=40, block_keys=tuple("abcd"))
        it.to_end()
        assert it.model.blocks.free == 10
    assert it.reports["again"].cached_tokens == 16
    assert len(it.tokens["again"]) == 40
    it.add("next", prompt=80, output=1, block_keys=tuple("abcde"))
    it.to_end()
    assert it.reports["next"].cached_tokens == 64


def test_calls_that_grow_beyond_memory_lose_their_blocks_from_the_worst_on() -> None:
    it = run(blocks=4, block_tokens=4)
    it.add("better", prompt=4, output=8)
    it.add("worse", prompt=4, output=8, service_s=50.0)
    it.to_end()
    assert it.order == ["better", "worse"]
    assert it.reports["worse"].preemptions >= 1
    assert it.model.recomputed_tokens > 0
    assert len(it.tokens["worse"]) == 8


def test_an_abort_is_kept_with_what_it_cost() -> None:
    it = run()
    it.add("gone", output=100)
    for _ in range(6):
        it.step()
    report = it.model.abort("gone", now=it.now)
    assert report is not None
    assert (report.service_s, report.output_tokens) == (5.0, 5)
    assert it.model.abort("gone", now=it.now) is None
    state = it.model.state(now=it.now)
    assert [entry["program"] for entry in state["aborted"]] == ["gone"]
    assert (state["running"], state["waiting"], state["kv_usage"]) == ([], 0, 0.0)
    it.step()
    assert it.until is None


def test_the_state_shows_who_runs_and_how_it_is_set() -> None:
    it = run(slots=1)
    it.add("runs", prompt=20, output=9)
    it.add("waits", service_s=20.0)
    it.step()
    state = it.model.state(now=0.5)
    assert state["levels"] == [{"waiting": 0, "running": 1}, {"waiting": 1, "running": 0}, {"waiting": 0, "running": 0}]
    assert state["resident_blocks"] == {"runs": 2}
    assert state["running"][0]["service_s"] == 0.5
    assert (state["slots"], state["bounds_s"], state["quanta_s"]) == (1, [10.0, 40.0], [10.0, 30.0, None])


@pytest.mark.parametrize(("prompt", "output"), [(0, 1), (1, 0), (60, 5)])
def test_a_call_that_can_never_run_is_refused(prompt: int, output: int) -> None:
    it = run(blocks=4)
    with pytest.raises(ValueError, match="at most 64"):
        it.add("never", prompt=prompt, output=output)


@pytest.mark.parametrize("wrong", [{"slots": 0}, {"blocks": 0}, {"most_preemptions": 0}])
def test_settings_that_cannot_work_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(InvalidSetting, match="at least 1"):
        EngineSettings(**wrong)  # type: ignore[arg-type] # which of them is the test's


def test_fewer_tokens_than_slots_are_refused() -> None:
    with pytest.raises(InvalidSetting, match="cannot give one to each of 8"):
        EngineSettings(slots=8, step_tokens=7)


@pytest.mark.parametrize(("host_blocks", "moved", "again"), [(4, 2 * 53, 0), (3, 0, 53)])
def test_a_call_swapped_out_comes_back_as_far_as_the_host_has_room(host_blocks: int, moved: int, again: int) -> None:
    costs = Costs(step_s=1.0, swap_token_s=0.125)
    it = run(slots=1, costs=costs, preemption=Preemption.SWAP, prefix_caching=False, host_blocks=host_blocks)
    it.add("long", prompt=32, output=40, service_s=50.0)
    for _ in range(22):
        it.step()
    it.add("short", output=2)
    it.to_end()
    assert it.order == ["short", "long"]
    assert (it.model.swapped_tokens, it.model.recomputed_tokens) == (moved, again)
    assert it.tokens["short"] == [pytest.approx(23.0 + moved / 2 * 0.125), pytest.approx(24.0 + moved / 2 * 0.125)]
    assert it.tokens["long"][-1] == pytest.approx(42.0 + moved * 0.125)


def test_without_a_prefix_cache_nothing_is_found() -> None:
    it = run(prefix_caching=False)
    for name in ("first", "second"):
        it.add(name, prompt=64, output=1, block_keys=tuple("abcd"))
        it.to_end()
    assert it.reports["second"].cached_tokens == 0


def test_what_is_kept_for_a_program_is_given_up_before_anybody_loses_his() -> None:
    it = run(blocks=6, block_tokens=4)
    it.model.add(Job("gone", CallHeaders("p", "gone"), 8, 1, retain_s=1000.0), now=0.0)
    it.to_end()
    assert it.model.blocks.free == 4
    it.add("grows", prompt=8, output=12)
    it.to_end()
    assert it.model.preemptions == 0
    assert it.model.blocks.free == 6


def test_costs_that_cannot_work_are_refused() -> None:
    with pytest.raises(InvalidSetting, match="must take time"):
        Costs(step_s=0.0)
    with pytest.raises(InvalidSetting, match="decode_s is a time"):
        Costs(decode_s=-1.0)


CALL = st.tuples(
    st.integers(1, 30), st.integers(1, 30), st.sampled_from([0.0, 15.0, 90.0]), st.integers(0, 3), st.integers(0, 9)
)


@given(calls=st.lists(CALL, max_size=14), slots=st.integers(1, 4), blocks=st.integers(15, 40))
def test_every_call_gets_its_tokens_and_its_time_adds_up(
    calls: list[tuple[int, int, float, int, int]], slots: int, blocks: int
) -> None:
    it = run(slots=slots, blocks=blocks, block_tokens=4, step_tokens=16, levels=replace(LEVELS, beta=3.0))
    arrived: dict[str, float] = {}
    for number, (prompt, output, service_s, gap, aborts) in enumerate(calls):
        for _ in range(gap):
            it.step()
        name = str(number)
        arrived[name] = it.now
        it.add(name, prompt=prompt, output=output, service_s=service_s)
        if aborts == 0:
            it.step()
            it.model.abort(name, now=it.now)
            arrived.pop(name)
    it.to_end()
    for name, report in it.reports.items():
        assert report.output_tokens == len(it.tokens[name]) == calls[int(name)][1]
        if name in arrived:
            assert report.wait_s + report.service_s == pytest.approx(it.tokens[name][-1] - arrived[name])
    assert set(arrived) <= set(it.reports)
    assert it.model.blocks.free == blocks
    assert len(it.model) == 0
