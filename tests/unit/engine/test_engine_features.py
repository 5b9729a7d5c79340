"""What the adapter refuses to start with, and what each refusal says to do."""

from types import SimpleNamespace
from typing import Any

import pytest

from autellix_engine.features import Features, refusals


def config(**changes: Any) -> Any:
    """A configuration as vLLM's, as far as it is read."""
    given = {
        "runner_type": "generate",
        "data_parallel_size": 1,
        "data_parallel_index": 0,
        "pipeline_parallel_size": 1,
        "_api_process_count": 1,
        "kv_transfer_config": None,
        "speculative_config": None,
        **changes,
    }
    parallel = ("data_parallel_size", "data_parallel_index", "pipeline_parallel_size", "_api_process_count")
    return SimpleNamespace(
        model_config=SimpleNamespace(runner_type=given["runner_type"]),
        parallel_config=SimpleNamespace(**{name: given[name] for name in parallel}),
        kv_transfer_config=given["kv_transfer_config"],
        speculative_config=given["speculative_config"],
    )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"kv_transfer_config": SimpleNamespace(kv_connector="OffloadingConnector")},
        {"speculative_config": SimpleNamespace(method="ngram")},
    ],
)
def test_what_goes_with_the_adapter_starts(changes: dict[str, Any]) -> None:
    assert refusals(Features.of(config(**changes), {"PATH": "/bin"})) == ()


@pytest.mark.parametrize(
    ("changes", "named", "instead"),
    [
        ({"runner_type": "pooling"}, "Embedding", "stock engine"),
        ({"data_parallel_size": 2}, "here 2 or more", "--data-parallel-size 1"),
        ({"data_parallel_index": 2}, "here 3 or more", "--data-parallel-size 1"),
        ({"pipeline_parallel_size": 4}, "--pipeline-parallel-size 4", "--tensor-parallel-size"),
        ({"_api_process_count": 3}, "3 API processes", "--api-server-count 1"),
        (
            {"kv_transfer_config": SimpleNamespace(kv_connector="NixlConnector")},
            "NixlConnector",
            "--kv-offloading-size",
        ),
        ({"speculative_config": SimpleNamespace(method="eagle")}, "eagle", "ngram"),
    ],
)
def test_what_does_not_is_refused_with_what_to_do(changes: dict[str, Any], named: str, instead: str) -> None:
    (why,) = refusals(Features.of(config(**changes), {"PATH": "/bin"}))
    assert named in why
    assert instead in why
    assert why.endswith(".")


def test_every_reason_is_given_at_once() -> None:
    assert len(refusals(Features.of(config(data_parallel_size=2, pipeline_parallel_size=2), {}))) == 2


@pytest.mark.parametrize(
    ("variable", "value", "instead"),
    [
        ("PROMETHEUS_MULTIPROC_DIR", "/tmp/m", "unset it"),
        ("VLLM_USE_RUST_FRONTEND", "1", "unset VLLM_USE_RUST_FRONTEND"),
    ],
)
def test_what_the_environment_asks_for_counts_too(variable: str, value: str, instead: str) -> None:
    (why,) = refusals(Features.of(config(), {variable: value}))
    assert instead in why


def test_several_processes_are_one_reason_though_their_metrics_are_in_files() -> None:
    asked = Features.of(config(_api_process_count=2), {"PROMETHEUS_MULTIPROC_DIR": "/tmp/m"})
    assert len(refusals(asked)) == 1


def test_a_switch_that_is_off_is_no_reason() -> None:
    assert refusals(Features.of(config(), {"VLLM_USE_RUST_FRONTEND": "0"})) == ()
