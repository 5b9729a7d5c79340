"""Which file of the chart is made of what."""

from collections.abc import Mapping
from pathlib import Path

from autellix_chart.crds import crd_template, operator_rules
from autellix_chart.reference import readme, values_text
from autellix_chart.schema import schema_text

__all__ = ["CHART", "ROOT", "made"]

ROOT = Path(__file__).resolve().parents[3]
CHART = ROOT / "helm" / "autellix"
_OPERATOR = ROOT / "operator" / "src" / "autellix_operator"


def made() -> Mapping[Path, str]:
    """Each file that is made, with its text."""
    crds = _OPERATOR / "crds"
    return {
        CHART / "values.yaml": values_text(),
        CHART / "values.schema.json": schema_text(crds),
        CHART / "README.md": readme((CHART / "README.md").read_text()),
        CHART / "files" / "operator-rules.yaml": operator_rules(_OPERATOR / "rbac.yaml"),
        **{CHART / "templates" / "crds" / each.name: crd_template(each.read_text()) for each in crds.glob("*.yaml")},
    }
