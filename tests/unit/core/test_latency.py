"""Program token latency against cases that can be done by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autellix_core.latency import Span, mean, percentile, program_token_latency_s, response_time_s


def spans(*bounds: tuple[float, float], tokens: int = 10) -> list[Span]:
    return [Span(asked, answered, tokens) for asked, answered in bounds]


@pytest.mark.parametrize(
    ("calls", "expected_s"),
    [
        pytest.param([], 0.0, id="no-call"),
        pytest.param(spans((2.0, 5.0)), 3.0, id="one-call"),
        pytest.param(spans((0.0, 2.0), (3.0, 4.0), (6.0, 9.0)), 6.0, id="pauses-are-the-tools"),
        pytest.param(spans((0.0, 1.0), (1.0, 3.0), (1.0, 6.0), (1.0, 2.0), (6.0, 7.0)), 7.0, id="fan-out-and-join"),
        pytest.param(spans((6.0, 9.0), (0.0, 2.0), (3.0, 4.0)), 6.0, id="in-any-order"),
        pytest.param(spans((0.0, 10.0), (1.0, 2.0), (3.0, 4.0)), 10.0, id="short-beside-long"),
    ],
)
def test_response_time_is_that_of_the_longest_path_without_the_tools(calls: list[Span], expected_s: float) -> None:
    assert response_time_s(calls) == pytest.approx(expected_s)


def test_tokens_of_all_threads_count() -> None:
    calls = spans((0.0, 1.0), (1.0, 3.0), (1.0, 6.0), (6.0, 7.0))
    assert program_token_latency_s(calls) == pytest.approx(7.0 / 40)


def test_a_program_without_tokens_has_no_finite_latency() -> None:
    assert math.isinf(program_token_latency_s(spans((0.0, 1.0), tokens=0)))


@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(0, 10)).map(lambda pair: (pair[0], pair[0] + pair[1])), min_size=1)
)
def test_response_time_lies_between_the_longest_call_and_the_sum_of_all(bounds: list[tuple[float, float]]) -> None:
    calls = spans(*bounds)
    lengths = [call.answered_s - call.asked_s for call in calls]
    span_s = max(call.answered_s for call in calls) - min(call.asked_s for call in calls)
    slack = 1e-9
    assert max(lengths) - slack <= response_time_s(calls) <= min(sum(lengths), span_s) + slack


@pytest.mark.parametrize(
    ("share", "expected"), [(0.05, 1.0), (0.5, 5.0), (0.9, 9.0), (0.95, 10.0), (0.91, 10.0), (1.0, 10.0)]
)
def test_percentiles_are_by_nearest_rank(share: float, expected: float) -> None:
    values = [3.0, 1.0, 2.0, 5.0, 4.0, 7.0, 6.0, 9.0, 8.0, 10.0]
    assert percentile(values, share) == expected


def test_mean() -> None:
    assert mean([1.0, 2.0, 6.0]) == 3.0
