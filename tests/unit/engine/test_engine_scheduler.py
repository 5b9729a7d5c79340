"""The scheduler's part of the adapter over a stand-in for vLLM's, with a clock that passes when told to."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from autellix_core.errors import InvalidSetting
from autellix_core.priority import Policy
from autellix_core.wire import CallHeaders, Report
from autellix_engine.carrier import pack_call, take_report
from engine_vllm import VERSION, Clock, Output, Request, Status, make_scheduler

COMPILING = Status.WAITING_FOR_STRUCTURED_OUTPUT_GRAMMAR


@pytest.fixture
def clock() -> Clock:
    return Clock()


def call(name: str, service_s: float = 0.0, *, policy: Policy = Policy.ATLAS, **request: Any) -> Request:
    headers = CallHeaders(
        program=f"program-{name}", call=name, service_s=service_s, program_service_s=service_s, policy=policy
    )
    return Request(f"req-{name}", headers=headers, **request)


def step(scheduler: Any, clock: Clock, seconds: float = 0.1) -> list[Output]:
    """One step of the engine that takes so long: one token for everyone in the batch."""
    scheduler.schedule()
    clock.now += seconds
    tokens = [(request.request_id, 1) for request in scheduler.running]
    outputs: list[Output] = scheduler.update_from_output(tokens)[0].outputs
    return outputs


def batch(scheduler: Any) -> set[str]:
    return {request.request_id for request in scheduler.running}


def report_of(output: Output) -> Report:
    rest, report = take_report(output.kv_transfer_params)
    assert rest is None
    return Report.from_mapping(report)


def fill(scheduler: Any, clock: Clock, service_s: float = 9.0) -> None:
    for name in ("a", "b"):
        scheduler.add_request(call(name, service_s))
        clock.now += 0.001
    step(scheduler, clock)


class TestOrder:
    def test_vllm_gets_a_heap_whatever_its_policy_was(self, clock: Clock) -> None:
        assert make_scheduler(clock).policy == "priority"

    def test_a_call_enters_at_its_programs_level(self, clock: Clock) -> None:
        scheduler = make_scheduler(clock)
        requests = [call("new"), call("used", 1.0), call("heavy", 100.0)]
        for request in requests:
            scheduler.add_request(request)
        assert [request.priority for request in requests] == [0, 1, 2]
        assert {request.arrival_time for request in requests} == {clock.now}

    def test_a_request_of_nobody_is_a_new_program_of_one_call(self, clock: Clock) -> None:
        scheduler = make_scheduler(clock)
        request = Request("req-plain")
        scheduler.add_request(request)
        step(scheduler, clock)
        assert request.priority == 0
        assert scheduler.autellix_state()["resident_blocks"] == {"req-plain": 2}

    @pytest.mark.parametrize("policy", [Policy.MLFQ, Policy.FCFS])
    def test_policies_that_know_no_programs_ignore_the_service(self, clock: Clock, policy: Policy) -> None:
        scheduler = make_scheduler(clock)
        request = call("heavy", 100.0, policy=policy)
        scheduler.add_request(request)
        assert request.priority == 0

    def test_a_better_call_displaces_the_worst_of_a_full_batch(self, clock: Clock) -> None:
        scheduler = make_scheduler(clock)
        fill(scheduler, clock)
        scheduler.add_request(call("c"))
        scheduler.schedule()
        assert batch(scheduler) == {"req-a", "req-c"}
        assert scheduler.requests["req-b"].status is Status.PREEMPTED
        assert [request.request_id for request in scheduler.waiting.heap] == ["req-b"]
        assert "req-b" not in scheduler.prev_step_scheduled_req_ids

    def test_equals_do_not_displace_one_another(self, clock: Clock) -> None:
        scheduler = make_scheduler(clock)
        fill(scheduler, clock)
        scheduler.add_request(call("c", 9.0))
        step(scheduler, clock)
        assert batch(scheduler) == {"req-a", "req-b"}

    def test_the_displaced_call_returns_to_its_place(self, clock: Clock) -> None:
        scheduler = make_scheduler(clock)
        fill(scheduler, clock)
        scheduler.add_request(call("later", 9.0))
        scheduler.add_request(call("c", max_tokens=1))
        step(scheduler, clock)
        scheduler.schedule()
        assert batch(scheduler) == {"req-a", "req-b"}

    def test_a_displaced_call_does_not_come_back_in_the_same_step(self, clock: Clock) -> None:
        scheduler = make_scheduler(clock, slots=1)
        scheduler.add_request(call("a", 9.0))
        step(scheduler, clock)
        scheduler.refused.add("req-c")
        scheduler.add_request(call("c"))
        scheduler.waiting.remove_request(scheduler.requests["req-c"])  # vLLM does not admit it after all
        scheduler.schedule()
        assert batch(scheduler) == set()
        scheduler.schedule()
        assert batch(scheduler) == {"req-a"}

    def test_a_better_call_displaces_for_want_of_blocks_too(self, clock: Clock) -> None:
        scheduler = make_scheduler(clock, slots=4, blocks=6)
        for name in ("a", "b"):
            scheduler.add_request(call(name, 9.0, num_prompt_tokens=10))
            clock.now += 0.001
        step(scheduler, clock)
        scheduler.add_request(call("c", num_prompt_tokens=4))
        scheduler.schedule()
        assert batch(scheduler) == {"req-a", "req-c"}

    def test_blocks_that_come_back_a_step_later_admit_the_better_call_a_step_later(self, clock: Clock) -> None:
        scheduler = make_scheduler(clock, slots=4, blocks=6)
        scheduler.defers_frees = True
        for name in ("a", "b"):
            scheduler.add_request(call(name, 9.0, num_prompt_tokens=10))
            clock.now += 0.001
        step(scheduler, clock)
        scheduler.add_request(call("c", num_prompt_tokens=4))
        scheduler.schedule()
        assert batch(scheduler) == {"req-a"}
        scheduler.schedule()
        assert batch(scheduler) == {"req-a", "req-c"}

    def test_calls_come_under_first_come_first_served_in_their_order(self, clock: Clock) -> None:
        scheduler = make_scheduler(clock)
        for name, service_s in (("a", 9.0), ("b", 5.0), ("c", 0.0)):
            scheduler.add_request(call(name, service_s, policy=Policy.FCFS))
            clock.now += 1
        for _ in range(30):
            step(scheduler, clock, 1.0)
            assert batch(scheduler) == {"req-a", "req-b"}

    def test_a_demoted_call_makes_way(self, clock: Clock) -> None:
        scheduler = make_scheduler(clock, slots=1)
        scheduler.add_request(call("a"))
        step(scheduler, clock, 0.6)
        scheduler.add_request(call("b"))
        step(scheduler, clock, 0.6)
        assert batch(scheduler) == {"req-a"}, "a still has quantum, and b came later"
        step(scheduler, clock)
        assert batch(scheduler) == {"req-b"}
        assert scheduler.requests["req-a"].priority == 1

    def test_a_starving_call_is_promoted_inside_vllms_heap(self, clock: Clock) -> None:
        scheduler = make_scheduler(clock, slots=1, beta=2.0)
        scheduler.add_request(call("running", 2.0))
        step(scheduler, clock)
        scheduler.add_request(call("first in line", 3.0))
        scheduler.add_request(call("starving", 2.0))
        clock.now += 5.0  # W/T is 5/3 for the one and 5/2 for the other
        scheduler.schedule()
        assert scheduler.requests["req-starving"].priority == 0
        assert batch(scheduler) == {"req-starving"}

    def test_decisions_come_every_n_steps(self, clock: Clock) -> None:
        scheduler = make_scheduler(clock, decide_every_steps=3)
        fill(scheduler, clock)
        scheduler.add_request(call("c"))
        step(scheduler, clock)
        assert "req-c" not in batch(scheduler)
        step(scheduler, clock)
        assert "req-c" in batch(scheduler)

    def test_at_most_so_many_preemptions_a_decision(self, clock: Clock) -> None:
        scheduler = make_scheduler(clock, slots=4, most_preemptions=1)
        for index in range(4):
            scheduler.add_request(call(f"old-{index}", 9.0))
        step(scheduler, clock)
        for index in range(4):
            scheduler.add_request(call(f"new-{index}"))
        for admitted in (1, 2, 3, 4):
            step(scheduler, clock)
            assert sum("new" in name for name in batch(scheduler)) == admitted

    def test_the_best_call_is_first_in_line_for_the_token_budget(self, clock: Clock) -> None:
        scheduler = make_scheduler(clock)
        scheduler.add_request(call("heavy", 9.0))
        step(scheduler, clock)
        scheduler.add_request(call("light"))
        step(scheduler, clock)
        scheduler.schedule()
        assert [request.request_id for request in scheduler.running] == ["req-light", "req-heavy"]


class TestVictims:
    @pytest.mark.parametrize(
        "state",
        [{"resumable": True}, {"num_output_placeholders": 100}],
        ids=["its input is streamed", "its last token is in flight"],
    )
    def test_some_calls_cannot_be_put_back(self, clock: Clock, state: dict[str, Any]) -> None:
        scheduler = make_scheduler(clock)
        fill(scheduler, clock)
        for name, value in state.items():
            setattr(scheduler.requests["req-b"], name, value)
        scheduler.add_request(call("c"))
        scheduler.schedule()
        assert batch(scheduler) == {"req-b", "req-c"}

    @pytest.mark.parametrize(
        "state",
        [
            {"status": COMPILING, "structured_output_request": SimpleNamespace(grammar=None)},
            {"status": COMPILING, "structured_output_request": SimpleNamespace(grammar=ValueError("no grammar"))},
            {"status": Status.WAITING_FOR_REMOTE_KVS},
            {"num_stale_output_tokens": 1},
        ],
        ids=["its grammar compiles", "its grammar is wrong", "its KV is fetched", "output is in flight"],
    )
    def test_nobody_is_put_back_for_a_call_that_cannot_run_yet(self, clock: Clock, state: dict[str, Any]) -> None:
        scheduler = make_scheduler(clock)
        fill(scheduler, clock)
        late = call("c")
        scheduler.add_request(late)
        for name, value in state.items():
            setattr(late, name, value)
        scheduler.schedule()
        assert batch(scheduler) == {"req-a", "req-b"}

    def test_a_call_whose_grammar_is_compiled_displaces_like_any_other(self, clock: Clock) -> None:
        scheduler = make_scheduler(clock)
        fill(scheduler, clock)
        late = call("c", structured_output_request=SimpleNamespace(grammar=object()))
        scheduler.add_request(late)
        late.status = COMPILING  # vLLM looks again only when there is a place
        scheduler.schedule()
        assert batch(scheduler) == {"req-a", "req-c"}

    def test_a_call_whose_kv_is_there_displaces_like_any_other(self, clock: Clock) -> None:
        scheduler = make_scheduler(clock)
        fill(scheduler, clock)
        late = call("c")
        scheduler.add_request(late)
        late.status = Status.WAITING_FOR_REMOTE_KVS  # vLLM looks again only when there is a place
        scheduler.finished_recving_kv_req_ids.add("req-c")
        scheduler.schedule()
        assert batch(scheduler) == {"req-a", "req-c"}

    def test_nobody_is_put_back_while_the_engine_is_paused(self, clock: Clock) -> None:
        scheduler = make_scheduler(clock)
        fill(scheduler, clock)
        scheduler.add_request(call("c"))
        scheduler.pause_state.name = "PAUSED_NEW"
        scheduler.schedule()
        assert batch(scheduler) == {"req-a", "req-b"}
        scheduler.pause_state.name = "UNPAUSED"
        scheduler.schedule()
        assert batch(scheduler) == {"req-a", "req-c"}

    def test_a_call_that_vllm_does_not_admit_preempts_once_not_at_every_step(self, clock: Clock) -> None:
        scheduler = make_scheduler(clock)
        fill(scheduler, clock)
        scheduler.refused.add("req-c")
        scheduler.add_request(call("c"))
        step(scheduler, clock)
        assert batch(scheduler) == {"req-a"}
        scheduler.waiting.remove_request(scheduler.requests["req-c"])  # as vLLM skips what it cannot admit
        step(scheduler, clock)
        scheduler.waiting.add_request(scheduler.requests["req-c"])
        assert batch(scheduler) == {"req-a", "req-b"}
        for _ in range(10):
            step(scheduler, clock)
            assert batch(scheduler) == {"req-a", "req-b"}


class TestReports:
    def test_service_and_wait_are_right_through_a_preemption(self, clock: Clock) -> None:
        scheduler = make_scheduler(clock, slots=1)
        scheduler.add_request(call("a", 9.0, max_tokens=2))
        clock.now += 0.5
        step(scheduler, clock, 1.0)
        scheduler.add_request(call("c", max_tokens=1))
        (ended,) = step(scheduler, clock, 2.0)
        assert report_of(ended).call == "c"
        clock.now += 0.25
        (ended,) = step(scheduler, clock, 4.0)
        report = report_of(ended)
        assert (report.service_s, report.wait_s) == pytest.approx((1.0 + 4.0, 0.5 + 2.0 + 0.25))
        assert (report.preemptions, report.level) == (1, 2)
        assert (report.prompt_tokens, report.cached_tokens, report.output_tokens) == (4, 3, 2)

    def test_a_preemption_by_vllm_itself_counts_too(self, clock: Clock) -> None:
        scheduler = make_scheduler(clock, slots=1)
        scheduler.add_request(call("a", max_tokens=2))
        step(scheduler, clock, 1.0)
        victim = scheduler.running.pop()
        scheduler._preempt_request(victim, 0.0)
        clock.now += 3.0
        (ended,) = step(scheduler, clock, 1.0)
        report = report_of(ended)
        assert (report.service_s, report.wait_s, report.preemptions) == pytest.approx((2.0, 3.0, 1))

    def test_without_a_stop_string_only_the_last_output_reports(self, clock: Clock) -> None:
        scheduler = make_scheduler(clock)
        scheduler.add_request(call("a", max_tokens=2))
        assert [output.kv_transfer_params for output in step(scheduler, clock)] == [None]
        assert report_of(step(scheduler, clock)[0]).output_tokens == 2

    def test_with_a_stop_string_each_output_may_be_the_last(self, clock: Clock) -> None:
        scheduler = make_scheduler(clock)
        scheduler.add_request(call("a", stop=["x"]))
        reports = [report_of(step(scheduler, clock, 1.0)[0]) for _ in range(3)]
        assert [report.output_tokens for report in reports] == [1, 2, 3]
        assert [report.service_s for report in reports] == pytest.approx([1.0, 2.0, 3.0])

    def test_an_aborted_call_is_kept_for_whoever_asks(self, clock: Clock) -> None:
        scheduler = make_scheduler(clock)
        scheduler.add_request(call("a"))
        step(scheduler, clock, 1.0)
        scheduler.add_request(call("queued", 9.0))
        scheduler.finish_requests(["req-a", "req-queued", "req-unknown"])
        aborted = scheduler.autellix_state()["aborted"]
        assert [(entry["program"], entry["report"]["call"]) for entry in aborted] == [
            ("program-a", "a"),
            ("program-queued", "queued"),
        ]
        assert Report.from_mapping(aborted[0]["report"]).service_s == pytest.approx(1.0)

    def test_the_reports_of_aborted_calls_are_bounded(self, clock: Clock) -> None:
        scheduler = make_scheduler(clock, aborted_reports=2)
        for name in "abcd":
            scheduler.add_request(call(name))
            scheduler.finish_requests([f"req-{name}"])
        assert [entry["report"]["call"] for entry in scheduler.autellix_state()["aborted"]] == ["c", "d"]

    def test_a_call_that_vllm_gives_up_reports_with_its_error(self, clock: Clock) -> None:
        scheduler = make_scheduler(clock)
        scheduler.add_request(call("a"))
        step(scheduler, clock, 1.0)
        scheduler.finish_requests(["req-a"])
        output = Output("req-a", [], finish_reason="error")
        scheduler._ledger.produced([output], now=clock.now)
        assert report_of(output).service_s == pytest.approx(1.0)

    def test_a_call_of_several_requests_has_one_account(self, clock: Clock) -> None:
        scheduler = make_scheduler(clock, slots=1)
        headers = CallHeaders(program="p", call="several")
        for index in range(2):
            scheduler.add_request(Request(f"req-{index}", headers=headers, exchange="http", max_tokens=1))
        clock.now += 0.5
        first = report_of(step(scheduler, clock, 1.0)[0])
        last = report_of(step(scheduler, clock, 2.0)[0])
        assert (first.service_s, first.wait_s, first.output_tokens) == pytest.approx((1.0, 0.5, 1))
        assert (last.service_s, last.wait_s, last.output_tokens) == pytest.approx((3.0, 0.5, 2))
        assert last.prompt_tokens == 8

    def test_other_parameters_of_an_output_stay(self, clock: Clock) -> None:
        scheduler = make_scheduler(clock)
        scheduler.add_request(call("a"))
        step(scheduler, clock)
        output = Output("req-a", [0], finish_reason="stop", kv_transfer_params={"remote": 1})
        scheduler.requests["req-a"].status = Status.FINISHED
        scheduler._ledger.produced([output], now=clock.now)
        assert take_report(output.kv_transfer_params)[0] == {"remote": 1}

    def test_nothing_is_left_of_calls_that_are_gone(self, clock: Clock) -> None:
        scheduler = make_scheduler(clock)
        for name in "abc":
            scheduler.add_request(call(name, max_tokens=1))
        while scheduler.requests:
            step(scheduler, clock)
        state = scheduler.autellix_state()
        assert (state["running"], state["waiting"], state["resident_blocks"]) == ([], 0, {})
        assert len(scheduler._ledger) == len(scheduler._ledger.queues) == 0


class TestState:
    def test_it_shows_queues_calls_and_blocks(self, clock: Clock) -> None:
        scheduler = make_scheduler(clock)
        for name in ("a", "b", "c"):
            scheduler.add_request(call(name, 2.0, num_prompt_tokens=7))
        step(scheduler, clock, 1.0)
        state = scheduler.autellix_state()
        assert state["policy"] == "atlas"
        assert state["levels"] == [
            {"waiting": 0, "running": 0},
            {"waiting": 1, "running": 2},
            {"waiting": 0, "running": 0},
        ]
        assert state["waiting"] == 1
        assert state["resident_blocks"] == {"program-a": 2, "program-b": 2}
        assert state["kv_usage"] == 0.5
        shown = {each["call"]: each for each in state["running"]}
        assert shown["a"]["program"] == "program-a"
        assert shown["a"]["blocks"] == 2
        assert shown["a"]["service_s"] == pytest.approx(1.0)

    def test_it_says_what_the_engine_is_and_how_its_levels_are_set(self, clock: Clock) -> None:
        state = make_scheduler(clock, slots=3, quanta_s=[1.0, 2.0, None], beta=4.0).autellix_state()
        assert (state["version"], state["slots"], state["beta"]) == (VERSION, 3, 4.0)
        assert (state["bounds_s"], state["quanta_s"]) == ([1.0, 4.0], [1.0, 2.0, None])


class TestFailures:
    def test_a_failing_decision_logs_once_and_leaves_vllms_own_order(
        self, clock: Clock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scheduler = make_scheduler(clock)
        fill(scheduler, clock)

        def broken(**_: float) -> None:
            raise RuntimeError("a bug")

        monkeypatch.setattr(scheduler._queues, "turn", broken)
        scheduler.add_request(call("c"))
        with caplog.at_level(logging.ERROR):
            for _ in range(5):
                step(scheduler, clock)
        assert batch(scheduler) == {"req-a", "req-b"}
        assert len(caplog.records) == 1
        assert "Deciding failed" in caplog.records[0].getMessage()

    @pytest.mark.parametrize(
        "broken",
        [
            "_ledger.enter",
            "_ledger.started",
            "_ledger.preempted",
            "_ledger.produced",
            "_ledger.aborted",
            "_ledger.request",
            "_queues.turn",
            "_queues.select",
            "_queues.started",
            "_queues.preempted",
            "_queues.leave",
            "_blocks.needed",
            "_blocks.returned",
            "_may_run",
            "_may_leave",
            "_loses",
            "_place",
            "_put_back",
            "_note_in_vain",
            "_clock",
        ],
    )
    @pytest.mark.parametrize("every", [1, 3], ids=["always", "now and then"])
    def test_whatever_of_ours_fails_every_call_gets_all_its_tokens(
        self, clock: Clock, monkeypatch: pytest.MonkeyPatch, broken: str, every: int
    ) -> None:
        scheduler = make_scheduler(clock, blocks=10, beta=2.0)
        owner, calls = scheduler, 0
        for part in broken.split(".")[:-1]:
            owner = getattr(owner, part)
        name = broken.split(".")[-1]
        real = getattr(owner, name)

        def failing(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls % every == 0:
                raise RuntimeError("a bug")
            return real(*args, **kwargs)

        monkeypatch.setattr(owner, name, failing)
        wanted = {f"req-{index}": 3 + index % 7 for index in range(12)}
        got = dict.fromkeys(wanted, 0)
        for index, tokens in enumerate(wanted.values()):
            scheduler.add_request(call(str(index), (0.0, 2.0, 9.0)[index % 3], max_tokens=tokens))
            for output in step(scheduler, clock, 0.4):
                got[output.request_id] += len(output.new_token_ids)
            if index == 5:
                left = scheduler.running[-1].request_id
                scheduler.finish_requests([left])
                wanted[left] = got[left]
        for _ in range(200):
            for output in step(scheduler, clock, 0.4):
                got[output.request_id] += len(output.new_token_ids)

        assert not scheduler.requests
        assert got == wanted
        if calls >= every:
            assert sum(scheduler._counts.failures.values()) > 0

    def test_a_failure_half_way_loses_no_request(
        self, clock: Clock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scheduler = make_scheduler(clock)
        fill(scheduler, clock)
        put_back = scheduler._put_back

        def broken(victim: Request, parked: list[Request]) -> None:
            put_back(victim, parked)
            raise RuntimeError("a bug")

        monkeypatch.setattr(scheduler, "_put_back", broken)
        scheduler.add_request(call("c"))
        step(scheduler, clock)
        everywhere = [request.request_id for request in [*scheduler.running, *scheduler.waiting.heap]]
        assert sorted(everywhere) == ["req-a", "req-b", "req-c"]

    def test_an_engine_with_wrong_settings_does_not_start(self, clock: Clock) -> None:
        with pytest.raises(InvalidSetting, match="no setting typo"):
            make_scheduler(clock, typo=1)

    def test_a_forged_entry_is_ignored(self, clock: Clock) -> None:
        scheduler = make_scheduler(clock)
        for index, forged in enumerate(["evil", {"headers": 3}, {"headers": {}}, {"headers": {"x-autellix-call": ""}}]):
            request = Request(f"req-{index}")
            request.sampling_params.extra_args = {"autellix": forged}
            scheduler.add_request(request)
            assert request.priority == 0
        assert scheduler.autellix_state()["waiting"] == 4


class TestCounts:
    @staticmethod
    def counts(scheduler: Any) -> dict[str, Any]:
        counts: dict[str, Any] = scheduler.autellix_state()["counts"]
        return counts

    def test_preemptions_are_counted_by_their_cause(self, clock: Clock) -> None:
        scheduler = make_scheduler(clock, slots=2)
        fill(scheduler, clock)
        scheduler.add_request(call("c"))
        step(scheduler, clock)
        assert self.counts(scheduler)["preemptions"] == {"better_call": 1, "kv_pressure": 0, "cache_reset": 0}
        scheduler.short_of_blocks = True
        step(scheduler, clock)
        assert self.counts(scheduler)["preemptions"] == {"better_call": 1, "kv_pressure": 1, "cache_reset": 0}
        scheduler._preempt_request(scheduler.running.pop(), 0.0)
        assert self.counts(scheduler)["preemptions"] == {"better_call": 1, "kv_pressure": 1, "cache_reset": 1}

    def test_demotions_promotions_and_decisions(self, clock: Clock) -> None:
        scheduler = make_scheduler(clock, slots=1, beta=2.0)
        scheduler.add_request(call("a"))
        step(scheduler, clock, 1.5)
        scheduler.add_request(call("b", 2.0))
        clock.now += 5.0
        step(scheduler, clock)
        counts = self.counts(scheduler)
        assert (counts["demotions"], counts["promotions"]) == (1, 1)
        assert sum(counts["decisions"]) == 2
        assert counts["deciding_s"] > 0

    @pytest.mark.parametrize(("cached", "again"), [(4, 1), (5, 0), (0, 5)])
    def test_tokens_that_a_resumed_call_computes_again(self, clock: Clock, cached: int, again: int) -> None:
        scheduler = make_scheduler(clock, slots=1)
        scheduler.add_request(call("a", 9.0))
        step(scheduler, clock)
        step(scheduler, clock)  # the prompt's four tokens, and the first one's
        scheduler.add_request(call("c", max_tokens=1))
        scheduler.cached["req-a"] = cached
        step(scheduler, clock)
        step(scheduler, clock)
        counts = self.counts(scheduler)
        assert batch(scheduler) == {"req-a"}
        assert (counts["resumptions"], counts["recomputed_tokens"]) == (1, again)

    def test_absurd_headers_are_counted_once_a_call(self, clock: Clock) -> None:
        scheduler = make_scheduler(clock)
        headers = {
            **CallHeaders(program="p", call="c").to_headers(),
            "x-autellix-service": "-1",
            "x-autellix-policy": "?",
        }
        for index in range(2):
            request = Request(f"req-{index}")
            request.sampling_params.extra_args = pack_call(None, headers, "one call")
            scheduler.add_request(request)
        assert self.counts(scheduler)["absurd_headers"] == {"x-autellix-service": 1, "x-autellix-policy": 1}

    def test_failures_are_counted_by_what_failed(self, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
        scheduler = make_scheduler(clock)
        monkeypatch.setattr(scheduler, "_decide", lambda _: 1 / 0)
        for _ in range(3):
            step(scheduler, clock)
        assert self.counts(scheduler)["failures"] == {"deciding": 3}

    def test_what_an_end_that_went_unnoticed_left_is_dropped(
        self, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scheduler = make_scheduler(clock)
        fill(scheduler, clock)
        with monkeypatch.context() as once:
            once.setattr(scheduler._ledger, "aborted", lambda *_, **__: 1 / 0)
            scheduler.finish_requests(["req-a"])
        assert len(scheduler._ledger) == 1
        scheduler.add_request(call("c"))
        step(scheduler, clock)
        assert batch(scheduler) == {"req-b", "req-c"}
        assert self.counts(scheduler)["failures"] == {"noting an abort": 1}


class TestCost:
    def test_the_victim_is_who_computed_least_among_the_worst(self, clock: Clock) -> None:
        scheduler = make_scheduler(clock, slots=3)
        for name, tokens in (("a", 40), ("b", 4), ("c", 20)):
            scheduler.add_request(call(name, 9.0, num_prompt_tokens=tokens))
            clock.now += 0.001
        step(scheduler, clock)
        scheduler.add_request(call("new"))
        step(scheduler, clock)
        assert batch(scheduler) == {"req-a", "req-c", "req-new"}

    def test_nobody_is_displaced_for_blocks_that_a_running_call_shares(self, clock: Clock) -> None:
        scheduler = make_scheduler(clock, slots=3, blocks=6)
        prefix = [f"block-{index}" for index in range(3)]
        scheduler.shared = {each: SimpleNamespace(ref_cnt=1) for each in prefix}
        scheduler.add_request(call("holds", 9.0, num_prompt_tokens=16, block_hashes=prefix))
        scheduler.schedule()
        scheduler.add_request(call("shares", num_prompt_tokens=13, block_hashes=prefix))
        scheduler.schedule()
        assert scheduler.autellix_state()["counts"]["preemptions"]["better_call"] == 0

    def test_a_call_waits_for_its_lora_adapter_without_displacing_others(self, clock: Clock) -> None:
        scheduler = make_scheduler(clock)
        scheduler.lora_config = SimpleNamespace(max_loras=1)
        for name in ("a", "b"):
            scheduler.add_request(call(name, 9.0, lora_request=SimpleNamespace(lora_int_id=1)))
        step(scheduler, clock)
        scheduler.add_request(call("other", lora_request=SimpleNamespace(lora_int_id=2)))
        step(scheduler, clock)
        assert batch(scheduler) == {"req-a", "req-b"}
        scheduler.add_request(call("same", lora_request=SimpleNamespace(lora_int_id=1)))
        scheduler.waiting.remove_request(scheduler.requests["req-other"])  # as vLLM passes it over
        step(scheduler, clock)
        assert "req-same" in batch(scheduler)
