"""The events of a ProgramSession: what happened between two of its statuses, told once each."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Story", "stories"]


@dataclass(frozen=True, slots=True)
class Story:
    """An event. ``warning`` where somebody may have to do something."""

    reason: str
    message: str
    warning: bool = False


def stories(before: Mapping[str, Any], after: Mapping[str, Any], *, engines: Collection[str]) -> list[Story]:
    """What to tell, in the order it happened. ``engines`` are those that exist; empty where that is not known."""
    told: list[Story] = []
    if _turned("Registered", before, after):
        told.append(Story("Registered", f"The gateways know it as {after['programId']}."))
    if not before.get("calls") and after.get("calls"):
        told.append(Story("FirstCall", "Its first call has arrived."))
    left, home = before.get("engine", ""), after.get("engine", "")
    if engines and left and home and left != home and left not in engines:
        told.append(Story("Rehomed", f"Its engine {left} is gone; {home} serves it now."))
    if _turned("Starved", before, after):
        told.append(Story("Starved", _message("Starved", after), warning=True))
    if _turned("Starved", before, after, to=False) and after["phase"] in ("Active", "Idle"):
        told.append(Story("Recovered", "Its waiting is in proportion to its service again."))
    if _turned("BudgetExceeded", before, after):
        told.append(Story("BudgetExceeded", _message("BudgetExceeded", after), warning=True))
    if _turned("Failed", before, after):
        told.append(Story("Failed", _message("Failed", after), warning=True))
    if _turned("Completed", before, after):
        told.append(Story("Ended", _message("Completed", after)))
    if _turned("Expired", before, after):
        told.append(Story("Expired", _message("Expired", after)))
    return told


def _turned(name: str, before: Mapping[str, Any], after: Mapping[str, Any], *, to: bool = True) -> bool:
    return _holds(name, after) == to and _holds(name, before) != to


def _holds(name: str, status: Mapping[str, Any]) -> bool:
    return any(each["type"] == name and each["status"] == "True" for each in status.get("conditions") or ())


def _message(name: str, status: Mapping[str, Any]) -> str:
    return next(str(each["message"]) for each in status["conditions"] if each["type"] == name)
