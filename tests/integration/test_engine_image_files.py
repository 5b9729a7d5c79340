"""The engine's Dockerfiles: what every image of ours keeps to. Nothing is built here."""

import re
import tomllib
from pathlib import Path

import pytest

from autellix_engine import health
from autellix_engine.variables import arguments
from dockerfiles import Instruction, copied, environment_of, exec_form, ignored, instructions, last, last_stage

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "engine-image").glob("Dockerfile*"))


@pytest.fixture(params=FILES, ids=lambda path: path.name)
def dockerfile(request: pytest.FixtureRequest) -> list[Instruction]:
    return instructions(request.param)


def test_there_is_one_for_gpus_and_one_for_cpus() -> None:
    assert [path.name for path in FILES] == ["Dockerfile", "Dockerfile.cpu"]


def test_every_base_is_pinned(dockerfile: list[Instruction]) -> None:
    bases = [each.value.split()[0] for each in dockerfile if each.name == "FROM"]
    assert all(re.fullmatch(r"[\w./-]+:v?\d[\w.-]+", base) for base in bases), bases


def test_the_gpu_image_is_of_the_vllm_that_is_tested() -> None:
    (pinned,) = re.findall(r"^vllm==([\d.]+)", (ROOT / "requirements/engine-cuda.in").read_text(), re.MULTILINE)
    assert last(instructions(ROOT / "engine-image/Dockerfile"), "FROM") == f"vllm/vllm-openai:v{pinned}"


def test_what_is_copied_is_there_and_reaches_the_build(dockerfile: list[Instruction]) -> None:
    sources = copied(dockerfile)
    assert {"core", "engine-image/src", "engine-image/pyproject.toml"} <= set(sources)
    for source in sources:
        assert (ROOT / source).exists(), source
        assert not ignored(source), source


@pytest.mark.parametrize(
    "path",
    [
        ".git",
        ".venv",
        ".venv-engine",
        ".bench",
        "tests",
        "core/.env",
        "core/src/autellix_core/__pycache__",
        "README.md",
    ],
)
def test_nothing_else_reaches_the_build(path: str) -> None:
    assert ignored(path)


def test_it_runs_as_a_user_of_no_privilege_from_the_last_line_on(dockerfile: list[Instruction]) -> None:
    stage = last_stage(dockerfile)
    user = last(stage, "USER")
    assert user.isdigit(), "Kubernetes' runAsNonRoot needs a number"
    assert int(user) > 0
    after = stage[stage.index(Instruction("USER", user)) + 1 :]
    assert {each.name for each in after}.isdisjoint({"RUN", "COPY", "ADD"})


def test_all_that_is_written_lies_in_one_volume_of_that_user(dockerfile: list[Instruction]) -> None:
    stage = last_stage(dockerfile)
    assert last(stage, "VOLUME") == '["/cache"]'
    made = next(each.value for each in stage if each.name == "RUN" and "/cache" in each.value)
    assert f"--owner {last(stage, 'USER')}" in made
    caches = {name: value for name, value in environment_of(stage).items() if "CACHE" in name or name.endswith("HOME")}
    assert {"HOME", "AUTELLIX_CACHE", "HF_HOME", "VLLM_CACHE_ROOT"} <= set(caches)
    assert all(value == "/cache" or value.startswith("/cache/") for value in caches.values()), caches


def test_the_adapter_is_installed_without_dependencies(dockerfile: list[Instruction]) -> None:
    installs = [each.value for each in dockerfile if each.name == "RUN" and "pip install" in each.value]
    assert installs
    assert all("--no-deps" in install for install in installs)
    assert environment_of(last_stage(dockerfile))["PYTHONPATH"] in " ".join(installs)


def test_the_entry_point_becomes_the_engine(dockerfile: list[Instruction]) -> None:
    stage = last_stage(dockerfile)
    assert exec_form(last(stage, "ENTRYPOINT")) == ["python3", "-m", "autellix_engine"]
    assert "CMD" not in {each.name for each in stage}
    assert arguments(environment_of(stage))[:2] == ["--host=0.0.0.0", "--port=8000"]


def test_its_health_is_asked_where_it_listens(dockerfile: list[Instruction]) -> None:
    stage = last_stage(dockerfile)
    assert exec_form(last(stage, "HEALTHCHECK")) == ["python3", "-m", health.__name__]
    assert f":{last(stage, 'EXPOSE')}/health" in health.url(environment_of(stage))


def test_no_secret_is_set(dockerfile: list[Instruction]) -> None:
    named = " ".join(each.value for each in dockerfile if each.name in {"ENV", "ARG"})
    assert not re.search(r"TOKEN|SECRET|PASSWORD|API_KEY", named, re.IGNORECASE)


def test_the_labels_say_what_it_is(dockerfile: list[Instruction]) -> None:
    labels = dict(re.findall(r'org\.opencontainers\.image\.([\w.]+)="([^"]*)"', last(dockerfile, "LABEL")))
    project = tomllib.loads((ROOT / "engine-image/pyproject.toml").read_text())["project"]
    assert labels["title"] == project["name"]
    assert labels["licenses"] == project["license"]
    assert labels["version"] == "${VERSION}"
    assert f"VERSION={project['version']}" in [each.value for each in dockerfile if each.name == "ARG"]
    assert labels["base.name"].endswith(last(dockerfile, "FROM"))
