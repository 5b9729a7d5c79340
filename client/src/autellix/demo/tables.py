"""How the demonstration is shown: the live process table, a table a system, and both side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from autellix import tables
from autellix.demo.trials import Look, Trial
from autellix_core import wire
from autellix_core.latency import mean, percentile

__all__ = ["comparison", "line", "live", "milliseconds", "summary", "trial"]


def live(look: Look, engines: Mapping[str, str]) -> RenderableType:
    """The process table while the programs run, a row a program in order of arrival."""
    table = tables.frame("state", "calls", "now", *tables.MEASURES, "engine")
    for program, session in look.rows:
        if session is None:
            waiting = Text(f"in {program.arrival_s - look.since_start_s:.1f} s", style="dim")
            table.add_row(Text(program.name, style="dim"), waiting)
            continue
        table.add_row(
            program.name,
            tables.state(session["state"]),
            f"{session['calls']}/{program.calls}",
            tables.active(session),
            *tables.measures(session),
            _engines(session, engines),
        )
    title = Text.assemble((look.system.title, "bold cyan"), f"   {look.since_start_s:5.1f} s")
    return Group(title, table)


def line(look: Look) -> str:
    """The same moment in one line, for output that nobody watches live."""
    sessions = [session for _, session in look.rows if session is not None]
    ended = sum(session["state"] == "ended" for session in sessions)
    under_way = sum(session["active_calls"] for session in sessions)
    tokens = sum(session["output_tokens"] for session in sessions)
    return (
        f"{look.since_start_s:5.1f} s  {len(sessions) - ended:2d} programs open, {ended:2d} ended, "
        f"{under_way:2d} calls under way, {tokens:6,d} tokens out"
    )


def trial(shown: Trial, engines: Mapping[str, str]) -> RenderableType:
    """One system: what the engines measured of each program, and the latency that the program saw."""
    table = tables.frame("calls", *tables.MEASURES, "engine", "ms per\ntoken")
    for outcome in shown.outcomes:
        session = outcome.session
        table.add_row(
            outcome.program.name,
            str(session["calls"]),
            *tables.measures(session),
            _engines(session, engines),
            milliseconds(outcome.latency_s),
        )
    title = Text.assemble((shown.system.title, "bold cyan"), f"   all programs done after {shown.took_s:.1f} s")
    return Group(title, table)


def comparison(ours: Trial, theirs: Trial) -> RenderableType:
    """Both systems side by side, program by program, with the mean and P95 of the latency below."""
    names = [shown.system.short for shown in (ours, theirs)]
    pairs = [f"{measure}\n{name}" for measure in ("wait s", "ms per token") for name in names]
    table = tables.frame("tokens\nout", *pairs, "ratio")
    for one, other in zip(ours.outcomes, theirs.outcomes, strict=True):
        table.add_row(
            one.program.name,
            tables.number(one.session["output_tokens"]),
            tables.seconds(one.session["wait_seconds"]),
            tables.seconds(other.session["wait_seconds"]),
            milliseconds(one.latency_s),
            milliseconds(other.latency_s),
            _ratio(other.latency_s, one.latency_s),
        )
    table.add_section()
    for name, statistic in _STATISTICS.items():
        one_s, other_s = (statistic(_latencies(shown)) for shown in (ours, theirs))
        row = (milliseconds(one_s), milliseconds(other_s), _ratio(other_s, one_s))
        table.add_row(name, "", "", "", *row, style="bold")
    return table


def summary(ours: Trial, theirs: Trial) -> str:
    """One sentence with what was measured, whichever way it came out."""
    parts = []
    for name, statistic in _STATISTICS.items():
        one_s, other_s = (statistic(_latencies(shown)) for shown in (ours, theirs))
        parts.append(
            f"{name} {milliseconds(one_s)} against {milliseconds(other_s)} ms per token ({other_s / one_s:.2f}x)"
        )
    return f"Program token latency, {ours.system.title} against {theirs.system.title}: {'; '.join(parts)}."


def milliseconds(seconds: float) -> str:
    """Milliseconds of a latency in seconds."""
    return f"{1000 * seconds:.1f}"


def _ratio(other: float, one: float) -> Text:
    ratio = other / one
    return Text(f"{ratio:.2f}x", style="green" if ratio > 1.0 else "red" if ratio < 1.0 else "")


def _latencies(shown: Trial) -> list[float]:
    return [outcome.latency_s for outcome in shown.outcomes]


def _p95(values: Sequence[float]) -> float:
    return percentile(values, 0.95)


_STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {"mean": mean, "P95": _p95}


def _engines(session: wire.SessionJSON, names: Mapping[str, str]) -> str:
    """The program's engines by the names that they have on this screen."""
    return ", ".join(sorted(names.get(engine) or tables.engine_names([engine]) for engine in session["engines"]))
