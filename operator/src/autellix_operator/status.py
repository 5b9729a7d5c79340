"""What a ProgramSession's status says, from its spec, what the gateways say of its program, and the status before.

Pure: the caller reads the clock. The same facts give the same status to the byte, so that comparing tells whether there
is anything to write.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autellix_core.pools import ProgramJSON

__all__ = ["FINISHED", "OPEN_STATES", "Problem", "Rules", "is_starved", "over_budget", "status_of"]

FINISHED = frozenset({"Completed", "Expired", "Failed"})
"""Phases that a program does not come back from by itself."""

OPEN_STATES = frozenset({"active", "idle"})
"""States in the process table of a program that takes calls."""


@dataclass(frozen=True, slots=True)
class Rules:
    """When a program counts as starved."""

    starved_ratio: float = 4.0
    starved_after_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a program cannot be registered. ``lasting``: until the object is changed, as far as is known."""

    reason: str
    message: str
    lasting: bool = False


def is_starved(program: ProgramJSON, rules: Rules) -> bool:
    """Whether an open program has waited out of proportion to its service."""
    wait_s = program["wait_seconds"]
    return (
        program["state"] in OPEN_STATES
        and wait_s >= rules.starved_after_s
        and wait_s > rules.starved_ratio * program["service_seconds"]
    )


def over_budget(spec: Mapping[str, Any], program: ProgramJSON) -> str:
    """Which bound of ``spec.budget`` the program has passed, as a sentence, or ""."""
    budget = spec.get("budget") or {}
    if "serviceSeconds" in budget and program["service_seconds"] > budget["serviceSeconds"]:
        return f"It has had more service than the {budget['serviceSeconds']:g} s of its budget."
    if "outputTokens" in budget and program["output_tokens"] > budget["outputTokens"]:
        return f"It has generated more than the {budget['outputTokens']} tokens of its budget."
    return ""


def status_of(
    session: Mapping[str, Any],
    program: ProgramJSON | None,
    *,
    program_id: str,
    secret: str = "",
    problem: Problem | None = None,
    rules: Rules,
    now: str,
) -> dict[str, Any]:
    """The whole status. ``program`` is None where the gateways know none by that id (any more); ``now`` is RFC 3339."""
    before: Mapping[str, Any] = session.get("status") or {}
    generation = session["metadata"].get("generation", 1)
    status: dict[str, Any] = {"programId": program_id, "observedGeneration": generation}
    if secret:
        status["secretName"] = secret
    numbers = _of_program(program) if program is not None else {name: before[name] for name in _KEPT if name in before}
    conditions = _conditions(session, program, before, problem, rules)
    phase = _phase(conditions, program)
    return {
        "phase": phase,
        **status,
        **numbers,
        "conditions": _with_times(conditions, before.get("conditions") or (), generation, now),
    }


_KEPT = (
    "state", "pool", "calls", "activeCalls", "serviceSeconds", "waitSeconds", "criticalPathSeconds", "level", "engine",
    "engines", "promptTokens", "outputTokens", "createdAt", "lastArrivalAt", "lastCompletionAt",
)  # fmt: skip


def _of_program(program: ProgramJSON) -> dict[str, Any]:
    said: dict[str, Any] = {
        "state": program["state"],
        "pool": program["pool"],
        "calls": program["calls"],
        "activeCalls": program["active_calls"],
        "serviceSeconds": round(program["service_seconds"], 3),
        "waitSeconds": round(program["wait_seconds"], 3),
        "criticalPathSeconds": round(program["critical_path_seconds"], 3),
        "level": program["level"],
        "engine": program["engines"][-1] if program["engines"] else "",
        "engines": list(program["engines"]),
        "promptTokens": program["prompt_tokens"],
        "outputTokens": program["output_tokens"],
        "createdAt": program["created_at"],
        "lastArrivalAt": program["last_arrival_at"],
        "lastCompletionAt": program["last_completion_at"],
    }
    return {name: value for name, value in said.items() if value not in (None, "", [])}


_Said = tuple[bool, str, str]
"""Whether it holds, the reason in a word, a sentence."""


def _conditions(
    session: Mapping[str, Any],
    program: ProgramJSON | None,
    before: Mapping[str, Any],
    problem: Problem | None,
    rules: Rules,
) -> dict[str, _Said]:
    was = {each["type"]: each for each in before.get("conditions") or ()}
    kept = {name: (each["status"] == "True", each["reason"], each["message"]) for name, each in was.items()}
    spec = session.get("spec") or {}
    mirrored = "programId" in spec
    if problem is not None:
        failed = (True, problem.reason, problem.message) if problem.lasting else _NOT_FAILED
        return {**_STILL, **kept, "Registered": (False, problem.reason, problem.message), "Failed": failed}
    if program is None:
        if before.get("phase") in FINISHED:
            return {**_STILL, **kept}
        forgotten = (True, "Forgotten", "The gateways know this program no longer.")
        return {**_STILL, **kept, "Active": _NOT_ACTIVE, "Idle": (False, "Over", "It is over."), "Expired": forgotten}
    state, spent = program["state"], over_budget(spec, program)
    is_open = state in OPEN_STATES
    ended_for_budget = state == "ended" and bool(spent) and (spec.get("budget") or {}).get("action") == "End"
    registered = (
        (True, "Mirrored", "It began over HTTP.")
        if mirrored
        else (True, "Registered", "The gateways know it; its Secret holds its token.")
    )
    return {
        "Registered": registered,
        "Active": (True, "CallUnderWay", "A call of it is under way.") if state == "active" else _NOT_ACTIVE,
        "Idle": (True, "BetweenCalls", "No call of it is under way.")
        if state == "idle"
        else (False, "CallUnderWay", "A call of it is under way.")
        if is_open
        else (False, "Over", "It is over."),
        "Starved": (
            True,
            "WaitsTooLong",
            f"It waited more than {rules.starved_ratio:g} times as long as it was served.",
        )
        if is_starved(program, rules)
        else _NOT_STARVED,
        "BudgetExceeded": (True, "BoundPassed", spent) if spent else _NOT_OVER_BUDGET,
        "Completed": (True, "Ended", "It was ended.") if state == "ended" and not ended_for_budget else _NOT_COMPLETED,
        "Expired": (True, "NoCalls", "It had no call for longer than the gateways keep a program.")
        if state == "expired"
        else _NOT_EXPIRED,
        "Failed": (True, "BudgetExceeded", f"{spent} So it was ended.") if ended_for_budget else _NOT_FAILED,
    }


_NOT_ACTIVE: _Said = (False, "NoCall", "No call of it is under way.")
_NOT_STARVED: _Said = (False, "ServedInProportion", "Its waiting is in proportion to its service.")
_NOT_OVER_BUDGET: _Said = (False, "WithinBounds", "It has passed no bound of a budget.")
_NOT_COMPLETED: _Said = (False, "NotEnded", "Nobody has ended it.")
_NOT_EXPIRED: _Said = (False, "NotExpired", "The gateways keep it.")
_NOT_FAILED: _Said = (False, "NothingWrong", "Nothing stands in its way.")
_STILL: Mapping[str, _Said] = {
    "Registered": (False, "Waiting", "No gateway has registered it yet."),
    "Active": _NOT_ACTIVE,
    "Idle": (False, "NotRegistered", "It is not registered."),
    "Starved": _NOT_STARVED,
    "BudgetExceeded": _NOT_OVER_BUDGET,
    "Completed": _NOT_COMPLETED,
    "Expired": _NOT_EXPIRED,
    "Failed": _NOT_FAILED,
}


def _phase(conditions: Mapping[str, _Said], program: ProgramJSON | None) -> str:
    for name in ("Failed", "Completed", "Expired"):
        if conditions[name][0]:
            return name
    if not conditions["Registered"][0]:
        return "Pending"
    if program is not None and program["calls"] == 0:
        return "Registered"
    return next((name for name in ("Starved", "Active", "Idle") if conditions[name][0]), "Registered")


def _with_times(conditions: Mapping[str, _Said], before: Any, generation: int, now: str) -> list[dict[str, Any]]:
    since = {(each["type"], each["status"]): each["lastTransitionTime"] for each in before}
    listed = []
    for name, (holds, reason, message) in conditions.items():
        status = "True" if holds else "False"
        listed.append(
            {
                "type": name,
                "status": status,
                "reason": reason,
                "message": message,
                "observedGeneration": generation,
                "lastTransitionTime": since.get((name, status), now),
            }
        )
    return listed
