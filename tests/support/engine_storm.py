"""Calls to a real engine: one after another on the idle engine, or all together under random levels."""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2

from autellix_core.wire import REPORT_HEADER, CallHeaders, Report

__all__ = ["Answer", "Job", "alone", "stormed"]


@dataclass(frozen=True, slots=True)
class Job:
    """One call: what it asks, and the service that its program has had."""

    body: dict[str, Any]
    service_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """The texts of all choices, and what the engine reported."""

    texts: tuple[str, ...]
    report: Report = field(compare=False)


async def alone(http: httpx2.AsyncClient, jobs: Sequence[Job]) -> list[Answer]:
    """One after another: what an idle engine answers."""
    return [await _ask(http, job) for job in jobs]


async def stormed(http: httpx2.AsyncClient, jobs: Sequence[Job], *, agents: int) -> list[Answer]:
    """So many at a time: whoever arrives displaces whoever has had more service."""
    answers: dict[int, Answer] = {}
    pending = iter(enumerate(jobs))

    async def agent() -> None:
        for index, job in pending:
            answers[index] = await _ask(http, job)

    async with asyncio.TaskGroup() as group:
        for _ in range(agents):
            group.create_task(agent())
    return [answers[index] for index in range(len(jobs))]


async def _ask(http: httpx2.AsyncClient, job: Job) -> Answer:
    headers = CallHeaders(
        program=uuid.uuid4().hex, call=uuid.uuid4().hex, service_s=job.service_s, program_service_s=job.service_s
    )
    response = await http.post("/v1/completions", json=job.body, headers=headers.to_headers())
    assert response.status_code == 200, response.text
    texts = tuple(choice["text"] for choice in response.json()["choices"])
    return Answer(texts, Report.from_json(response.headers[REPORT_HEADER]))
