"""The operator's own files as the chart's: CustomResourceDefinitions as templates that Helm keeps, and its rules."""

from pathlib import Path

import yaml

__all__ = ["crd_template", "operator_rules"]

_KEPT = "  annotations:\n    helm.sh/resource-policy: keep\n"


def crd_template(text: str) -> str:
    """A template that brings the definition where ``crds.install`` says so, and never takes it away.

    :raises ValueError: if the definition could not stand in a template as it is.
    """
    if "{{" in text or "\n---" in text:
        raise ValueError("a CustomResourceDefinition for the chart is one document without template marks")
    name = yaml.safe_load(text)["metadata"]["name"]
    head, mark, rest = text.partition(f"metadata:\n  name: {name}\n")
    if not mark:
        raise ValueError(f"the metadata of {name} must begin with its name")
    return f"{{{{- if .Values.crds.install }}}}\n{head}{mark}{_KEPT}{rest.rstrip()}\n{{{{- end }}}}\n"


def operator_rules(path: Path) -> str:
    """What the operator may do, as the chart's templates read it."""
    return path.read_text()
