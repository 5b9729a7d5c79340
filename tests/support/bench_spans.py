"""Spans in OTLP JSON, as a collector's file exporter writes them."""

import json


def span(
    name: str,
    start_s: float,
    end_s: float,
    *,
    inside: str = "",
    trace: str = "t1",
    tokens: tuple[int, int] | None = None,
    **attributes: str | int,
) -> dict[str, object]:
    """A span; with tokens of input and output it is a model call. A double underscore in a name is a dot."""
    named: dict[str, str | int] = {}
    if tokens is not None:
        named |= {"gen_ai__operation__name": "chat", "gen_ai__request__model": "m"}
        named |= {"gen_ai__usage__input_tokens": tokens[0], "gen_ai__usage__output_tokens": tokens[1]}
    named |= attributes
    return {
        "traceId": trace,
        "spanId": name,
        "parentSpanId": inside,
        "name": name,
        "startTimeUnixNano": str(1_700_000_000_000_000_000 + round(start_s * 1e9)),
        "endTimeUnixNano": str(1_700_000_000_000_000_000 + round(end_s * 1e9)),
        "attributes": [
            {
                "key": key.replace("__", "."),
                "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value},
            }
            for key, value in named.items()
        ],
    }


def export(*spans: dict[str, object], indent: int | None = None) -> str:
    """One export of them: a line, unless it is indented."""
    resource = {"resource": {"attributes": []}, "scopeSpans": [{"scope": {"name": "agent"}, "spans": spans}]}
    return json.dumps({"resourceSpans": [resource]}, indent=indent) + "\n"
