"""Values out of JSON, each with the type that it must have."""

import math
from collections.abc import Mapping
from contextlib import suppress

__all__ = ["listed", "mapping", "number", "text", "whole"]


def mapping(value: object, what: str) -> Mapping[str, object]:
    """An object."""
    if not isinstance(value, dict):
        raise ValueError(f"{what} must be an object, not {_shown(value)}.")
    return value


def listed(value: object, what: str) -> list[object]:
    """An array."""
    if not isinstance(value, list):
        raise ValueError(f"{what} must be an array, not {_shown(value)}.")
    return value


def text(value: object, what: str) -> str:
    """A string."""
    if not isinstance(value, str):
        raise ValueError(f"{what} must be text, not {_shown(value)}.")
    return value


def whole(value: object, what: str) -> int:
    """A whole number."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{what} must be a whole number, not {_shown(value)}.")
    return value


def number(value: object, what: str) -> float:
    """A finite number."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        with suppress(OverflowError):  # a whole number beyond all floats
            if math.isfinite(value):
                return float(value)
    raise ValueError(f"{what} must be a number, not {_shown(value)}.")


def _shown(value: object) -> str:
    if value is None:
        return "missing"
    shown = repr(value)
    return shown if len(shown) <= 40 else f"{shown[:37]}..."
