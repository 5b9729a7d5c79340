"""Section 4.2: PLAS, ATLAS, and what connects them."""

from hypothesis import given
from hypothesis import strategies as st

from autellix_core.levels import Levels
from autellix_core.priority import Policy, entry_service, settled
from unit_engine import total_wait

LEVELS = Levels.geometric(5, first_s=1.0)

chains = st.dictionaries(
    st.sampled_from("ABCDEF"), st.lists(st.integers(1, 6), min_size=1, max_size=5), min_size=1, max_size=6
)


@given(chains, st.integers(1, 4))
def test_plas_falls_out_of_atlas_where_calls_never_overlap(programs: dict[str, list[int]], batch: int) -> None:
    plas = total_wait(programs, batch=batch, policy=Policy.PLAS, levels=LEVELS)
    assert total_wait(programs, batch=batch, policy=Policy.ATLAS, levels=LEVELS) == plas


@given(st.lists(st.integers(1, 20), min_size=1, max_size=10))
def test_one_program_alone_never_waits(calls: list[int]) -> None:
    for policy in Policy:
        assert total_wait({"A": calls}, batch=1, policy=policy, levels=LEVELS) == 0


@given(st.data())
def test_one_scalar_a_program_is_the_longest_path_of_its_dag(data: st.DataObject) -> None:
    """``p(c) = max over parents (p(k) + t_k)``, for a DAG that is run stage by stage: every call of a stage is a child
    of every call of the stage before, and they settle in any order."""
    stages = data.draw(st.lists(st.lists(st.floats(0.01, 10), min_size=1, max_size=5), min_size=1, max_size=6))
    scalar, longest = 0.0, 0.0
    for stage in stages:
        inherited = entry_service(Policy.ATLAS, critical_path_s=scalar, service_s=0.0)
        assert inherited == longest
        for model_time_s in data.draw(st.permutations(stage)):
            scalar = settled(scalar, inherited, model_time_s)
        longest += max(stage)
    assert scalar == longest
