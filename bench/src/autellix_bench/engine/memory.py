"""An engine's memory: KV blocks, what the host holds of calls swapped out, and what is kept for absent programs."""

from collections import OrderedDict
from dataclasses import dataclass, field

from autellix_bench.engine.blocks import Blocks, Piece
from autellix_bench.engine.jobs import Job
from autellix_bench.engine.settings import EngineSettings, Preemption
from autellix_core.levels import NEVER

__all__ = ["Live", "Memory"]


@dataclass(slots=True)
class Live:
    """A job in the engine. While it decodes, ``computed`` and ``produced`` are as of when it began to."""

    job: Job
    computed: int = 0
    """Tokens whose keys and values are in its blocks."""
    reached: int = 0
    """The most that ``computed`` ever was: what is computed again below it was lost by a preemption."""
    produced: int = 0
    cached: int | None = None
    """Prompt tokens found in the cache when it first ran."""
    swapped: int = 0
    """Tokens whose keys and values the host holds."""

    @property
    def tokens(self) -> int:
        """Prompt and what there is of the answer."""
        return self.job.prompt_tokens + self.produced


@dataclass(slots=True)
class _Retained:
    until: float = 0.0
    owners: list[str] = field(default_factory=list)


class Memory:
    """What the calls of one engine hold."""

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings
        self.blocks = Blocks(settings.blocks, settings.block_tokens)
        self._host_blocks = settings.host_blocks
        self._retained: OrderedDict[str, _Retained] = OrderedDict()

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        """What the call's blocks will hold: its pieces, and the rest its own; nothing where there is no cache."""
        if not self.settings.prefix_caching:
            return ()
        rest = self.blocks.needed(job.tokens) - sum(piece.blocks for piece in job.pieces)
        return (*job.pieces, Piece((job.id,), rest)) if rest > 0 else job.pieces

    def enter(self, live: Live) -> None:
        """The call is about to run: hold what is there of it. ``computed`` is what need not be computed."""
        full = live.tokens // self.blocks.size
        held = self.blocks.hold(live.job.id, self.pieces(live.job), most=full)
        found = min(held, (live.tokens - 1) // self.blocks.size) * self.blocks.size  # the last token is always computed
        live.computed = max(found, live.swapped)

    def admitted(self, live: Live) -> int:
        """It runs, so nothing need be kept for its program. Tokens that come back from the host."""
        self.give_up(live.job.headers.program)
        if not live.swapped:
            return 0
        self._host_blocks += self.blocks.needed(live.swapped)
        held = self.blocks.cached(self.pieces(live.job)) * self.blocks.size
        moved, live.swapped = max(0, live.swapped - held), 0
        return moved

    def put_back(self, live: Live) -> int:
        """The call leaves the batch and goes on later: tokens that go to the host."""
        self.blocks.release(live.job.id)
        blocks = self.blocks.needed(live.computed)
        swaps = self.settings.preemption is Preemption.SWAP and 0 < blocks <= self._host_blocks
        live.swapped = live.computed if swaps else 0
        self._host_blocks -= blocks if swaps else 0
        live.computed = 0
        return live.swapped

    def leave(self, live: Live, *, now: float, ended: bool) -> None:
        """The call is over. One that came to its end may leave its blocks to its program's next one for a while."""
        self._host_blocks += self.blocks.needed(live.swapped)
        if not ended or not live.job.retain_s:
            self.blocks.release(live.job.id)
            return
        kept = self._retained.setdefault(live.job.headers.program, _Retained())
        kept.until = now + live.job.retain_s
        kept.owners.append(live.job.id)
        self._retained.move_to_end(live.job.headers.program)

    @property
    def retained_until(self) -> float:
        """When the next of what is kept for programs is given up."""
        return next(iter(self._retained.values())).until if self._retained else NEVER

    def expire(self, *, now: float) -> bool:
        """Give up what was kept long enough; whether there was any."""
        before = len(self._retained)
        while self.retained_until <= now:
            self.give_up()
        return len(self._retained) < before

    def give_up(self, program: str | None = None) -> bool:
        """Give up what is kept for a program, or for the one that has it longest; whether there was any."""
        if program is None:
            program = next(iter(self._retained), None)
        kept = self._retained.pop(program, None) if program is not None else None
        for owner in kept.owners if kept else ():
            self.blocks.release(owner)
        return kept is not None
