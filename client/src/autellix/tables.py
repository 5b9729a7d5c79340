"""The process table as people see it: pure functions from sessions as JSON to what rich prints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

from rich import box
from rich.table import Table
from rich.text import Text

from autellix_core import wire

__all__ = [
    "MEASURES",
    "active",
    "age",
    "by_priority",
    "engine_names",
    "frame",
    "measures",
    "number",
    "process_table",
    "seconds",
    "state",
]

MEASURES = ("tokens\nin / out", "wait\ns", "service\ns", "critical\npath s", "level")
"""What the engines measured of a program; `measures` gives the cells."""

_WORDS = {"model", "state", "engine"}
_LEAST_WIDTHS = {"engine": 7, "model": 12}
_STATE_STYLES = {"active": "bold green", "idle": "cyan", "ended": "dim", "expired": "yellow"}
_STATE_ORDER = ("active", "idle", "ended", "expired")
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_AGE_UNITS = ((86400, "d"), (3600, "h"), (60, "m"))


def by_priority(sessions: Iterable[wire.SessionJSON]) -> list[wire.SessionJSON]:
    """Active programs first, and among them the one whose next call the scheduler would favour."""

    def key(session: wire.SessionJSON) -> tuple[int, float, str]:
        known = session["state"] in _STATE_ORDER
        rank = _STATE_ORDER.index(session["state"]) if known else len(_STATE_ORDER)
        return rank, session["critical_path_seconds"], session["created_at"]

    return sorted(sessions, key=key)


def process_table(sessions: Sequence[wire.SessionJSON], now: datetime) -> Table:
    """One row a program, in the order given. The model is a column only where programs differ in it."""
    models = {session["model"] or "-" for session in sessions}
    several = len(models) > 1
    table = frame(*(["model"] if several else []), "state", "calls", "now", *MEASURES, "engine", "age")
    ids = table.columns[0]
    ids.no_wrap, ids.min_width, ids.overflow = False, 12, "ellipsis"  # on a narrow screen the ids give way first
    for session in sessions:
        table.add_row(
            session["id"],
            *([session["model"] or "-"] if several else []),
            state(session["state"]),
            str(session["calls"]),
            active(session),
            *measures(session),
            engine_names(session["engines"]),
            age(session["created_at"], now),
        )
    if not several:
        table.caption = f"model {''.join(models)}"
        table.caption_justify = "left"
    return table


def frame(*headings: str) -> Table:
    """An empty table of programs, which its first column names, with these columns after it."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("program", no_wrap=True, style="bold")
    for heading in headings:
        left = heading in _WORDS
        least = _LEAST_WIDTHS.get(heading)  # of what may be folded into lines
        table.add_column(heading, justify="left" if left else "right", no_wrap=least is None, min_width=least)
    return table


def measures(session: wire.SessionJSON) -> tuple[str, ...]:
    """The cells below `MEASURES`."""
    return (
        f"{number(session['prompt_tokens'])} / {number(session['output_tokens'])}",
        seconds(session["wait_seconds"]),
        seconds(session["service_seconds"]),
        seconds(session["critical_path_seconds"]),
        str(session["level"]),
    )


def active(session: wire.SessionJSON) -> str:
    """How many calls are under way, blank for none."""
    return str(session["active_calls"] or "")


def state(name: str) -> Text:
    """A program's state in its colour."""
    return Text(name, style=_STATE_STYLES.get(name, ""))


def seconds(value: float) -> str:
    """Seconds with the digits that matter."""
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"


def number(value: int) -> str:
    """A count in at most five characters: 950, 12.4k, 3.1M."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if value >= size:
            return f"{value / size:.{1 if value < 100 * size else 0}f}{unit}"
    return str(value)


def engine_names(engines: Sequence[str]) -> str:
    """Engines by host and port; those of this machine by port alone."""
    return ", ".join(_engine_name(engine) for engine in engines)


def age(created_at: str, now: datetime) -> str:
    """The time since an RFC 3339 stamp, in its largest unit."""
    try:
        born = datetime.fromisoformat(created_at)
    except ValueError:
        return "?"
    old_s = max(0, int((now - (born if born.tzinfo else born.replace(tzinfo=UTC))).total_seconds()))
    for size, unit in _AGE_UNITS:
        if old_s >= size:
            return f"{old_s // size}{unit}"
    return f"{old_s}s"


def _engine_name(engine: str) -> str:
    address = urlsplit(engine if "://" in engine else f"//{engine}")
    return f":{address.port}" if address.hostname in _LOOPBACK and address.port else address.netloc or engine
