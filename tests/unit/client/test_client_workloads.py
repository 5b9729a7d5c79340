"""The demonstration's programs: the same for the same seed, and of the shapes that they claim."""

from __future__ import annotations

import pytest

from autellix.demo.workloads import Program, Shape, sample


@pytest.fixture
def programs() -> tuple[Program, ...]:
    return sample(12, seed=7)


def test_the_same_seed_gives_the_same_programs(programs: tuple[Program, ...]) -> None:
    assert sample(12, seed=7) == programs
    assert sample(12, seed=8) != programs


@pytest.mark.parametrize("count", [1, 2, 5, 12, 30])
def test_as_many_programs_as_asked_for(count: int) -> None:
    assert len(sample(count, seed=1)) == count


def test_names_are_unique_and_arrivals_ascend(programs: tuple[Program, ...]) -> None:
    assert len({program.name for program in programs}) == 12
    arrivals = [program.arrival_s for program in programs]
    assert arrivals == sorted(arrivals)
    assert arrivals[0] == 0.0


def test_shapes_have_equal_parts_and_each_has_long_and_short_programs(programs: tuple[Program, ...]) -> None:
    for shape in Shape:
        of_shape = [program for program in programs if program.shape is shape]
        assert len(of_shape) == 4
        longest = max(program.answer_tokens for program in of_shape)
        shortest = min(program.answer_tokens for program in of_shape)
        assert longest > 4 * shortest


def test_only_a_fan_out_has_parallel_calls_and_it_joins_them(programs: tuple[Program, ...]) -> None:
    for program in programs:
        widths = [len(round_.asks) for round_ in program.rounds]
        if program.shape is Shape.FAN_OUT:
            assert widths[0] == widths[-1] == 1
            assert widths[1] >= 3
        else:
            assert set(widths) == {1}


def test_calls_and_tokens_are_the_sums_over_the_rounds(programs: tuple[Program, ...]) -> None:
    for program in programs:
        asks = [ask for round_ in program.rounds for ask in round_.asks]
        assert program.calls == len(asks)
        assert program.answer_tokens == sum(ask.answer_tokens for ask in asks)


def test_every_tool_loop_spends_time_with_its_tool(programs: tuple[Program, ...]) -> None:
    loops = [program for program in programs if program.shape is Shape.TOOL_LOOP]
    assert all(round_.pause_s > 0 for program in loops for round_ in program.rounds)
