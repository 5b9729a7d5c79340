"""The chart's files that are made of others: up to date, complete, and of one version with the code."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from autellix_chart.crds import crd_template
from autellix_chart.files import CHART, ROOT, made
from autellix_chart.schema import OWN_GATEWAY_SETTINGS, OWN_OPERATOR_SETTINGS
from autellix_chart.values import Values
from pydantic import BaseModel

from autellix_gateway.settings import Settings
from autellix_operator.settings import Settings as OperatorSettings

SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())


@pytest.mark.parametrize("path", made(), ids=lambda path: path.name)
def test_what_is_made_is_up_to_date(path: Path) -> None:
    assert path.read_text() == made()[path], f"{path.relative_to(ROOT)} is not what it is made of: run make chart"


def test_no_definition_is_left_of_one_that_is_gone() -> None:
    assert set((CHART / "templates" / "crds").iterdir()) <= set(made())


def test_the_defaults_are_those_of_the_model() -> None:
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    assert Values.model_validate(defaults) == Values()
    assert defaults == Values().model_dump(by_alias=True)


def fields(part: BaseModel, path: str = "") -> Iterator[tuple[str, str | None]]:
    for name, field in type(part).model_fields.items():
        yield f"{path}{field.alias}", field.description
        value = getattr(part, name)
        if isinstance(value, BaseModel):
            yield from fields(value, f"{path}{field.alias}.")


def test_every_value_says_what_it_is() -> None:
    given = dict(fields(Values()))
    assert len(given) > 100
    assert [path for path, said in given.items() if not said or not said.endswith(".")] == []


def test_the_reference_has_every_value() -> None:
    text = (CHART / "README.md").read_text()
    inner = {path.rpartition(".")[0] for path, _ in fields(Values())}
    assert [path for path, _ in fields(Values()) if path not in inner and f"| `{path}` |" not in text] == []


def objects(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if isinstance(node.get("properties"), dict):
            yield node
        for each in node.values():
            yield from objects(each)
    elif isinstance(node, list):
        for each in node:
            yield from objects(each)


def test_the_schema_refuses_what_it_does_not_know() -> None:
    # In a pool, what Kubernetes itself passes on unread may hold anything.
    passed_on = [each for each in objects(SCHEMA) if each.get("additionalProperties") is not False]
    assert all({"name"} <= set(each["properties"]) or "topologyKey" in each["properties"] for each in passed_on)
    assert len(passed_on) <= 4


def test_every_reference_in_the_schema_leads_somewhere() -> None:
    references = set(re.findall(r'"\$ref": "#/definitions/(\w+)"', json.dumps(SCHEMA)))
    assert references <= set(SCHEMA["definitions"])
    assert "$defs" not in json.dumps(SCHEMA)


@pytest.mark.parametrize(
    ("component", "settings", "own"),
    [("Gateway", Settings, OWN_GATEWAY_SETTINGS), ("Operator", OperatorSettings, OWN_OPERATOR_SETTINGS)],
)
def test_every_setting_is_a_value_or_the_charts_own(component: str, settings: Any, own: frozenset[str]) -> None:
    offered = set(SCHEMA["definitions"][component]["properties"]["settings"]["properties"])
    assert offered | own >= set(settings.model_fields)
    assert not offered & own
    secrets = {name for name, field in settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    assert secrets <= own


def test_the_chart_is_of_the_codes_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    for member in ("core", "gateway", "operator"):
        project = tomllib.loads((ROOT / member / "pyproject.toml").read_text())["project"]
        assert project["version"] == chart["appVersion"]


def test_the_schema_is_packaged() -> None:
    assert "values.schema.json" not in (CHART / ".helmignore").read_text()


@pytest.mark.parametrize(
    "text",
    ["metadata:\n  labels: {}\n  name: x\n", "metadata:\n  name: x\n  note: '{{ x }}'\n"],
    ids=["order", "marks"],
)
def test_a_definition_that_would_not_do_in_a_template_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must begin with its name|template marks"):
        crd_template(text)
