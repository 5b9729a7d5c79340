"""Markup as values: whatever is not markup already is escaped where it goes in."""

from __future__ import annotations

from html import escape

__all__ = ["Html", "element", "join"]

_VOID = frozenset({"img", "link", "meta"})


class Html(str):
    """Text that is markup."""

    __slots__ = ()


def element(name: str, /, *children: str, **attributes: str) -> Html:
    """An element; ``class_`` is the attribute ``class``. Children that are plain text are escaped."""
    named = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{named}>" if name in _VOID else f"<{name}{named}>{join(children)}</{name}>")


def join(children: tuple[str, ...] | list[str]) -> Html:
    """One after the other."""
    return Html("".join(child if isinstance(child, Html) else escape(child) for child in children))
