"""One call's account over several requests, worked out by hand."""

from autellix_core.levels import Levels
from autellix_core.queues import Queues
from autellix_core.wire import CallHeaders
from autellix_engine.accounts import Account


def test_service_is_while_any_of_its_requests_runs() -> None:
    """Two requests: 0-1 both wait, 1-3 one runs, 3-4 both run, 4-6 one runs, 6-7 it waits again, 7-8 it runs."""
    queues = Queues(Levels((10.0,), (10.0, 10.0)))
    account = Account(headers=CallHeaders(program="p", call="c"), since=0.0)
    for name in ("x", "y"):
        account.arrive(prompt_tokens=5, level=queues.enter(name, 0.0, now=0.0).level, now=0.0)
    queues.started("x", now=1.0)
    account.start(now=1.0)
    queues.started("y", now=3.0)
    account.start(now=3.0)
    account.leave(queues.leave("x"), now=4.0)
    queues.preempted("y", now=6.0)
    account.put_back(now=6.0)
    before = account.report(queues["y"], now=7.0)
    queues.started("y", now=7.0)
    account.start(now=7.0)
    account.leave(queues.leave("y"), now=8.0)
    after = account.report(now=9.0)

    assert (before.service_s, before.wait_s, before.preemptions) == (5.0, 2.0, 1)
    assert (after.service_s, after.wait_s, after.preemptions) == (6.0, 2.0, 1)
    assert after.service_s + after.wait_s == 8.0, "all its time in the engine, and none after it"
    assert after.prompt_tokens == 10
    assert not account.open


def test_nothing_is_counted_between_two_rounds() -> None:
    """A beam search sends its next requests when the last ones are back: that gap is not the engine's."""
    queues = Queues(Levels((), (10.0,)))
    account = Account(headers=CallHeaders(program="p", call="c"), since=0.0)
    for begin in (0.0, 100.0):
        account.arrive(prompt_tokens=1, level=queues.enter("x", 0.0, now=begin).level, now=begin)
        queues.started("x", now=begin)
        account.start(now=begin)
        account.leave(queues.leave("x"), now=begin + 2.0)
    report = account.report(now=200.0)
    assert (report.service_s, report.wait_s) == (4.0, 0.0)
