"""A queue of waiting requests that any request can leave at no cost.

vLLM's own heap compares requests in Python and is rebuilt for each removal: milliseconds where thousands wait, for
every victim and every promotion. This one holds (level, place, id) tuples, which compare in C, and what was removed
stays in the heap until it comes to the top.
"""

import heapq
from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["WaitingRequests"]

_SLACK = 64
"""Removed entries that may remain beside as many as count; more are swept out."""


class WaitingRequests:
    """In place of vLLM's ``PriorityRequestQueue``; the methods are that one's.

    A request's place (``priority``, ``arrival_time``) is read when it is added: who changes it takes the request out
    and adds it again.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, float, str, int, Any]] = []
        self._live: dict[str, int] = {}
        """The entry that counts of each request in the queue, by its serial number."""
        self._serial = 0

    def add_request(self, request: Any) -> None:
        """Queue the request at its place."""
        self._serial += 1
        self._live[request.request_id] = self._serial
        entry = (request.priority, request.arrival_time, request.request_id, self._serial, request)
        heapq.heappush(self._heap, entry)
        if len(self._heap) > _SLACK + 2 * len(self._live):
            self._heap = [each for each in self._heap if self._live.get(each[2]) == each[3]]
            heapq.heapify(self._heap)

    prepend_request = add_request

    def prepend_requests(self, requests: Iterable[Any]) -> None:
        """Queue them, each at its place."""
        for request in requests:
            self.add_request(request)

    def peek_request(self) -> Any:
        """The best request. Raises IndexError if there is none."""
        self._settle()
        if not self._heap:
            raise IndexError("peek from an empty queue")
        return self._heap[0][4]

    def pop_request(self) -> Any:
        """Take the best request out. Raises IndexError if there is none."""
        request = self.peek_request()
        heapq.heappop(self._heap)
        del self._live[request.request_id]
        return request

    def remove_request(self, request: Any) -> None:
        """Take the request out. Raises ValueError if it is not in the queue."""
        if self._live.pop(request.request_id, None) is None:
            raise ValueError(f"Request {request.request_id} is not in the queue.")

    def remove_requests(self, requests: Iterable[Any]) -> None:
        """Take those of them out that are in the queue."""
        for request in requests:
            self._live.pop(request.request_id, None)

    def __bool__(self) -> bool:
        return bool(self._live)

    def __len__(self) -> int:
        return len(self._live)

    def __iter__(self) -> Iterator[Any]:
        return (each[4] for each in sorted(self._heap) if self._live.get(each[2]) == each[3])

    def _settle(self) -> None:
        while self._heap and self._live.get(self._heap[0][2]) != self._heap[0][3]:
            heapq.heappop(self._heap)
