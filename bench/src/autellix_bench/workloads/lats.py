"""Tree search after LATS on HotpotQA: rounds of parallel calls that fan out from a node and join before the next round.

A round expands one node: five calls with the same prompt each propose a step, a search follows, and a further call each
judges what was found. When all five are judged, the search goes on from one of the new nodes or goes back to another
leaf. So a program has ten calls a round, five at a time, and its longest chain is two calls a round.

Published (the paper's Figure 11): calls a program, mean 159.7; a call's prefill, mean 467.2 tokens, and decode, mean
72.6.

Ours: five samples a node, at most 50 rounds, seven steps deep; log-normal lengths and their ``sigma``, the longest of
each; that proposals and judgements decode alike; prompts of 1,536 and 1,024 tokens with examples that all programs
share; a question of 64 tokens on average; seven in ten rounds go on from a new node; a search of 0.7 s on average.
Prefill that is left over is what searches find.
"""

from collections.abc import Sequence
from random import Random

from autellix_bench.programs import Call, Segment
from autellix_bench.workloads.lengths import LongTailed

__all__ = ["calls"]

_SAMPLES = 5
_DEPTH = 7
_GOES_ON = 0.7

_ROUNDS = LongTailed.with_mean(159.7 / (2 * _SAMPLES), most=50, sigma=0.6)
_DECODE = LongTailed.with_mean(72.6, most=1024, sigma=0.6)
_PROPOSE = Segment("shared/lats/propose", 1536)
_JUDGE = Segment("shared/lats/judge", 1024)
_QUESTION = LongTailed.with_mean(64, most=512, sigma=0.5)
_SEARCH_S = LongTailed.with_mean(0.7, most=30, sigma=0.8)

# What a program adds to its prompts, over its five threads: in the first round examples and question, twice; in any
# other round the node's finding; and with every judgement a proposal and a finding.
_PREFILL = 467.2 * 2 * _ROUNDS.mean
_OPENING = _PROPOSE.tokens + _JUDGE.tokens + 2 * _QUESTION.mean
_FINDING = LongTailed.with_mean(
    (_PREFILL - _OPENING - _ROUNDS.mean * _DECODE.mean) / (2 * _ROUNDS.mean - 1), most=4096, sigma=0.7
)

_Path = tuple[Segment, ...]
"""From the root to a node: proposals and findings in turn."""


def calls(rng: Random) -> tuple[Call, ...]:
    """One question."""
    question = Segment("question", _QUESTION.count(rng))
    node: _Path = ()
    leaves: list[_Path] = []
    judged: tuple[str, ...] = ()
    done: list[Call] = []
    for number in range(_ROUNDS.count(rng)):
        proposals = [
            Call(f"{number}.{sample}/propose", (_PROPOSE, question, *node), _DECODE.count(rng), parents=judged)
            for sample in range(_SAMPLES)
        ]
        new = [_child(node, proposal, rng) for proposal in proposals]
        judgements = [_judgement(proposal, question, path, rng) for proposal, path in zip(proposals, new, strict=True)]
        done += proposals + judgements
        judged = tuple(call.id for call in judgements)
        node = _next(new, leaves, rng)
    return tuple(done)


def _child(node: _Path, proposal: Call, rng: Random) -> _Path:
    answer = Segment(proposal.id, proposal.output_tokens, answer=True)
    return (*node, answer, Segment(f"finding/{proposal.id}", _FINDING.count(rng)))


def _judgement(proposal: Call, question: Segment, path: _Path, rng: Random) -> Call:
    return Call(
        proposal.id.replace("propose", "judge"),
        (_JUDGE, question, *path),
        _DECODE.count(rng),
        parents=(proposal.id,),
        gap_s=_SEARCH_S.time(rng),
    )


def _next(new: Sequence[_Path], leaves: list[_Path], rng: Random) -> _Path:
    """The node to expand, which is then no leaf any more."""
    first_new = len(leaves)
    leaves += [path for path in new if len(path) < 2 * _DEPTH]
    begin = first_new if len(leaves) > first_new and rng.random() < _GOES_ON else 0
    return leaves.pop(rng.randrange(begin, len(leaves)))
