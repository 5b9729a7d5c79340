"""Who is in the batch."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from autellix_core import levels
from autellix_core.batch import Room, Selection, select
from autellix_core.levels import Levels, Queued

OF = Levels.geometric(4, first_s=1.0)


def a_call(name: str, level: int, at: float = 0.0, *, running: bool = False) -> Queued:
    call = levels.enter(OF, name, (0.0, 1.0, 2.0, 4.0)[level], now=at)
    return levels.start(call, now=at) if running else call


def chosen(
    waiting: list[Queued], running: list[Queued], *, slots: int, units: int = 10**6, size: int = 1, most: int = 99
) -> tuple[str, str]:
    picked = select(
        waiting,
        running,
        Room(slots, units),
        needs=lambda _: size,
        holds=lambda _: size,
        most_preemptions=most,
    )
    return "".join(call.id for call in picked.admit), "".join(call.id for call in picked.preempt)


def test_free_places_are_filled_from_the_best_level() -> None:
    assert chosen([a_call("a", 0), a_call("b", 1), a_call("c", 1)], [], slots=2) == ("ab", "")


def test_a_better_call_displaces_the_worst_running_one_of_a_full_batch() -> None:
    running = [a_call("y", 3, running=True), a_call("x", 2, running=True)]
    assert chosen([a_call("a", 0)], running, slots=0) == ("a", "y")


def test_an_equal_call_displaces_nobody() -> None:
    assert chosen([a_call("a", 2)], [a_call("x", 2, running=True)], slots=0) == ("", "")


def test_no_more_are_displaced_in_one_decision_than_allowed() -> None:
    running = [a_call("z", 3, running=True), a_call("y", 3, running=True), a_call("x", 3, running=True)]
    waiting = [a_call("a", 0), a_call("b", 0), a_call("c", 0)]
    assert chosen(waiting, running, slots=0, most=2) == ("ab", "zy")


def test_several_are_displaced_where_one_does_not_make_enough_room() -> None:
    running = [a_call("z", 3, running=True), a_call("y", 2, running=True)]
    picked = select(
        [a_call("a", 0)],
        running,
        Room(slots=1, units=0),
        needs=lambda _: 5,
        holds=lambda call: {"z": 2, "y": 3}[call.id],
        most_preemptions=9,
    )
    assert ([call.id for call in picked.admit], [call.id for call in picked.preempt]) == (["a"], ["z", "y"])


def test_nobody_is_displaced_for_a_call_that_would_not_fit_even_so() -> None:
    picked = select(
        [a_call("a", 0)],
        [a_call("z", 3, running=True)],
        Room(slots=0, units=0),
        needs=lambda _: 5,
        holds=lambda _: 2,
        most_preemptions=9,
    )
    assert picked == Selection(admit=(), preempt=())


def test_what_is_left_of_the_room_made_for_one_call_serves_the_next() -> None:
    running = [a_call("z", 3, running=True), a_call("y", 3, running=True)]
    picked = select(
        [a_call("a", 0), a_call("b", 1)],
        running,
        Room(slots=0, units=0),
        needs=lambda call: {"a": 3, "b": 1}[call.id],
        holds=lambda _: 2,
        most_preemptions=9,
    )
    assert ([call.id for call in picked.admit], [call.id for call in picked.preempt]) == (["a", "b"], ["z", "y"])


def test_of_the_worst_level_those_leave_that_lose_least() -> None:
    running = [a_call(name, level, running=True) for name, level in [("z", 3), ("y", 3), ("x", 3), ("w", 2)]]
    lost = {"z": 500, "y": 20, "x": 20, "w": 1}
    picked = select(
        [a_call(name, 0) for name in "abcd"],
        running,
        Room(0, 0),
        needs=lambda _: 0,
        holds=lambda _: 0,
        most_preemptions=9,
        loses=lambda call: lost[call.id],
    )
    assert "".join(call.id for call in picked.preempt) == "yxzw"


calls = st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=24)


@given(calls, st.integers(1, 12))
def test_with_equal_sizes_the_batch_is_what_filling_from_the_first_queue_gives(
    given_calls: list[tuple[int, bool]], places: int
) -> None:
    everyone = [a_call(f"{n:02}", level, float(n), running=running) for n, (level, running) in enumerate(given_calls)]
    running = [call for call in everyone if call.running][:places]
    waiting = [call for call in everyone if not call.running]
    best_first = sorted(waiting, key=lambda call: (call.level, call.enqueued_at))
    worst_first = sorted(running, key=lambda call: (call.level, call.enqueued_at), reverse=True)
    picked = select(
        best_first,
        worst_first,
        Room(places - len(running), 0),
        needs=lambda _: 0,
        holds=lambda _: 0,
        most_preemptions=99,
    )
    batch = ({call.id for call in running} - {call.id for call in picked.preempt}) | {call.id for call in picked.admit}
    # Algorithm 1: fill from the first queue downwards; inside a level those that run come first.
    filled = sorted(running + waiting, key=lambda call: (call.level, not call.running, call.enqueued_at))[:places]
    assert batch == {call.id for call in filled}


@given(calls, st.integers(0, 6), st.integers(0, 20), st.integers(0, 5))
def test_a_preemption_is_never_for_an_equal_and_never_overfills(
    given_calls: list[tuple[int, bool]], slots: int, units: int, most: int
) -> None:
    everyone = [a_call(f"{n:02}", level, float(n), running=running) for n, (level, running) in enumerate(given_calls)]
    sizes = {call.id: 1 + n % 5 for n, call in enumerate(everyone)}
    picked = select(
        sorted((c for c in everyone if not c.running), key=lambda c: (c.level, c.enqueued_at)),
        sorted((c for c in everyone if c.running), key=lambda c: (c.level, c.enqueued_at), reverse=True),
        Room(slots, units),
        needs=lambda call: sizes[call.id],
        holds=lambda call: sizes[call.id],
        most_preemptions=most,
    )
    assert len(picked.preempt) <= most
    assert len(picked.admit) <= slots + len(picked.preempt)
    assert sum(sizes[c.id] for c in picked.admit) <= units + sum(sizes[c.id] for c in picked.preempt)
    if picked.preempt:
        assert min(c.level for c in picked.admit) < min(c.level for c in picked.preempt)


@given(calls, st.integers(0, 6), st.lists(st.integers(0, 99), min_size=24, max_size=24))
def test_what_a_victim_loses_never_weighs_more_than_its_level(
    given_calls: list[tuple[int, bool]], slots: int, losses: list[int]
) -> None:
    everyone = [a_call(f"{n:02}", level, float(n), running=running) for n, (level, running) in enumerate(given_calls)]
    waiting = sorted((c for c in everyone if not c.running), key=lambda c: (c.level, c.enqueued_at))
    running = sorted((c for c in everyone if c.running), key=lambda c: (c.level, c.enqueued_at), reverse=True)

    def pick(loses: Callable[[Queued], float] | None) -> Selection:
        return select(
            waiting,
            running,
            Room(slots, 0),
            needs=lambda _: 0,
            holds=lambda _: 0,
            most_preemptions=99,
            loses=loses,
        )

    cheap, plain = pick(lambda call: losses[int(call.id)]), pick(None)
    assert cheap.admit == plain.admit
    assert [call.level for call in cheap.preempt] == [call.level for call in plain.preempt]
    staying = [call for call in running if call not in cheap.preempt]
    for left in cheap.preempt:
        assert all(losses[int(left.id)] <= losses[int(call.id)] for call in staying if call.level == left.level)
