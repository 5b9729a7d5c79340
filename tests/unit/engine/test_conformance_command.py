"""The suite's command: exit status, lines and JSON; and how a check's end becomes a verdict."""

import asyncio
import json
import socket
from typing import Any

import pytest

from autellix_engine.conformance import suite
from autellix_engine.conformance.__main__ import main
from autellix_engine.conformance.verdicts import Failed, Skipped, Unfit, Verdict, Word, expect


def scripted(monkeypatch: pytest.MonkeyPatch, *verdicts: Verdict) -> None:
    async def check_engine(url: str, *, tell: Any, **_: Any) -> list[Verdict]:
        for verdict in verdicts:
            tell(verdict)
        return list(verdicts)

    monkeypatch.setattr(suite, "check_engine", check_engine)


FINE = Verdict("entry-level", Word.PASSED, "as it should")
OFF = Verdict("promotion", Word.SKIPPED, "beta is off")
BAD = Verdict("demotion", Word.FAILED, "never demoted")


@pytest.mark.parametrize(("verdicts", "status"), [((FINE, OFF), 0), ((FINE, BAD, OFF), 1)])
def test_the_exit_status_says_whether_a_check_failed(
    verdicts: tuple[Verdict, ...], status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scripted(monkeypatch, *verdicts)
    assert main(["http://e"]) == status
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines[:-1]] == [verdict.check for verdict in verdicts]
    assert lines[-1] == f"1 passed, {status} failed, 1 skipped."


def test_json_is_one_object_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scripted(monkeypatch, BAD)
    assert main(["http://e", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "url": "http://e",
        "checks": [{"check": "demotion", "word": "failed", "said": "never demoted"}],
    }


def test_where_nothing_answers_the_command_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert main([f"http://127.0.0.1:{port}"]) == 2
    assert "no engine behind the contract" in capsys.readouterr().err


class _Idle:
    async def settled(self) -> None:
        pass


@pytest.mark.parametrize(
    ("raised", "word"), [(None, Word.PASSED), (Failed("x"), Word.FAILED), (Skipped("x"), Word.SKIPPED)]
)
@pytest.mark.parametrize("grouped", [False, True])
async def test_a_checks_end_is_a_verdict(raised: Exception | None, word: Word, grouped: bool) -> None:
    async def check(_: Any) -> str:
        if raised is None:
            return "x"
        raise ExceptionGroup("of tasks", [raised]) if grouped else raised

    verdict = await suite._verdict("name", check, _Idle())  # type: ignore[arg-type] # all that it needs
    assert verdict == Verdict("name", word, "x")


async def test_a_fault_of_the_suite_is_not_the_engines() -> None:
    async def check(_: Any) -> str:
        async with asyncio.TaskGroup():
            raise KeyError("ours")

    with pytest.raises(ExceptionGroup):
        await suite._verdict("name", check, _Idle())  # type: ignore[arg-type] # all that it needs


def test_an_expectation_is_a_sentence() -> None:
    expect(True, "never said")
    with pytest.raises(Failed, match="said"):
        expect(False, "said")
    assert not issubclass(Unfit, Failed)
