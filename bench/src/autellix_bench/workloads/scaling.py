"""The same programs for a smaller model or a shorter run: fewer tokens and shorter gaps, the same structure."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from autellix_bench.programs import Call, Program, Segment

__all__ = ["scaled"]


def scaled(
    programs: Iterable[Program], *, tokens: float = 1.0, gaps: float = 1.0, longest_tokens: int | None = None
) -> Iterator[Program]:
    """These programs, lazily, with all tokens times ``tokens`` and all gaps times ``gaps``.

    Calls, parents and the order of segments stay, and a segment has the same length wherever it stands, so prompts
    begin alike where they did before. A program with a call that is longer than ``longest_tokens``, prompt and answer
    together, is shrunk as a whole until it fits; shared segments have one length in all programs: at most an eighth
    of ``longest_tokens`` each.

    :raises ValueError: if a factor is none, or, from the iterator, if a program has too many segments to fit.
    """
    if not (tokens > 0 and gaps >= 0):
        raise ValueError(f"Tokens are scaled by more than 0 and gaps by at least 0, not by {tokens} and {gaps}.")
    return (_scaled(program, tokens, gaps, longest_tokens) for program in programs)


def _scaled(program: Program, tokens: float, gaps: float, longest: int | None) -> Program:
    own, most_shared = tokens, None
    if longest is not None:
        most_shared = longest // 8
        own = min([tokens, *(_fitting(call, program, tokens, longest) for call in program.calls)])
    segments = {segment for call in program.calls for segment in call.prompt}
    resized = {segment: _segment(segment, own, tokens, most_shared) for segment in segments}
    calls = tuple(
        replace(
            call,
            prompt=tuple(resized[segment] for segment in call.prompt),
            output_tokens=_times(call.output_tokens, own),
            gap_s=call.gap_s * gaps,
        )
        for call in program.calls
    )
    return replace(program, calls=calls)


def _fitting(call: Call, program: Program, tokens: float, longest: int) -> float:
    """By what the program's own segments may be multiplied so that this call fits; ``tokens`` if that does.

    Each of them keeps at least one token, which is why each is reserved one.
    """
    shared = [_segment(segment, 1.0, tokens, longest // 8).tokens for segment in call.prompt if _is_shared(segment)]
    own = [segment.tokens for segment in call.prompt if not _is_shared(segment)] + [call.output_tokens]
    room = longest - sum(shared)
    if sum(_times(count, tokens) for count in own) <= room:
        return tokens
    if room <= len(own):
        raise ValueError(
            f"Call {call.id!r} of program {program.id!r} has {len(call.prompt)} segments, too many for {longest} "
            f"tokens: allow longer calls or leave the program out."
        )
    return (room - len(own)) / sum(own)


def _segment(segment: Segment, own: float, shared: float, most_shared: int | None) -> Segment:
    if not _is_shared(segment):
        return replace(segment, tokens=_times(segment.tokens, own))
    tokens = _times(segment.tokens, shared)
    return replace(segment, tokens=tokens if most_shared is None else max(1, min(tokens, most_shared)))


def _is_shared(segment: Segment) -> bool:
    return segment.key.startswith("shared/") and not segment.answer


def _times(tokens: int, factor: float) -> int:
    return max(1, int(tokens * factor))
