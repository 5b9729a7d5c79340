"""``values.yaml`` and the chart README's table of values, both out of the model's defaults and docstrings."""

import json
import textwrap
from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import BaseModel

from autellix_chart.values import Values

__all__ = ["BEGIN", "END", "readme", "values_text"]

BEGIN = "<!-- values: made by `make chart` -->"
END = "<!-- end of values -->"
_WIDTH = 118
_HEADER = """\
# Everything that can be set, with its default. Made by `make chart` out of helm/src/autellix_chart, as are the schema
# that refuses anything else and the table in README.md.
"""


def values_text() -> str:
    """The file's text."""
    return "\n".join([_HEADER, *_block(Values(), indent="", spaced=True)]).rstrip() + "\n"


def readme(text: str) -> str:
    """The README with the table between its two marks made anew."""
    rows = ["| value | default | |", "| --- | --- | --- |"]
    for path, default, said in _rows(Values(), ""):
        rows.append(f"| `{path}` | `{_inline(default)}` | {said.replace('|', chr(92) + '|')} |")
    head, rest = text.split(BEGIN)
    return "\n".join([head + BEGIN, *rows, END]) + rest.split(END)[1]


def _fields(part: BaseModel) -> Iterator[tuple[str, Any, str]]:
    """A component's own first, then what all components have."""
    model = type(part)
    fields = sorted(model.model_fields.items(), key=lambda each: each[0] not in model.__annotations__)
    for name, field in fields:
        yield field.alias or name, getattr(part, name), " ".join((field.description or "").split())


def _rows(part: BaseModel, prefix: str) -> Iterator[tuple[str, Any, str]]:
    for name, value, said in _fields(part):
        if isinstance(value, BaseModel):
            yield from _rows(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value, said


def _block(part: BaseModel, indent: str, *, spaced: bool = False) -> Iterator[str]:
    for name, value, said in _fields(part):
        mark = f"{indent}# "
        yield from textwrap.wrap(said, _WIDTH, initial_indent=mark, subsequent_indent=mark)
        if isinstance(value, BaseModel):
            yield f"{indent}{name}:"
            yield from _block(value, indent + "  ")
        elif isinstance(value, dict | list) and value:
            yield f"{indent}{name}:"
            yield textwrap.indent(yaml.safe_dump(value, sort_keys=False).rstrip(), indent + "  ")
        else:
            yield f"{indent}{name}: {_inline(value)}"
        if spaced:
            yield ""


def _inline(value: Any) -> str:
    return json.dumps(value)
