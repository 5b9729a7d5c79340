"""The calls inside one engine: where each request stands in the queues, and what its call's account says.

Bookkeeping only. It sees of vLLM's requests what any engine's have (an id, tokens, sampling parameters), and never
touches vLLM's queues; that is :mod:`scheduler`'s.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from typing import Any

from autellix_core.levels import Queued
from autellix_core.priority import entry_service
from autellix_core.queues import Queues
from autellix_core.wire import AbortedJSON, EngineStateJSON
from autellix_engine.accounts import Account
from autellix_engine.carrier import carried, pack_report
from autellix_engine.counts import Cause, Counts
from autellix_engine.settings import Settings

__all__ = ["Ledger"]

_MOST_IDLE_ACCOUNTS = 4096
"""Accounts kept of calls that have no request in the engine: a beam search sends its next ones shortly after."""


@dataclass(slots=True)
class _Entry:
    """A request of vLLM's and the call that it belongs to."""

    request: Any
    account: Account
    exchange: str
    may_stop: bool
    """It has stop strings, which the API process looks for: as far as the engine knows, each output may be the last."""
    prefilled: bool = False
    """Its cached prompt tokens are in the account."""
    computed_tokens: int = 0
    """Tokens whose KV it had when it was last put back."""


class Ledger:
    """All calls of one engine. ``now`` is always seconds of the scheduler's clock."""

    def __init__(self, settings: Settings, *, version: str = "", slots: int = 0) -> None:
        """``version`` is the engine's, ``slots`` the calls that its batch holds: both for :meth:`state`."""
        self.queues = Queues(settings.levels)
        self.counts = Counts()
        self._version = version
        self._slots = slots
        self._settings = settings
        self._entries: dict[str, _Entry] = {}
        self._accounts: OrderedDict[str, Account] = OrderedDict()
        self._aborted: OrderedDict[str, AbortedJSON] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def request(self, call: Queued) -> Any:
        """vLLM's request of a call in the queues."""
        return self._entries[call.id].request

    def enter(self, request: Any, *, now: float) -> Queued:
        """A new request: at its program's level (Algorithm 1, entry of a call)."""
        sampling = request.sampling_params
        extra = sampling.extra_args if sampling is not None else None
        call = carried(extra, request=request.request_id, policy=self._settings.policy)
        headers = call.headers
        if call.exchange not in self._accounts:
            self.counts.saw_absurd(call.absurd)
        account = self._accounts.get(call.exchange) or Account(headers=headers, since=now)
        may_stop = sampling is not None and bool(sampling.stop)
        entry = _Entry(request, account, call.exchange, may_stop)
        queued = self.queues.enter(
            request.request_id,
            entry_service(headers.policy, critical_path_s=headers.service_s, service_s=headers.service_s),
            now=now,
            policy=headers.policy,
            program_wait_s=headers.program_wait_s,
            program_service_s=headers.program_service_s,
        )
        self._entries[request.request_id] = entry
        self._accounts[call.exchange] = account
        account.arrive(prompt_tokens=request.num_prompt_tokens, level=queued.level, now=now)
        return queued

    def started(self, request_id: str, *, now: float, cached_tokens: int = 0) -> None:
        """The request came into the batch; of one that is in it, or is unknown, nothing changes.

        ``cached_tokens`` are those whose KV it need not compute.
        """
        entry = self._entries.get(request_id)
        if entry is None or self.queues[request_id].running:
            return
        if self.queues.started(request_id, now=now).preemptions:
            self.counts.resumed(recomputed_tokens=max(0, entry.computed_tokens - cached_tokens))
        entry.account.start(now=now)

    def preempted(self, request_id: str, cause: Cause, *, computed_tokens: int, now: float) -> None:
        """The request was put back, with KV for so many tokens; of a waiting or unknown one nothing changes."""
        entry = self._entries.get(request_id)
        if entry is not None and self.queues[request_id].running:
            self.queues.preempted(request_id, now=now)
            self.counts.preempted(cause)
            entry.computed_tokens = computed_tokens
            entry.account.put_back(now=now)

    def produced(self, outputs: Iterable[Any], *, now: float) -> None:
        """Requests gave these outputs: attach the report to each that ends its call, or may turn out to."""
        entries = self._entries
        for output in outputs:  # at every step one for each running call, so those that only add a token stay short
            entry = entries.get(output.request_id)
            if entry is None:
                self._given_up(output)
                continue
            entry.account.output_tokens += len(output.new_token_ids)
            if output.prefill_stats is not None and not entry.prefilled:
                entry.prefilled = True
                entry.account.cached_tokens += output.prefill_stats.num_cached_tokens
            if entry.may_stop or output.finish_reason is not None:
                self._report(entry, output, now)

    def _given_up(self, output: Any) -> None:
        """vLLM gave the request up before this output: its report is kept with those of aborted calls."""
        if output.finish_reason is not None and output.request_id in self._aborted:
            kept = self._aborted[output.request_id]["report"]
            output.kv_transfer_params = pack_report(output.kv_transfer_params, kept)

    def _report(self, entry: _Entry, output: Any, now: float) -> None:
        account = entry.account
        if output.finish_reason is not None and entry.request.is_finished():
            self._leave(entry, now)
            report = account.report(now=now)
        elif entry.may_stop:
            report = account.report(self.queues[output.request_id], now=now)
        else:
            return
        output.kv_transfer_params = pack_report(output.kv_transfer_params, report.to_mapping())

    def aborted(self, request_id: str, *, now: float) -> None:
        """The request was aborted: keep its call's report for whoever asks, since no output can carry it."""
        entry = self._entries.get(request_id)
        if entry is None:
            return
        self._leave(entry, now)
        self._aborted[request_id] = {
            "program": entry.account.headers.program,
            "report": entry.account.report(now=now).to_mapping(),
        }
        while len(self._aborted) > self._settings.aborted_reports:
            self._aborted.popitem(last=False)

    def keep_only(self, known: Container[str], *, now: float) -> None:
        """Drop what the engine does not know any more, after a failure that may have lost an end."""
        for request_id in [each for each in self._entries if each not in known]:
            self._leave(self._entries[request_id], now)

    def state(self, *, holds: Callable[[Queued], int], kv_usage: float, now: float) -> EngineStateJSON:
        """What ``GET /autellix/state`` shows. ``holds`` gives the KV blocks of a running call."""
        resident: dict[str, int] = {}
        running: list[dict[str, float | int | str]] = []
        for call in self.queues.running:
            account, blocks = self._entries[call.id].account, holds(call)
            program = account.headers.program
            resident[program] = resident.get(program, 0) + blocks
            running.append({**account.report(call, now=now).to_mapping(), "program": program, "blocks": blocks})
        lengths = self.queues.lengths()
        levels = self._settings.levels
        return {
            "version": self._version,
            "policy": self._settings.policy.value,
            "slots": self._slots,
            "bounds_s": list(levels.bounds_s),
            "quanta_s": [None if math.isinf(quantum) else quantum for quantum in levels.quanta_s],
            "beta": levels.beta,
            "levels": [{"waiting": waits, "running": runs} for waits, runs in lengths],
            "running": running,
            "waiting": sum(waits for waits, _ in lengths),
            "resident_blocks": resident,
            "kv_usage": kv_usage,
            "aborted": list(self._aborted.values()),
            "counts": self.counts.to_json(),
        }

    def _leave(self, entry: _Entry, now: float) -> None:
        request_id = entry.request.request_id
        del self._entries[request_id]
        entry.account.leave(self.queues.leave(request_id), now=now)
        self._accounts.move_to_end(entry.exchange)
        while len(self._accounts) > _MOST_IDLE_ACCOUNTS + len(self._entries):
            self._accounts.popitem(last=False)
