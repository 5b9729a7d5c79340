"""``python -m autellix_engine.conformance URL``: does the engine there keep the contract?

Exits with 0 if no check failed, 1 if one did, 2 if there was nothing to check.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence

from autellix_engine.conformance.verdicts import Unfit, Verdict, Word

__all__ = ["main"]

_MARKS = {Word.PASSED: "pass", Word.FAILED: "FAIL", Word.SKIPPED: "skip"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; its exit status."""
    given = _parser().parse_args(argv)
    try:
        from autellix_engine.conformance.suite import check_engine
    except ModuleNotFoundError as error:
        if error.name != "aiohttp":
            raise
        return _unfit("The checks need aiohttp; install autellix-engine[conformance].")
    try:
        verdicts = asyncio.run(
            check_engine(given.url, model=given.model, only=given.only or (), tell=_quiet if given.json else _tell)
        )
    except Unfit as error:
        return _unfit(str(error))
    failed = sum(verdict.word is Word.FAILED for verdict in verdicts)
    if given.json:
        print(json.dumps({"url": given.url, "checks": [verdict.to_json() for verdict in verdicts]}))  # noqa: T201
    else:
        counts = {word: sum(verdict.word is word for verdict in verdicts) for word in Word}
        print(", ".join(f"{count} {word.value}" for word, count in counts.items()) + ".")  # noqa: T201
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m autellix_engine.conformance",
        description="Check that an engine keeps the contract. Nobody else may use it meanwhile.",
    )
    parser.add_argument("url", metavar="URL", help="the engine's base URL, such as http://127.0.0.1:8000")
    parser.add_argument("--model", help="its model's name (default: the first that it serves)")
    parser.add_argument("--only", action="append", metavar="CHECK", help="this check, and others given likewise")
    parser.add_argument("--json", action="store_true", help="one JSON object in place of lines")
    return parser


def _tell(verdict: Verdict) -> None:
    print(f"{_MARKS[verdict.word]}  {verdict.check:<14}{verdict.said}", flush=True)  # noqa: T201


def _quiet(_: Verdict) -> None:
    pass


def _unfit(sentence: str) -> int:
    print(f"autellix: {sentence}", file=sys.stderr)  # noqa: T201
    return 2


if __name__ == "__main__":
    sys.exit(main())
