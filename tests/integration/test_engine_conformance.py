"""The conformance suite passes on the simulated engine and finds out each of the broken ones."""

import pytest

from autellix_core.priority import Policy
from autellix_engine.conformance.suite import CHECKS, check_engine
from autellix_engine.conformance.verdicts import Unfit, Verdict, Word
from broken_engines import BROKEN, quick, simulated
from scripted_engine import ScriptedEngine, served


def words(verdicts: list[Verdict]) -> dict[str, Word]:
    return {verdict.check: verdict.word for verdict in verdicts}


@pytest.mark.parametrize("slots", [2, 5])
async def test_the_simulated_engine_keeps_the_contract(slots: int) -> None:
    async with served(simulated(quick(slots=slots))) as url:
        verdicts = await check_engine(url)
    assert words(verdicts) == dict.fromkeys(CHECKS, Word.PASSED), verdicts


@pytest.mark.parametrize("name", BROKEN)
async def test_just_the_right_checks_fail_on_a_broken_engine(name: str) -> None:
    async with served(BROKEN[name].build(quick())) as url:
        verdicts = await check_engine(url)
    failed = {verdict.check for verdict in verdicts if verdict.word is Word.FAILED}
    assert BROKEN[name].fails <= failed <= BROKEN[name].fails | BROKEN[name].may_fail, verdicts


async def test_what_an_engine_cannot_show_is_skipped_with_the_reason() -> None:
    only = ("promotion", "figure-2")
    async with served(simulated(quick(slots=1, beta=None, policy=Policy.PLAS))) as url:
        verdicts = await check_engine(url, only=only)
    assert [(verdict.word, verdict.said) for verdict in verdicts] == [
        (Word.SKIPPED, "beta is off"),
        (Word.SKIPPED, "the figure needs a batch of two"),
    ]


async def test_an_engine_without_the_adapter_is_not_checked() -> None:
    async with served(ScriptedEngine(stock=True).app) as url:
        with pytest.raises(Unfit, match="no engine behind the contract"):
            await check_engine(url)


async def test_a_state_that_says_too_little_is_named() -> None:
    async with served(ScriptedEngine().app) as url:
        with pytest.raises(Unfit, match="'slots'"):
            await check_engine(url)


async def test_only_known_checks_and_models_can_be_asked_for() -> None:
    with pytest.raises(Unfit, match="There is no check speed; there are entry-level, "):
        await check_engine("http://127.0.0.1:9", only=["speed"])
    async with served(simulated(quick())) as url:
        with pytest.raises(Unfit, match="does not serve 'another'"):
            await check_engine(url, model="another")
