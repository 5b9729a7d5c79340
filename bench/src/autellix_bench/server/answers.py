"""An answer on its way: as JSON with the report in a header, or as events with the report after the last."""

import asyncio
import json
import time
from contextlib import aclosing
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from autellix_bench.engine import Job
from autellix_bench.server.asked import Asked
from autellix_bench.server.knobs import FailureKind
from autellix_bench.server.serving import Serving
from autellix_core.wire import REPORT_HEADER, Report

__all__ = ["Answer", "Cut"]


class Cut(Exception):
    """The connection is cut here, because this call was to fail so."""


class Answer(Response):
    """The answer to one call. If its client leaves first, the call is aborted."""

    def __init__(
        self, serving: Serving, asked: Asked, job: Job, *, reported: bool, failure: FailureKind | None
    ) -> None:
        super().__init__()
        self._serving, self._asked, self._job = serving, asked, job
        self._reported, self._failure = reported, failure
        self._name = f"{'chatcmpl' if asked.chat else 'cmpl'}-{job.id}"
        self._created = int(time.time())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        work = asyncio.create_task(self._stream(send) if self._asked.streams else self._whole(send))
        gone = asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (work, gone):
                task.cancel()
            await asyncio.wait((work, gone))
        if not work.cancelled():
            work.result()

    async def _whole(self, send: Send) -> None:
        text, report = "", None
        async with aclosing(self._serving.serve(self._job, self._asked)) as outputs:
            async for output in outputs:
                text += self._serving.spoken(self._asked, output)
                report = output.report
                if self._fails_at(output.index):
                    await self._fail()
        text = text[: self._asked.stop_at]
        said = {"message": {"role": "assistant", "content": text}} if self._asked.chat else {"text": text}
        answer = self._frame("chat.completion" if self._asked.chat else "text_completion", said, self._asked.finish)
        body = json.dumps({**answer, "usage": self._usage()}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        if self._reported and report is not None:
            headers.append((REPORT_HEADER.encode(), report.to_json().encode()))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _stream(self, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        left, report = self._asked.stop_at, None
        async with aclosing(self._serving.serve(self._job, self._asked)) as outputs:
            async for output in outputs:
                text = self._serving.spoken(self._asked, output)[:left]
                left = None if left is None else left - len(text)
                report = output.report
                await self._event(send, text, first=not output.index, last=report is not None)
                if self._fails_at(output.index):
                    await self._fail()
        if self._asked.usage_in_stream:
            await _say(send, self._frame(self._chunk, None, None) | {"choices": [], "usage": self._usage()})
        await send({"type": "http.response.body", "body": self._ending(report)})

    def _ending(self, report: Report | None) -> bytes:
        done = b"data: [DONE]\n\n"
        return done + report.to_comment() if self._reported and report is not None else done

    async def _event(self, send: Send, text: str, *, first: bool, last: bool) -> None:
        said: dict[str, Any] = {"text": text}
        if self._asked.chat:
            said = {"delta": {**({"role": "assistant"} if first else {}), "content": text}}
        await _say(send, self._frame(self._chunk, said, self._asked.finish if last else None))

    @property
    def _chunk(self) -> str:
        return "chat.completion.chunk" if self._asked.chat else "text_completion"

    def _frame(self, kind: str, said: dict[str, Any] | None, finish: str | None) -> dict[str, Any]:
        return {
            "id": self._name,
            "object": kind,
            "created": self._created,
            "model": self._serving.knobs.model,
            "choices": [{"index": 0, "logprobs": None, "finish_reason": finish, **(said or {})}],
        }

    def _usage(self) -> dict[str, int]:
        prompt, output = len(self._asked.tokens), self._asked.output_tokens
        return {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}

    def _fails_at(self, index: int) -> bool:
        if self._failure is FailureKind.HANG:
            return True
        return self._failure is FailureKind.CUT and index == self._asked.output_tokens // 2

    async def _fail(self) -> None:
        if self._failure is FailureKind.CUT:
            raise Cut
        await asyncio.Event().wait()  # until the client leaves


async def _say(send: Send, event: dict[str, Any]) -> None:
    data = b"data: " + json.dumps(event).encode() + b"\n\n"
    await send({"type": "http.response.body", "body": data, "more_body": True})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
