"""A running stack: what `Plan` says, started in parallel, watched, and ended whatever happens."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2

from autellix import errors
from autellix.stack import engines, gateway, ports, redis
from autellix.stack.children import Child
from autellix.stack.plan import HOST, EngineProcesses, Plan
from autellix.stack.progress import PartProgress, Stage, Watch
from autellix.stack.signals import uninterrupted

__all__ = ["Stack"]

_POLL_S = 0.2
_ASK_TIMEOUT_S = 2.0
_LONGEST_SOCKET_PATH = 100  # the kernel allows 107 characters; engines put sockets into their TMPDIR too
_LONGEST_NAME_IN_FOLDER = 60


@dataclass(slots=True)
class _Part:
    """A child and what it still lacks: None when it is ready, "" when it does not say."""

    child: Child
    lacks: Callable[[], str | None]
    note: str
    deadline_s: float
    started_at: float
    ready_at: float | None = None

    def progress(self, lacks: str | None) -> PartProgress:
        until = time.monotonic() if self.ready_at is None else self.ready_at
        ended = self.child.exit_status is not None
        stage = Stage.ENDED if ended else Stage.STARTING if self.ready_at is None else Stage.READY
        return PartProgress(self.child.name, stage, until - self.started_at, lacks or self.note)


class Stack:
    """Enter it to start the plan; leaving it ends every process and removes every file.

    :raises PartMissing, PortInUse: before anything is started.
    :raises PartEnded, NotReady: when a part does not come up; whatever had started is ended first.
    """

    def __init__(
        self,
        plan: Plan,
        watch: Watch = lambda parts: None,
        *,
        engine_deadline_s: float = 1800.0,
        deadline_s: float = 60.0,
    ) -> None:
        self.plan = plan
        self.engine_urls: tuple[str, ...] = ()
        self._watch = watch
        self._engine_deadline_s = engine_deadline_s
        self._deadline_s = deadline_s
        self._folder: Path | None = None
        self._redis: _Part | None = None
        self._engines: list[_Part] = []
        self._gateway: _Part | None = None
        self._numbers = count(1)
        self._http = httpx2.Client(timeout=_ASK_TIMEOUT_S, trust_env=False)

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @property
    def folder(self) -> Path:
        """Where its parts have their scratch folders, each with a log; gone when the stack has ended."""
        assert self._folder is not None, "the stack is not running"
        return self._folder

    def check(self) -> None:
        """:raises PartEnded: if a part ended by itself."""
        for part in self._parts():
            status = part.child.exit_status
            if status is not None:
                raise errors.PartEnded(
                    f"{part.child.name[0].upper()}{part.child.name[1:]} ended by itself (status {status}).",
                    part=part.child.name,
                    last_lines=part.child.last_lines(),
                )

    def change_gateway(self, policy: str, placement: str) -> None:
        """Start the gateway anew with other rules and, where Redis is the stack's own, with an empty process table.
        The engines run on."""
        assert self._gateway is not None
        self._finish([self._gateway])
        self._gateway = None
        if self._redis is not None:
            self._finish([self._redis])
            self._redis = None
        self.plan = replace(self.plan, policy=policy, placement=placement)
        self._start_table_and_gateway()

    def _start(self) -> None:
        plan = self.plan
        gateway.require()
        ports.require_free(HOST, plan.port)
        if plan.redis_url is None:
            redis.find()
        if isinstance(plan.engines, EngineProcesses):
            self._start_engines(plan.engines)
        else:
            self.engine_urls = plan.engines
        self._await_ready(self._engines)
        self._start_table_and_gateway()

    def _start_engines(self, plan: EngineProcesses) -> None:
        python, gpus = engines.find_python(), engines.find_gpus()
        for number, port in enumerate(ports.free(plan.count), start=1):
            url = f"http://{HOST}:{port}"
            self.engine_urls += (url,)
            part = self._run(
                f"engine {number}",
                self._scratch("engine"),
                engines.command(python, plan, port, gpus),
                partial(self._lacks, f"{url}/health"),
                note=f"vLLM, {plan.served_model}, {url}",
                deadline_s=self._engine_deadline_s,
                environ=engines.environment(number - 1, gpus),
            )
            self._engines.append(part)

    def _start_table_and_gateway(self) -> None:
        plan = self.plan
        redis_url = plan.redis_url
        if redis_url is None:
            server, scratch = redis.find(), self._scratch("redis")
            command = redis.command(server, scratch)
            self._redis = self._run("redis", scratch, command, partial(redis.lacks, scratch), note=str(server))
            self._await_ready([self._redis])
            redis_url = redis.socket_url(scratch)
        address = plan.base_url.removesuffix("/v1")
        self._gateway = self._run(
            "gateway",
            self._scratch("gateway"),
            gateway.command(gateway.plan_arguments(plan, redis_url, self.engine_urls)),
            partial(self._lacks, f"{address}/readyz", gateway.lacks),
            note=f"{plan.policy}, {plan.placement}, {address}",
            environ=gateway.environment(),
        )
        self._await_ready([self._gateway])
        self.check()

    def _scratch(self, name: str) -> Path:
        if self._folder is None:
            self._folder = _new_folder()
        return self._folder / f"{name}-{next(self._numbers)}"

    def _run(
        self,
        name: str,
        scratch: Path,
        command: Sequence[str],
        lacks: Callable[[], str | None],
        *,
        note: str,
        deadline_s: float | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> _Part:
        child = Child(name, command, scratch, environ)
        return _Part(child, lacks, note, deadline_s or self._deadline_s, time.monotonic())

    def _await_ready(self, parts: Sequence[_Part]) -> None:
        while any(part.ready_at is None for part in parts):
            self._look()
            late = [p for p in parts if p.ready_at is None and time.monotonic() - p.started_at > p.deadline_s]
            if late:
                lacks = late[0].lacks() or "it does not answer"
                raise errors.NotReady(
                    f"{late[0].child.name.capitalize()} is not ready after {late[0].deadline_s:.0f} s: {lacks}."
                )
            time.sleep(_POLL_S)

    def _look(self) -> None:
        shown = []
        for part in self._parts():
            lacks = part.lacks() if part.ready_at is None else None
            if part.ready_at is None and lacks is None:
                part.ready_at = time.monotonic()
            shown.append(part.progress(lacks))
        self._watch(shown)
        self.check()

    def _lacks(self, url: str, read: Callable[[str], str | None] = lambda text: None) -> str | None:
        """What a health endpoint says is missing: None when there is nothing, "" when it does not answer yet."""
        try:
            answer = self._http.get(url)
        except httpx2.TransportError:
            return ""
        return read(answer.text) if answer.is_success else read(answer.text) or f"HTTP {answer.status_code}"

    def _parts(self) -> list[_Part]:
        return [part for part in (self._redis, *self._engines, self._gateway) if part is not None]

    def _end(self) -> None:
        with uninterrupted():
            self._http.close()
            self._finish([self._gateway] if self._gateway else [])  # first, so that no call meets a dying engine
            self._finish([*self._engines, *([self._redis] if self._redis else [])])
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
            self._redis, self._engines, self._gateway, self._folder = None, [], None, None

    @staticmethod
    def _finish(parts: Sequence[_Part]) -> None:
        for part in parts:
            part.child.end()
        for part in parts:
            part.child.wait()


def _new_folder() -> Path:
    """A folder whose path is short enough for the sockets in it."""
    folder = Path(tempfile.mkdtemp(prefix="autellix-"))
    if len(str(folder)) + _LONGEST_NAME_IN_FOLDER > _LONGEST_SOCKET_PATH:
        with suppress(OSError):
            folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="autellix-", dir="/tmp"))
    return folder
