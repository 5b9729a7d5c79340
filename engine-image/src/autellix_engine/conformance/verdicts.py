"""What a check comes to: passed, failed or skipped, and why in one sentence."""

from dataclasses import asdict, dataclass
from enum import StrEnum

__all__ = ["Failed", "Skipped", "Unfit", "Verdict", "Word", "expect"]


class Word(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One check's outcome."""

    check: str
    word: Word
    said: str
    """What was seen; of a failure also what was expected; of a skip why."""

    def to_json(self) -> dict[str, str]:
        """As an object of ``--json``."""
        return asdict(self)


class Failed(Exception):
    """The engine does not do what it must."""


class Skipped(Exception):
    """This engine, set as it is, cannot show it."""


class Unfit(Exception):
    """What answers at the URL cannot be checked at all."""


def expect(true: bool, otherwise: str) -> None:
    """Raises :class:`Failed` with the sentence unless ``true``."""
    if not true:
        raise Failed(otherwise)
