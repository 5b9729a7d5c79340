"""The engine model in real time: one task steps it, and an iteration takes as long as the model says."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

from autellix_bench.engine import EngineModel, Job, Output, Piece
from autellix_bench.server.asked import Asked
from autellix_bench.server.failures import Failures
from autellix_bench.server.knobs import Knobs
from autellix_bench.server.words import block_keys, continued
from autellix_core.wire import CallHeaders

__all__ = ["Serving"]

logger = logging.getLogger(__name__)


class Serving:
    """One engine model with calls under way. All methods belong to one event loop."""

    def __init__(
        self,
        knobs: Knobs,
        *,
        model: EngineModel | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.knobs = knobs
        self.model = EngineModel(knobs.engine) if model is None else model
        self.failures = Failures(knobs)
        self.clock = clock
        self.finished = {"stop": 0, "length": 0, "abort": 0}
        self._outputs: dict[str, asyncio.Queue[Output | None]] = {}
        """What each call under way got and has not said yet; None ends it, since the model failed."""
        self._awake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Step the model meanwhile."""
        task = self._task = asyncio.create_task(self._step())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait((task,))
            if not task.cancelled():
                task.result()

    def job(self, asked: Asked, headers: CallHeaders | None) -> Job:
        """The call for the model. One without our headers is a program of its own, under the engine's policy."""
        name = uuid4().hex
        # The text is known from the start, so also what its blocks will hold: an agent's next prompt begins with it.
        tokens = continued(asked.tokens, asked.author.text(asked.output_tokens))
        return Job(
            id=name,
            headers=headers or CallHeaders(program=name, call=name, policy=self.knobs.engine.policy),
            prompt_tokens=len(asked.tokens),
            output_tokens=asked.output_tokens,
            pieces=tuple(map(Piece, block_keys(tokens, self.knobs.engine.block_tokens))),
        )

    async def serve(self, job: Job, asked: Asked) -> AsyncGenerator[Output, None]:
        """The call's tokens as they come; leaving before the last aborts it."""
        if self._task is None or self._task.done():
            raise RuntimeError("The engine model does not run.")
        queue = self._outputs[job.id] = asyncio.Queue()
        self.model.add(job, now=self.clock())
        self._awake.set()
        try:
            while True:
                output = await queue.get()
                if output is None:
                    raise RuntimeError("The engine model failed; its own error is in the log.")
                if output.report is not None:
                    self.finished[asked.finish] += 1
                yield output
                if output.report is not None:
                    return
        finally:
            del self._outputs[job.id]
            if self.abort(job.id):
                self.finished["abort"] += 1

    def abort(self, job: str) -> bool:
        """Take the call out of the engine; False if it had left."""
        return self.model.abort(job, now=self.clock()) is not None

    def spoken(self, asked: Asked, output: Output) -> str:
        """The text of one token."""
        return asked.author.token(output.index)

    async def _step(self) -> None:
        try:
            await self._iterate()
        except Exception:
            logger.exception("The engine model failed; every call under way is given up.")
            for queue in self._outputs.values():
                queue.put_nowait(None)
            raise

    async def _iterate(self) -> None:
        while True:
            outcome = self.model.step(self.clock())
            for output in outcome.outputs:
                self._outputs[output.job].put_nowait(output)
            if outcome.until is None:
                self._awake.clear()
                await self._awake.wait()
            else:
                await asyncio.sleep(max(0.0, outcome.until - self.clock()))
