"""Which service a call enters the queues with."""

import pytest

from autellix_core.priority import Policy, entry_service, settled


@pytest.mark.parametrize(
    ("policy", "expected"), [(Policy.ATLAS, 3.0), (Policy.PLAS, 5.0), (Policy.MLFQ, 0.0), (Policy.FCFS, 0.0)]
)
def test_each_policy_reads_its_own_scalar(policy: Policy, expected: float) -> None:
    assert entry_service(policy, critical_path_s=3.0, service_s=5.0) == expected


def test_the_path_grows_only_by_what_reaches_beyond_it() -> None:
    assert settled(10.0, 2.0, 3.0) == 10.0
    assert settled(10.0, 9.0, 3.0) == 12.0
