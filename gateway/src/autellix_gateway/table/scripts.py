"""The Lua scripts of the table, as text to load into Redis.

One file a verb; ``--- include "name"`` stands for the text of ``lua/include/name.lua``, once in each script.
"""

import re
from importlib import resources

__all__ = ["script"]

_INCLUDE = re.compile(r'^--- include "(\w+)"\n', re.MULTILINE)


def script(name: str) -> str:
    """The text of the verb ``name`` with its includes."""
    included: set[str] = set()

    def resolve(text: str) -> str:
        return _INCLUDE.sub(lambda match: include(match[1]), text)

    def include(part: str) -> str:
        if part in included:
            return ""
        included.add(part)
        return resolve(_read(f"include/{part}.lua"))

    return resolve(_read(f"{name}.lua"))


def _read(path: str) -> str:
    return resources.files("autellix_gateway.table").joinpath("lua", path).read_text(encoding="utf-8")
