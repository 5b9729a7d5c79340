"""The calls of a batch that get a token in every iteration, kept by what differs between them.

Per iteration nothing is done per call: a call that joined at iteration i with c tokens computed has c + (n - i) of them
at iteration n. When its last token comes and in which iterations it needs a further KV block is known when it joins.
"""

import heapq
from collections.abc import Iterator

__all__ = ["Decoding"]


class Decoding:
    """Calls that decode, and the count of iterations."""

    def __init__(self, block_tokens: int) -> None:
        self.iterations = 0
        self.context_tokens = 0
        """Tokens that the next iteration attends to."""
        self._joined: dict[str, tuple[int, int]] = {}
        """By call: the iteration at which it would have had no token, and that of its last one."""
        self._ends: list[tuple[int, int, str]] = []
        self._serial = 0
        self._grow = [0] * block_tokens
        """Calls that need a further block in an iteration, by its number modulo the block's tokens."""

    def __len__(self) -> int:
        return len(self._joined)

    def __contains__(self, job: str) -> bool:
        return job in self._joined

    def __iter__(self) -> Iterator[str]:
        return iter(self._joined)

    def computed(self, job: str) -> int:
        """Tokens of the call whose keys and values are there."""
        return self.iterations - self._joined[job][0]

    def join(self, job: str, computed: int, left: int) -> None:
        """From the next iteration on the call gets a token in each, ``left`` of them."""
        begun = self.iterations - computed
        self._serial += 1
        self._joined[job] = begun, self.iterations + left
        heapq.heappush(self._ends, (self.iterations + left, self._serial, job))
        self._grow[begun % len(self._grow)] += 1
        self.context_tokens += computed + 1

    def leave(self, job: str) -> int:
        """The call is out; what it had computed."""
        computed = self.computed(job)
        begun, _ = self._joined.pop(job)
        self._grow[begun % len(self._grow)] -= 1
        self.context_tokens -= computed + 1
        return computed

    def blocks(self, ahead: int = 0) -> int:
        """Further blocks that the calls need for the next iteration, or for one ``ahead`` of it."""
        return self._grow[(self.iterations + ahead) % len(self._grow)]

    def needs_block(self, job: str) -> bool:
        """Whether it is one of those that need a block for the next iteration."""
        return self.computed(job) % len(self._grow) == 0

    def passed(self, iterations: int) -> None:
        """So many iterations have ended."""
        self.iterations += iterations
        self.context_tokens += iterations * len(self._joined)

    def left(self) -> int:
        """Iterations until the first call ends; 0 if none is here."""
        return self._first_end() - self.iterations if self._joined else 0

    def ended(self) -> list[str]:
        """The calls whose last token the last iteration brought, in the order in which they joined."""
        done: list[str] = []
        while self._ends and self._first_end() == self.iterations:
            done.append(heapq.heappop(self._ends)[2])
        return done

    def _first_end(self) -> int:
        while self._ends:
            end, _, job = self._ends[0]
            if job in self._joined and self._joined[job][1] == end:
                return end
            heapq.heappop(self._ends)  # it left before its end
        return -1
