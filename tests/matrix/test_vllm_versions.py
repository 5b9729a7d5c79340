"""The adapter over each version's real scheduler: outputs, KV blocks, ends, and times through a storm of preemptions.

``make test-matrix`` runs this; ``make test`` does not, since it fetches the versions that are not here yet.
"""

import subprocess
from collections.abc import Callable

import pytest

from matrix_versions import VERSIONS, Ran, run

pytestmark = pytest.mark.timeout(660)  # of the first test of a version, which fetches and walks it

NEWEST = VERSIONS[-1]
Skipped, Failed = pytest.skip.Exception, pytest.fail.Exception


@pytest.fixture(scope="module")
def ran() -> Callable[[str], Ran]:
    """Walk a version, once; the newest with the mutations too. One that cannot be had is not tried again."""
    outcomes: dict[str, Ran | BaseException] = {}

    def once(version: str) -> Ran:
        if version not in outcomes:
            try:
                outcomes[version] = run(version, *(["mutations"] if version == NEWEST else []))
            except (AssertionError, OSError, subprocess.SubprocessError, Skipped, Failed) as error:
                outcomes[version] = error
        outcome = outcomes[version]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    return once


@pytest.mark.parametrize("runner", [1, 2])
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("version", VERSIONS)
def test_walks_leave_nothing_wrong(version: str, depth: int, runner: int, ran: Callable[[str], Ran]) -> None:
    lane = ran(version).lane(depth=depth, runner=runner)

    assert lane["findings"] == []
    assert lane["base"] == ("AsyncScheduler" if depth == 2 else "Scheduler")
    # The walks went where it is dangerous.
    seen = lane["seen"]
    assert seen["calls"] >= 1000
    assert seen["storm"] >= 1000
    assert seen["better_call"] > seen["storm"]
    assert min(seen["kv_pressure"], seen["cache_reset"], seen["aborts"]) >= 30


@pytest.mark.parametrize("runner", [1, 2])
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("version", VERSIONS)
def test_better_calls_displace_heavy_ones(version: str, depth: int, runner: int, ran: Callable[[str], Ran]) -> None:
    order = ran(version).lane(depth=depth, runner=runner)["order"]

    assert order[:4] == [f"heavy {number}" for number in range(4)]
    assert sorted(order[4:]) == ["light", "medium", "new"]  # into a full batch; an equal waits


@pytest.mark.parametrize(
    ("mutation", "noticed"),
    [
        ("resumed_too_early", "the engine raised"),
        ("put_back_twice", "the engine raised"),
        ("lost", "did not end"),
        ("still_in_the_batch", "the engine raised"),
        ("keeps_its_blocks", "the engine raised"),
        ("trusts_freed_blocks", "answered otherwise than alone"),
        ("unaccounted", "reports service_s"),
    ],
)
def test_a_wrong_adapter_is_noticed(mutation: str, noticed: str, ran: Callable[[str], Ran]) -> None:
    found = ran(NEWEST).mutations[mutation]

    assert any(noticed in each for each in found), found
