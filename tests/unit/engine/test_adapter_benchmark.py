"""The adapter's benchmark: that it compares like with like, and says what it measured."""

import itertools

import pytest

from adapter_benchmark import throughput
from adapter_benchmark.tables import Table, at_percentile
from adapter_benchmark.throughput import _Passage
from adapter_benchmark.traffic import Salts


def test_no_two_prompts_begin_alike_and_a_seed_repeats_them() -> None:
    first, again, other = Salts(1), Salts(1), Salts(2)
    some = [first() for _ in range(50)]
    assert len({*some, *(other() for _ in range(50))}) == 100
    assert [again() for _ in range(50)] == some
    beginnings = [f"{salt} " for salt in some]
    assert not any(one.startswith(two) for one, two in itertools.permutations(beginnings, 2))


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([3.0, 1.0, 2.0], 50, 2.0), ([1.0, 2.0], 50, 1.5), (list(range(100)), 99, 99), ([7.0], 99, 7.0)],
)
def test_percentiles(values: list[float], percent: int, expected: float) -> None:
    assert at_percentile(values, percent) == expected


def test_a_table_is_markdown_with_columns_that_line_up() -> None:
    table = Table("T", ("a", "long name"), (("1", "x"), ("22", "")), "How.", {})
    assert table.to_markdown() == (
        "## T\n\nHow.\n\n| a  | long name |\n| -- | --------- |\n| 1  | x         |\n| 22 |           |\n"
    )


def test_what_is_lost_is_lost_against_the_same_repetition() -> None:
    stock = [_Passage(100.0, 90.0, 2.0, 0), _Passage(200.0, 180.0, 1.0, 0)]
    present = [_Passage(100.0, 90.0, 2.0, 0), _Passage(200.0, 180.0, 1.0, 0)]
    preempting = [_Passage(90.0, 81.0, 2.2, 10, 50), _Passage(190.0, 171.0, 1.05, 10, 30)]
    given = {"stock FCFS": stock, "adapter, calls under FCFS": present, "adapter": preempting}
    table = throughput._table({throughput._Load(calls=10, output=80): given})
    values = table.values["80"]
    assert values["adapter"]["lost_batch_full"] == pytest.approx([0.1, 0.05])
    assert values["adapter"]["more_cpu"] == pytest.approx([0.1, 0.05])
    assert values["adapter, calls under FCFS"]["lost_batch_full"] == [0.0, 0.0]
    assert [row[1] for row in table.rows] == ["stock FCFS", "adapter, calls under FCFS", "adapter"]
    assert table.rows[2][-1] == "4.0"
