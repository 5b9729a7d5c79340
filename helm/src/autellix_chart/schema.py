"""``values.schema.json``: the model of the values, with the gateway's settings and EnginePool's own schema in it.

It is written for Helm 3's older validators too: draft 7, and no keyword that a later draft brought.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from autellix_chart.values import Values
from autellix_gateway import settings as gateway
from autellix_operator import settings as operator

__all__ = ["OWN_GATEWAY_SETTINGS", "OWN_OPERATOR_SETTINGS", "schema", "schema_text"]

OWN_GATEWAY_SETTINGS = frozenset(
    {
        "api_keys",
        "config",
        "engine_api_key",
        "engines",
        "host",
        "kubernetes_namespace",
        "operator_key",
        "port",
        "redis_password",
        "redis_url",
        "session_secrets",
    }
)
"""Settings of the gateway that the chart sets, from what it knows and from Secrets: they are no values."""

OWN_OPERATOR_SETTINGS = frozenset(
    {
        "gateway_url",
        "health_host",
        "health_port",
        "identity",
        "key",
        "lease_name",
        "namespaces",
        "own_namespace",
        "release",
    }
)
"""The same of the operator."""

_POOL_NAME = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
_FILLED_IN = {"image"}
"""What EnginePool demands of ``engine``, and the chart's templates fill in."""


class _Plain(GenerateJsonSchema):
    """Without titles, which say a name twice, and without defaults, which stand in values.yaml."""

    def field_title_should_be_set(self, schema: object) -> bool:
        return False

    def default_schema(self, schema: Any) -> dict[str, Any]:
        return self.generate_inner(schema["schema"])


def schema(crds: Path) -> dict[str, Any]:
    """The schema of the chart's values; ``crds`` is the folder with the operator's CustomResourceDefinitions."""
    whole = _of(Values, by_alias=True)
    definitions = whole.pop("definitions")
    for component, settings, own in (
        ("Gateway", gateway.Settings, OWN_GATEWAY_SETTINGS),
        ("Operator", operator.Settings, OWN_OPERATOR_SETTINGS),
    ):
        place = definitions[component]["properties"]["settings"]
        definitions[component]["properties"]["settings"] = {
            **_settings(settings, own, definitions),
            "description": place["description"],
        }
    whole["properties"]["pools"] |= {
        "propertyNames": {"pattern": _POOL_NAME},
        "additionalProperties": {"$ref": "#/definitions/EnginePool"},
    }
    # What a parent chart or a user's own tooling shares with every chart.
    whole["properties"]["global"] = {"type": "object", "description": "Not read; Helm gives it to every chart."}
    definitions["EnginePool"] = _pool(crds)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart autellix",
        **_without_titles(whole),
        "definitions": dict(sorted((name, _without_titles(each)) for name, each in definitions.items())),
    }


def schema_text(crds: Path) -> str:
    """The same as the file's text."""
    return json.dumps(schema(crds), indent=2, sort_keys=False) + "\n"


def _of(model: Any, *, by_alias: bool) -> dict[str, Any]:
    mode: JsonSchemaMode = "validation"
    made: dict[str, Any] = model.model_json_schema(
        by_alias=by_alias, ref_template="#/definitions/{model}", schema_generator=_Plain, mode=mode
    )
    if "$defs" in made:
        made["definitions"] = made.pop("$defs")
    return made


def _settings(model: Any, own: frozenset[str], definitions: dict[str, Any]) -> dict[str, Any]:
    """A program's settings but those that are the chart's; what they refer to goes to ``definitions``."""
    settings = _of(model, by_alias=False)
    definitions |= settings.pop("definitions", {})
    kept = {name: each for name, each in settings["properties"].items() if name not in own}
    return {"type": "object", "additionalProperties": False, "properties": kept}


def _pool(crds: Path) -> dict[str, Any]:
    definition = yaml.safe_load((crds / "enginepools.yaml").read_text())
    (version,) = (each for each in definition["spec"]["versions"] if each["storage"])
    spec = _strict(version["schema"]["openAPIV3Schema"]["properties"]["spec"])
    engine = spec["properties"]["engine"]
    engine["required"] = [name for name in engine.get("required", []) if name not in _FILLED_IN]
    spec["required"] = [name for name in spec["required"] if engine["required"] or name != "engine"]
    return spec


def _strict(node: Mapping[str, Any]) -> dict[str, Any]:
    """A Kubernetes schema as a JSON schema that refuses what the API server would drop."""
    dropped = ("default", "format", "nullable")
    kept = {name: each for name, each in node.items() if not name.startswith("x-kubernetes-") and name not in dropped}
    for bound in ("Minimum", "Maximum"):  # draft 4 said by a flag what later drafts say by a number
        if kept.get(f"exclusive{bound}") is True:
            kept[f"exclusive{bound}"] = kept.pop(bound.lower())
    if "properties" in kept:
        kept["properties"] = {name: _strict(each) for name, each in kept["properties"].items()}
        if not node.get("x-kubernetes-preserve-unknown-fields"):
            kept.setdefault("additionalProperties", False)
    for inside in ("items", "additionalProperties"):
        if isinstance(kept.get(inside), dict):
            kept[inside] = _strict(kept[inside])
    return kept


def _without_titles(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            name: _without_titles(each) for name, each in node.items() if name != "title" or not isinstance(each, str)
        }
    return [_without_titles(each) for each in node] if isinstance(node, list) else node
