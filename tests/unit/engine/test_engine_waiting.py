"""The queue of waiting requests, against the plainest one that does the same."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autellix_engine.waiting import WaitingRequests


@dataclass(eq=False)
class Request:
    """What the queue sees of one of vLLM's; compared nowhere."""

    request_id: str
    priority: int = 0
    arrival_time: float = 0.0

    @property
    def place(self) -> tuple[int, float, str]:
        return self.priority, self.arrival_time, self.request_id


@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "pop", "remove", "move"]), st.integers(0, 5), st.integers(0, 3)),
        max_size=300,
    )
)
def test_it_is_a_sorted_list(steps: list[tuple[str, int, int]]) -> None:
    queue = WaitingRequests()
    plain: list[Request] = []
    for number, (what, which, level) in enumerate(steps):
        if what == "add":
            request = Request(f"r{number}", level, float(which))
            queue.add_request(request)
            plain.append(request)
        elif plain:
            plain.sort(key=lambda each: each.place)
            request = plain[0] if what == "pop" else plain[which % len(plain)]
            if what == "pop":
                assert queue.peek_request() is request
                assert queue.pop_request() is request
            else:
                queue.remove_request(request)
            plain.remove(request)
            if what == "move":
                request.priority = level
                queue.prepend_request(request)
                plain.append(request)
        assert len(queue) == len(plain)
        assert bool(queue) is bool(plain)
    assert list(queue) == sorted(plain, key=lambda each: each.place)


def test_several_at_once() -> None:
    queue, requests = WaitingRequests(), [Request(str(number)) for number in range(6)]
    queue.prepend_requests(requests)
    queue.remove_requests({requests[1], requests[4], Request("unknown")})
    assert [each.request_id for each in queue] == ["0", "2", "3", "5"]


def test_what_is_not_there_cannot_leave() -> None:
    queue = WaitingRequests()
    with pytest.raises(ValueError, match="not in the queue"):
        queue.remove_request(Request("a"))
    with pytest.raises(IndexError):
        queue.peek_request()
    with pytest.raises(IndexError):
        queue.pop_request()


def test_what_left_is_not_kept_for_ever() -> None:
    queue, request = WaitingRequests(), Request("a")
    for number in range(10_000):
        request.arrival_time = float(-number)  # to the top, so that nothing is ever popped away
        queue.add_request(request)
        queue.remove_request(request)
    assert len(queue._heap) < 200
