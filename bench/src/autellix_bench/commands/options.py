"""Types of options: each gives a value, or a sentence that argparse prints."""

import argparse
import math
import os
from collections.abc import Callable, Collection

__all__ = ["PROCESSES", "amount", "count", "names", "pair"]

PROCESSES = os.process_cpu_count() if hasattr(os, "process_cpu_count") else os.cpu_count()
"""As many as this machine lets this process use."""


def amount(text: str) -> float:
    """At least 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"it must be a number of at least 0, not {text!r}")
    return value


def count(text: str) -> int:
    """At least 1."""
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"it must be a whole number of at least 1, not {text!r}")
    return int(text)


def names(known: Collection[str]) -> Callable[[str], list[str]]:
    """Some of these, with commas between."""

    def chosen(text: str) -> list[str]:
        found = list(dict.fromkeys(each.strip() for each in text.split(",") if each.strip()))
        if not found or (strangers := [each for each in found if each not in known]):
            what = "names are missing" if not found else f"there is no {strangers[0]!r}"
            raise argparse.ArgumentTypeError(f"{what}; there is {', '.join(known)}")
        return found

    return chosen


def pair(text: str) -> tuple[str, str]:
    """``NAME:VALUE``, as a header is written."""
    name, colon, value = text.partition(":")
    if not (name.strip() and colon):
        raise argparse.ArgumentTypeError(f"it must be NAME:VALUE, not {text!r}")
    return name.strip(), value.strip()
