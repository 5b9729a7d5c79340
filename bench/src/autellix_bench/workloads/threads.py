"""A thread of calls: each prompt is the one before it, its answer, and what is new."""

from autellix_bench.programs import Call, Segment

__all__ = ["Thread"]


class Thread:
    """The calls of a thread so far. They are numbered from 0."""

    def __init__(self, system: Segment) -> None:
        self.calls: list[Call] = []
        self._system = system
        self._history: tuple[Segment, ...] = (system,)

    @property
    def prompt_tokens(self) -> int:
        """Of what the next call's prompt begins with."""
        return sum(segment.tokens for segment in self._history)

    def ask(self, kind: str, new_tokens: int, output_tokens: int, gap_s: float) -> None:
        """The next call: the history and so many new tokens. The first call has no gap."""
        number = len(self.calls)
        prompt = (*self._history, Segment(f"{kind}/{number}", new_tokens))
        parents, gap_s = ((str(number - 1),), gap_s) if number else ((), 0.0)
        self.calls.append(Call(str(number), prompt, output_tokens, parents, gap_s))
        self._history = (*prompt, Segment(str(number), output_tokens, answer=True))

    def forget(self) -> None:
        """Begin anew after the system prompt, as an agent does that has summed up its history."""
        self._history = (self._system,)
