"""What people see of sessions as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from rich.console import Console, RenderableType

import client_gateway
from autellix import tables
from autellix_core import wire

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def a_session(session_id: str = "ses_1", **fields: Any) -> wire.SessionJSON:
    return cast("wire.SessionJSON", client_gateway.a_session(session_id, **fields))


def lines(shown: RenderableType, width: int = 120) -> list[str]:
    console = Console(width=width, color_system=None, legacy_windows=False)
    with console.capture() as captured:
        console.print(shown)
    return [line.strip() for line in captured.get().splitlines() if line.strip()]


def row_of(sessions: Sequence[wire.SessionJSON], name: str, width: int = 120) -> list[str]:
    return next(line.split() for line in lines(tables.process_table(sessions, NOW), width) if line.startswith(name))


def test_a_row_has_every_number_of_its_program() -> None:
    session = a_session(
        "ses_0123456789ab",
        state="active",
        calls=21,
        active_calls=2,
        prompt_tokens=3702,
        output_tokens=950,
        wait_seconds=2.789,
        service_seconds=130.4,
        critical_path_seconds=3.3,
        level=4,
        engines=["127.0.0.1:41234", "10.0.0.7:8000"],
        created_at=(NOW - timedelta(minutes=2)).isoformat(),
    )
    expected = "ses_0123456789ab active 21 2 3.7k / 950 2.79 130 3.30 4 :41234, 10.0.0.7:8000 2m"
    assert row_of([session], "ses_0123") == expected.split()


def test_one_model_is_a_caption_and_several_are_a_column() -> None:
    one, other = a_session("ses_1", model="a-model"), a_session("ses_2", model="b-model")
    assert lines(tables.process_table([one, one], NOW))[-1] == "model a-model"
    several = lines(tables.process_table([one, other], NOW))
    assert several[-1].split()[:2] == ["ses_2", "b-model"]


def test_a_program_without_a_model_is_shown() -> None:
    assert lines(tables.process_table([a_session(model="")], NOW))[-1] == "model -"


@pytest.mark.parametrize("width", [100, 120])
def test_a_table_fits_its_screen_and_only_ids_are_cut(width: int) -> None:
    session = a_session(
        "ses_0123456789abcdef01234567",
        state="expired",
        calls=1234,
        active_calls=12,
        prompt_tokens=123_456,
        output_tokens=45_678,
        wait_seconds=98.76,
        service_seconds=54.32,
        critical_path_seconds=43.21,
        engines=["127.0.0.1:41234"],
    )
    shown = lines(tables.process_table([session], NOW), width)
    assert max(map(len, shown)) <= width
    row = next(line for line in shown if line.startswith("ses_01234"))
    assert "expired" in row
    assert "123k / 45.7k" in row
    assert {"1234", "12", "98.76", "54.32", "43.21", ":41234"} <= set(row.split())


def test_active_programs_come_first_and_the_favoured_first_among_them() -> None:
    sessions = [
        a_session("ended", state="ended", critical_path_seconds=0.0),
        a_session("later", state="active", critical_path_seconds=2.0),
        a_session("idle", state="idle", critical_path_seconds=0.0),
        a_session("sooner", state="active", critical_path_seconds=1.0),
        a_session("unheard-of", state="paused", critical_path_seconds=0.0),
    ]
    assert [s["id"] for s in tables.by_priority(sessions)] == ["sooner", "later", "idle", "ended", "unheard-of"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (999, "999"), (1000, "1.0k"), (12_400, "12.4k"), (123_456, "123k"), (3_140_000, "3.1M")],
)
def test_counts_are_short(value: int, text: str) -> None:
    assert tables.number(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.0, "0.00"), (1.234, "1.23"), (99.994, "99.99"), (1234.5, "1,234")])
def test_seconds_have_the_digits_that_matter(value: float, text: str) -> None:
    assert tables.seconds(value) == text


@pytest.mark.parametrize(
    ("engine", "text"),
    [
        ("127.0.0.1:41234", ":41234"),
        ("http://localhost:8000", ":8000"),
        ("engine-7.default.svc:8000", "engine-7.default.svc:8000"),
        ("https://engine.example/v1", "engine.example"),
        ("engine-7", "engine-7"),
    ],
)
def test_engines_of_this_machine_are_named_by_port(engine: str, text: str) -> None:
    assert tables.engine_names([engine]) == text


@pytest.mark.parametrize(
    ("old", "text"),
    [
        (timedelta(seconds=-3), "0s"),
        (timedelta(seconds=59), "59s"),
        (timedelta(seconds=60), "1m"),
        (timedelta(hours=5), "5h"),
        (timedelta(days=3), "3d"),
    ],
)
def test_age_is_in_its_largest_unit(old: timedelta, text: str) -> None:
    assert tables.age((NOW - old).isoformat(), NOW) == text
    assert tables.age((NOW - old).replace(tzinfo=None).isoformat(), NOW) == text


def test_a_stamp_that_is_none_does_not_break_the_table() -> None:
    assert tables.age("yesterday", NOW) == "?"
