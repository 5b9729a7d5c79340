"""A thread of calls: each prompt is the one before it, its answer, and what is new."""

from autellix_bench.programs import Call, Segment

__all__ = ["Thread"]


class Thread:
    """Adds its calls to the program's; they are numbered from 0 behind the thread's name."""

    def __init__(self, calls: list[Call], system: Segment, *, name: str = "", after: tuple[str, ...] = ()) -> None:
        self.after = after
        """What the next call waits for."""
        self._calls = calls
        self._name = name
        self._number = 0
        self._system = system
        self._history: tuple[Segment, ...] = (system,)

    @property
    def history_tokens(self) -> int:
        """What the next call's prompt begins with, besides the system prompt."""
        return sum(segment.tokens for segment in self._history) - self._system.tokens

    def ask(self, kind: str, new_tokens: int, output_tokens: int, gap_s: float) -> None:
        """The next call: the history and so many new tokens. A call that waits for none has no gap."""
        call = f"{self._name}{self._number}"
        prompt = (*self._history, Segment(f"{kind}/{call}", new_tokens))
        self._calls.append(Call(call, prompt, output_tokens, self.after, gap_s if self.after else 0.0))
        self._history = (*prompt, Segment(call, output_tokens, answer=True))
        self._number += 1
        self.after = (call,)

    def forget(self) -> None:
        """Begin anew after the system prompt, as an agent does that has summed up its history."""
        self._history = (self._system,)
