"""Calls in the order of one number each."""

import math

import pytest

from autellix_bench.engine import EngineModel, EngineSettings, Job, Ranked
from autellix_core.batch import Room
from autellix_core.wire import CallHeaders


def ranked(*, preemptive: bool = True) -> Ranked:
    order = Ranked(preemptive=preemptive)
    for name, number in [("b", 2.0), ("d", 4.0), ("a", 1.0), ("c", 2.0)]:
        order.enter(name, number, now=0.0)
    return order


def test_the_smallest_waits_in_front_and_the_largest_leaves_first() -> None:
    order = ranked()
    assert [call.id for call in order.waiting] == ["a", "b", "c", "d"]
    for name in "dab":
        order.started(name, now=1.0)
    assert [call.id for call in order.running] == ["d", "b", "a"]
    assert (order.lengths(), len(order), "a" in order, order["a"].running) == ([(1, 3)], 4, True, True)
    order.preempted("d", now=2.0)
    assert order.leave("d").preemptions == 1
    assert "d" not in order


@pytest.mark.parametrize(("preemptive", "leaves"), [(True, ["d"]), (False, [])])
def test_a_smaller_number_displaces_a_larger_one_if_it_may(preemptive: bool, leaves: list[str]) -> None:
    order = ranked(preemptive=preemptive)
    order.started("d", now=1.0)
    chosen = order.select(Room(0, 0), needs=lambda _: 0, holds=lambda _: 0, most_preemptions=4)
    assert [call.id for call in chosen.preempt] == leaves


def test_time_alone_changes_nothing() -> None:
    order = ranked()
    order.started("a", now=0.0)
    assert order.due == math.inf
    assert order.turn(now=1e9).demoted == ()


def test_an_id_is_queued_once() -> None:
    with pytest.raises(ValueError, match="already queued"):
        ranked().enter("a", 0.0, now=0.0)


def test_an_engine_runs_by_it() -> None:
    model = EngineModel(EngineSettings(slots=1), Ranked(preemptive=False))
    for name, number in [("second", 2.0), ("first", 1.0)]:
        model.add(Job(name, CallHeaders(name, name, service_s=number), 1, 1), now=0.0)
    ended = []
    now = 0.0
    while (until := model.begin(now)) is not None:
        now = until
        ended += [output.job for output in model.end(now)]
    assert ended == ["first", "second"]
