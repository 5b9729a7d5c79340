"""The Dockerfiles of gateway, operator and simulated engine, and the pins that they install. Nothing is built here."""

import re
import tomllib
from pathlib import Path

import pytest

from autellix_bench.__main__ import parse
from dockerfiles import Instruction, copied, environment_of, exec_form, ignored, instructions, last, last_stage

ROOT = Path(__file__).parents[3]
MEMBERS = {"gateway": "gateway", "operator": "operator", "engine-sim": "bench"}
"""The folder that has each image's Dockerfile."""
BESIDES = {"engine-sim": {"engine-image/src"}}
"""Code of others in an image; here for what an engine's pod does before it ends."""


@pytest.fixture(params=MEMBERS)
def image(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def dockerfile(image: str) -> list[Instruction]:
    return instructions(ROOT / MEMBERS[image] / "Dockerfile")


def pins(name: str) -> set[str]:
    """Each ``package==version``, with what else stands on its line and all its hashes."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    found = re.findall(r"^(?:[a-z][^\n]*\\\n)(?:    --hash=\S+(?: \\)?\n)+", text, re.MULTILINE)
    return {re.sub(r" ; [^\\]*", " ", each) for each in found}


def test_every_stage_is_of_one_base_that_the_build_may_choose(dockerfile: list[Instruction]) -> None:
    assert {each.value.split()[0] for each in dockerfile if each.name == "FROM"} == {"${BASE}"}
    default = next(each.value for each in dockerfile if each.name == "ARG")
    assert re.fullmatch(r"BASE=python:3\.\d+-slim-\w+", default)


def test_what_is_copied_is_there_and_reaches_the_build(image: str, dockerfile: list[Instruction]) -> None:
    sources = copied(dockerfile)
    own = {"core/src", f"{MEMBERS[image]}/src", f"requirements/{image}.txt"}
    assert set(sources) == own | BESIDES.get(image, set())
    for source in sources:
        assert (ROOT / source).exists(), source
        assert not ignored(source), source


def test_dependencies_are_installed_as_pinned_with_hashes(dockerfile: list[Instruction]) -> None:
    (install,) = (each.value for each in dockerfile if each.name == "RUN" and " install " in each.value)
    assert "--no-deps" in install
    assert "--require-hashes" in install
    assert "--no-cache-dir" in install


def test_the_pins_are_those_that_the_tests_run_with(image: str) -> None:
    own = pins(image)
    assert len(own) > 5
    assert own <= pins("project"), "Run `make requirements`."


@pytest.mark.parametrize("image", ["gateway", "operator"])
def test_all_dependencies_of_the_member_are_among_the_pins(image: str) -> None:
    project = tomllib.loads((ROOT / image / "pyproject.toml").read_text())["project"]
    wanted = {re.split(r"[\[<>=!~ ]", each)[0] for each in project["dependencies"]} - {"autellix-core"}
    pinned = {each.split("==")[0] for each in pins(image)}
    assert wanted <= pinned, "Run `make requirements`."


def test_it_runs_as_a_user_of_no_privilege_and_writes_nothing(dockerfile: list[Instruction]) -> None:
    stage = last_stage(dockerfile)
    user = last(stage, "USER").split(":")[0]
    assert user.isdigit(), "Kubernetes' runAsNonRoot needs a number"
    assert int(user) > 0
    after = stage[stage.index(Instruction("USER", last(stage, "USER"))) + 1 :]
    assert {each.name for each in after}.isdisjoint({"RUN", "COPY", "ADD"})
    assert "VOLUME" not in {each.name for each in stage}
    assert environment_of(stage)["PYTHONDONTWRITEBYTECODE"] == "1"


def test_the_entry_point_is_the_member_itself(image: str, dockerfile: list[Instruction]) -> None:
    stage = last_stage(dockerfile)
    command = exec_form(last(stage, "ENTRYPOINT"))
    assert command[:3] == ["python3", "-m", f"autellix_{MEMBERS[image]}"], "it is the first process, and hears SIGTERM"
    assert "CMD" not in {each.name for each in stage}


def test_its_health_is_asked_where_it_listens(dockerfile: list[Instruction], image: str) -> None:
    stage = last_stage(dockerfile)
    port = last(stage, "EXPOSE")
    assert f":{port}/" in last(stage, "HEALTHCHECK")
    if image == "engine-sim":
        given = parse(exec_form(last(stage, "ENTRYPOINT"))[3:])
        assert (given.host, str(given.port)) == ("0.0.0.0", port)
    if image == "gateway":
        assert environment_of(stage)["AUTELLIX_HOST"] == "0.0.0.0"
        assert environment_of(stage)["AUTELLIX_PORT"] == port


def test_no_secret_is_set(dockerfile: list[Instruction]) -> None:
    named = " ".join(each.value for each in dockerfile if each.name in {"ENV", "ARG"})
    assert not re.search(r"TOKEN|SECRET|PASSWORD|KEY", named, re.IGNORECASE)


def test_the_labels_say_what_it_is(image: str, dockerfile: list[Instruction]) -> None:
    labels = dict(re.findall(r'org\.opencontainers\.image\.([\w.]+)="([^"]*)"', last(dockerfile, "LABEL")))
    project = tomllib.loads((ROOT / MEMBERS[image] / "pyproject.toml").read_text())["project"]
    assert labels["title"] == f"autellix-{image}"
    assert labels["licenses"] == project["license"]
    assert f"VERSION={project['version']}" in [each.value for each in dockerfile if each.name == "ARG"]
