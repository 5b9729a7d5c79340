"""A file by its path, or one that is open already; and JSON in it, by line or as a whole."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO

__all__ = ["Source", "documents", "opened"]

Source = str | Path | IO[str]
"""A path, or an open text file, which is left open."""


def opened(source: Source) -> AbstractContextManager[IO[str]]:
    """The source as a file to be read."""
    if isinstance(source, str | Path):
        return Path(source).open(encoding="utf-8")
    return nullcontext(source)


def documents(source: Source, what: str) -> Iterator[tuple[str, object]]:
    """The JSON in the file and where it stands: one document, or one a line if the first line is one.

    :param what: what the file should hold, for the error's sentence.
    :raises ValueError: with the line's number, if it is no JSON.
    """
    with opened(source) as file:
        first = next((line for line in file if line.strip()), "")
        try:
            whole: object = json.loads(first)
        except ValueError:
            yield "The file", _loaded(first + file.read(), "The file", what)
            return
        yield "Line 1", whole
        for number, line in enumerate(file, start=2):
            if line.strip():
                yield f"Line {number}", _loaded(line, f"Line {number}", what)


def _loaded(text: str, where: str, what: str) -> object:
    try:
        loaded: object = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{where} is no JSON, let alone {what}: {error}.") from error
    return loaded
