"""Queue times of the calls that ended lately."""

from autellix_core.program import EngineId
from autellix_gateway.waits import RecentWaits
from table_clock import TableClock

A, B = EngineId("a"), EngineId("b")


def test_waits_add_up_by_engine_until_they_are_old() -> None:
    clock = TableClock()
    clock.now = 1000.0
    waits = RecentWaits(60.0, clock=clock)
    assert waits.by_engine() == {}

    waits.observe(A, 1.5)
    waits.observe(B, 0.0)
    clock.pass_(30)
    waits.observe(A, 0.5)
    assert waits.by_engine() == {A: (2.0, 2), B: (0.0, 1)}

    clock.pass_(29)
    assert waits.by_engine() == {A: (2.0, 2), B: (0.0, 1)}
    clock.pass_(1)
    assert waits.by_engine() == {A: (0.5, 1)}
    clock.pass_(600)
    assert waits.by_engine() == {}


def test_engines_that_are_gone_leave_nothing_behind() -> None:
    clock = TableClock()
    waits = RecentWaits(60.0, clock=clock)
    for number in range(1000):
        waits.observe(EngineId(f"pod-{number}"), 1.0)
        clock.pass_(1)

    assert len(waits.by_engine()) <= 60
    assert len(waits._slices) <= 6
