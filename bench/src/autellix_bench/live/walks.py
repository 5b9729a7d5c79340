"""One program under way: each of its calls is asked when the calls that it waits for have been answered."""

import asyncio
from collections.abc import Callable

from autellix_bench.live.asking import Asker, Named
from autellix_bench.live.readings import CallFailed, Reading
from autellix_bench.programs import Call, Program
from autellix_bench.records import CallRecord

__all__ = ["Walk"]

_GIVEN_UP = "Given up, because another call of its program failed."
_CANCELLED = "Given up, because the run was cancelled."
_BROKEN = "The driver itself failed."


class Walk:
    """A program in causal order. Every call that is sent leaves a record, however it ends.

    :raises ValueError: if a call waits for one that does not stand before it.
    """

    def __init__(
        self, program: Program, asker: Asker, *, clock: Callable[[], float], record: Callable[[CallRecord], None]
    ) -> None:
        self.program = program
        self.records: list[CallRecord] = []
        self.session_left = False
        """Its session could not be ended."""
        self._asker, self._clock, self._record = asker, clock, record
        self._waits_for = {call.id: len(call.parents) for call in program.calls}
        self._children: dict[str, list[Call]] = {}
        for call in program.calls:
            self._children[call.id] = []
            for parent in call.parents:
                if parent not in self._children:
                    raise ValueError(f"In {program.id} call {call.id} waits for {parent}, which is not before it.")
                self._children[parent].append(call)
        self._repeated = {segment.key for call in program.calls for segment in call.prompt if segment.answer}
        self._answers: dict[str, str] = {}
        self._failed = False
        self._named: Named | None = None
        self._naming = asyncio.Lock()

    async def run(self) -> None:
        """Go through the program; at its first failed call it ends."""
        try:
            async with asyncio.TaskGroup() as calls:
                for call in self.program.calls:
                    if not call.parents:
                        self._start(calls, call, self.program.arrival_s)
        except* CallFailed:
            pass  # in the records
        finally:
            if self._named is not None:
                self.session_left = not await self._asker.close(self._named)

    def _start(self, calls: asyncio.TaskGroup, call: Call, after_s: float) -> None:
        calls.create_task(self._take(calls, call, after_s + call.gap_s))

    async def _take(self, calls: asyncio.TaskGroup, call: Call, due_s: float) -> None:
        await asyncio.sleep(max(0.0, due_s - self._clock()))
        body = self._asker.body(self.program, call, self._answers)  # only now: a prompt is large, and gaps are long
        sent_s = self._clock()
        reading = Reading(self._clock, wants_text=call.id in self._repeated)
        error: str | None = _BROKEN
        try:
            await self._asker.ask(body, await self._name(), reading)
            error = None
        except CallFailed as failed:
            self._failed = True
            error = str(failed)
            raise
        except asyncio.CancelledError:
            error = _GIVEN_UP if self._failed else _CANCELLED
            raise
        finally:
            self._keep(call, due_s, sent_s, reading, error)
        self._answered(calls, call)

    async def _name(self) -> Named:
        """The program as the target knows it, told by whichever of its calls comes first."""
        async with self._naming:
            if self._named is None:
                self._named = await self._asker.open(self.program)
            return self._named

    def _answered(self, calls: asyncio.TaskGroup, call: Call) -> None:
        ended_s = self.records[-1].ended_s
        for child in self._children[call.id]:
            self._waits_for[child.id] -= 1
            if not self._waits_for[child.id]:
                self._start(calls, child, ended_s)

    def _keep(self, call: Call, due_s: float, sent_s: float, reading: Reading, error: str | None) -> None:
        if call.id in self._repeated:
            self._answers[call.id] = reading.text
        record = CallRecord(
            program=self.program.id,
            workload=self.program.workload,
            call=call.id,
            program_arrival_s=self.program.arrival_s,
            due_s=due_s,
            sent_s=sent_s,
            ended_s=self._clock(),
            output_tokens=reading.output_tokens,
            prompt_tokens=call.prompt_tokens if reading.prompt_tokens is None else reading.prompt_tokens,
            first_token_s=reading.first_token_s,
            engine=reading.engine,
            service_s=reading.service_s,
            wait_s=reading.wait_s,
            level=reading.level,
            preemptions=None if reading.report is None else reading.report.preemptions,
            cached_tokens=reading.cached_tokens,
            error=error,
        )
        self.records.append(record)
        self._record(record)
