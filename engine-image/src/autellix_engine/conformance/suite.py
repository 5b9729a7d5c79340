"""The checks by name, one after the other, each on an engine at rest."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from types import MappingProxyType

import aiohttp

from autellix_engine.conformance import accounts, contract, levels, order, sharing
from autellix_engine.conformance.calls import Caller
from autellix_engine.conformance.probe import Engine, probe
from autellix_engine.conformance.verdicts import Failed, Skipped, Unfit, Verdict, Word

__all__ = ["CHECKS", "check_engine"]

Check = Callable[[Engine], Awaitable[str]]

CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        "entry-level": levels.entry_level,
        "demotion": levels.demotion,
        "promotion": levels.promotion,
        "preemption": sharing.preemption_when_full,
        "same-text": sharing.same_text_after_preemption,
        "siblings": sharing.parallel_siblings,
        "fcfs": order.fcfs_leaves_order_alone,
        "figure-2": order.figure_2,
        "report": accounts.report_adds_up,
        "abort": accounts.abort_folds_service,
        "report-place": contract.reports_in_place,
        "headers": contract.hostile_headers,
    }
)
"""What is checked. Each stands alone; their order is that of reading, not of need."""

_LONGEST_CHECK_S = 300.0


async def check_engine(
    url: str,
    *,
    model: str | None = None,
    only: Collection[str] = (),
    tell: Callable[[Verdict], None] = lambda _: None,
) -> list[Verdict]:
    """Run the checks (``only`` some, or all) on the engine at ``url``; ``tell`` hears of each as it ends.

    Raises :class:`Unfit` where no engine behind the contract answers, or ``only`` names what is not a check.
    """
    unknown = set(only) - set(CHECKS)
    if unknown:
        raise Unfit(f"There is no check {', '.join(sorted(unknown))}; there are {', '.join(CHECKS)}.")
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
    async with aiohttp.ClientSession(url, connector=connector, timeout=timeout, read_bufsize=1 << 20) as http:
        engine = await probe(Caller(http, model or ""), model)
        verdicts = []
        for name, check in CHECKS.items():
            if only and name not in only:
                continue
            verdict = await _verdict(name, check, engine)
            tell(verdict)
            verdicts.append(verdict)
        return verdicts


async def _verdict(name: str, check: Check, engine: Engine) -> Verdict:
    try:
        await engine.settled()
        async with asyncio.timeout(_LONGEST_CHECK_S):
            return Verdict(name, Word.PASSED, await check(engine))
    except Skipped as skipped:
        return Verdict(name, Word.SKIPPED, str(skipped))
    except TimeoutError:
        return Verdict(name, Word.FAILED, f"The check did not come to an end within {_LONGEST_CHECK_S:.0f} s.")
    except (Failed, aiohttp.ClientError) as error:
        return Verdict(name, Word.FAILED, _sentence(error))
    except ExceptionGroup as group:
        cause = _first(group)
        if isinstance(cause, Skipped):
            return Verdict(name, Word.SKIPPED, str(cause))
        if isinstance(cause, (Failed, aiohttp.ClientError)):
            return Verdict(name, Word.FAILED, _sentence(cause))
        raise


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    cause: BaseException = group
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    return cause


def _sentence(error: BaseException) -> str:
    return str(error) if isinstance(error, Failed) else f"The engine broke off: {type(error).__name__} {error}".rstrip()
