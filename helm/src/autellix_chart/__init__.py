"""What the chart's files are made from: a typed model of its values, the gateway's settings, the operator's CRDs."""

__all__: list[str] = []
