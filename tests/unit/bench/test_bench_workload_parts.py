"""What loads are made with: long tails, arrivals, scaling, and how they are measured."""

import dataclasses
from itertools import islice
from random import Random
from statistics import fmean, median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autellix_bench.arrivals import arriving
from autellix_bench.programs import Call, Program, Segment, ancestors, flaw
from autellix_bench.workloads import generate, scaled, statistics
from autellix_bench.workloads.lengths import LongTailed

SYSTEM = Segment("shared/system", 100)


def answer(call: Call) -> Segment:
    return Segment(call.id, call.output_tokens, answer=True)


def diamond() -> Program:
    """One call, two that go on from it side by side, and one that has seen both answers."""
    top = Call("top", (SYSTEM, Segment("task", 50)), 10)
    grown = (*top.prompt, answer(top))
    left = Call("left", (*grown, Segment("go left", 5)), 20, parents=("top",), gap_s=1.0)
    right = Call("right", (*grown, Segment("go right", 7)), 30, parents=("top",), gap_s=3.0)
    end = Call("end", (*left.prompt, answer(left), answer(right)), 40, parents=("left", "right"))
    return Program("d", "test", 2.0, (top, left, right, end))


@pytest.mark.parametrize(("mean", "most", "sigma"), [(6.66, 80, 1.0), (277, 2048, 0.9), (60, 100, 1.5), (0.5, 30, 1.0)])
def test_a_cut_tail_has_its_mean_and_its_end(mean: float, most: float, sigma: float) -> None:
    lengths, rng = LongTailed.with_mean(mean, most=most, sigma=sigma), Random(1)
    times = [lengths.time(rng) for _ in range(40_000)]
    assert lengths.mean == pytest.approx(mean, rel=1e-6)
    assert fmean(times) == pytest.approx(mean, rel=0.03)
    assert max(times) <= most


def test_a_tail_by_its_median_and_by_its_shares() -> None:
    rng = Random(2)
    turns = LongTailed.with_median(43, most=400, sigma=0.8)
    assert median(turns.count(rng) for _ in range(20_000)) == pytest.approx(43, rel=0.03)
    pauses = LongTailed.with_shares((0.5, 2.0), (0.9, 20.0), most=1e6)
    times = sorted(pauses.time(rng) for _ in range(20_000))
    assert (times[10_000], times[18_000]) == pytest.approx((2.0, 20.0), rel=0.06)


def test_a_mean_must_be_possible() -> None:
    with pytest.raises(ValueError, match="between 0 and the longest, 10, not be 12"):
        LongTailed.with_mean(12, most=10, sigma=1.0)


def test_counts_are_at_least_one() -> None:
    rng = Random(3)
    assert min(LongTailed.with_mean(0.2, most=2, sigma=1.0).count(rng) for _ in range(100)) == 1


def test_arrivals_can_be_given_anew_without_a_change_of_the_programs() -> None:
    programs = [diamond()] * 3
    times = [program.arrival_s for program in arriving(programs, rate=1.0, seed=4)]
    assert times == sorted(times)
    assert times[0] > 0
    assert [program.calls for program in arriving(programs, rate=1.0, seed=4)] == [diamond().calls] * 3
    assert [program.arrival_s for program in arriving(programs, rate=None, seed=4)] == [2.0] * 3


def test_ancestors_are_all_that_a_call_waits_for() -> None:
    assert ancestors(diamond()) == [0, 0b1, 0b1, 0b111]


def test_a_program_is_measured_by_what_each_call_adds() -> None:
    found = statistics([diamond()])
    assert (found.calls.mean, found.chain.mean, found.parallelism) == (4, 3, 4 / 3)
    assert found.prompt.mean == (150 + 165 + 167 + 215) / 4
    assert found.prefill.mean == (150 + 5 + 7 + 30) / 4  # right's answer stood nowhere before
    assert found.decode.most == 40
    assert found.gap_s.most == 3.0
    assert found.prefix_hit_share == (100 + 160 + 160 + 185) / (150 + 165 + 167 + 215)
    assert found.short_shared_share == 400 / (150 + 165 + 167 + 215)


def test_what_a_sibling_has_sent_is_cached_but_not_inherited() -> None:
    prompt = (SYSTEM, Segment("task", 50))
    found = statistics([Program("p", "test", 0.0, (Call("a", prompt, 1), Call("b", prompt, 1)))])
    assert found.prefill.mean == 150
    assert found.prefix_hit_share == (100 + 150) / 300


def test_text_in_another_place_is_no_prefix() -> None:
    first = Call("a", (Segment("x", 10), Segment("y", 20)), 1)
    second = Call("b", (Segment("y", 20), Segment("x", 10)), 1, parents=("a",))
    assert statistics([Program("p", "test", 0.0, (first, second))]).prefix_hit_share == 0


def test_no_programs_have_no_statistics() -> None:
    with pytest.raises(ValueError, match="no program"):
        statistics([])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"calls": ()}, "no call"),
        ({"arrival_s": -1.0}, "arrival_s is a time"),
        ({"calls": diamond().calls[:1] * 2}, "Two calls have the id 'top'"),
        ({"calls": diamond().calls[1:]}, "'left' waits for 'top', which is no call before it"),
        ({"calls": (Call("a", (), 1),)}, "must have a prompt"),
        ({"calls": (Call("a", (Segment("x", 0),), 1),)}, "at least one token"),
        ({"calls": (Call("a", (SYSTEM,), 0),)}, "at least one token"),
        ({"calls": (Call("a", (SYSTEM,), 1, gap_s=float("nan")),)}, "gap_s of call 'a' is a time"),
        (
            {"calls": (Call("a", (SYSTEM,), 1), Call("b", (Segment("a", 1, answer=True),), 1))},
            "has the answer of 'a', for which it does not wait",
        ),
    ],
)
def test_flaws_are_named(change: dict[str, object], sentence: str) -> None:
    assert flaw(diamond()) is None
    assert sentence in (flaw(dataclasses.replace(diamond(), **change)) or "")  # type: ignore[arg-type]  # by name


def test_scaling_multiplies_tokens_and_gaps() -> None:
    [small] = scaled([diamond()], tokens=0.5, gaps=0.1)
    assert [call.prompt_tokens for call in small.calls] == [75, 82, 83, 107]  # whole tokens, rounded down by segment
    assert [call.output_tokens for call in small.calls] == [5, 10, 15, 20]
    assert [call.gap_s for call in small.calls] == pytest.approx([0, 0.1, 0.3, 0])
    assert [call.parents for call in small.calls] == [call.parents for call in diamond().calls]
    assert list(scaled([diamond()])) == [diamond()]


@settings(deadline=None, max_examples=30)
@given(
    workload=st.sampled_from(["sharegpt", "bfcl", "lats"]),
    seed=st.integers(0, 1000),
    tokens=st.floats(0.05, 2),
    longest=st.integers(1024, 16_384),
)
def test_scaled_programs_fit_and_keep_their_structure(workload: str, seed: int, tokens: float, longest: int) -> None:
    [program] = generate(workload, rate=1, programs=1, seed=seed)
    [small] = scaled([program], tokens=tokens, longest_tokens=longest)
    assert max(call.prompt_tokens + call.output_tokens for call in small.calls) <= longest
    assert flaw(small) is None
    lengths: dict[str, set[tuple[int, int]]] = {}
    for before, after in zip(program.calls, small.calls, strict=True):
        assert (before.id, before.parents, before.gap_s) == (after.id, after.parents, after.gap_s)
        assert [segment.key for segment in before.prompt] == [segment.key for segment in after.prompt]
        for was, segment in zip(before.prompt, after.prompt, strict=True):
            lengths.setdefault(segment.key, set()).add((was.tokens, segment.tokens))
        lengths.setdefault(after.id, set()).add((before.output_tokens, after.output_tokens))
    assert all(len(seen) == 1 for seen in lengths.values())  # one segment, one length: prefixes stay prefixes


def test_shared_prompts_stay_one_text_for_all_programs() -> None:
    programs = scaled(generate("bfcl", rate=1, programs=200, seed=1), longest_tokens=4096)
    assert {program.calls[0].prompt[0] for program in programs} == {Segment("shared/bfcl", 512)}


def test_programs_that_fit_are_not_shrunk() -> None:
    assert list(scaled([diamond()], longest_tokens=2048)) == [diamond()]


def test_what_cannot_be_scaled_is_said() -> None:
    with pytest.raises(ValueError, match="scaled by more than 0"):
        scaled([], tokens=0)
    many = Program("p", "test", 0.0, (Call("a", tuple(Segment(str(number), 9) for number in range(20)), 1),))
    with pytest.raises(ValueError, match="Call 'a' of program 'p' has 20 segments, too many for 16 tokens"):
        list(scaled([many], longest_tokens=16))


def test_scaling_is_lazy() -> None:
    endless = generate("sharegpt", rate=1, programs=10**9, seed=1)
    assert len(list(islice(scaled(endless, gaps=0), 3))) == 3
