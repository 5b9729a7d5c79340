"""The Lua scripts as they are loaded."""

from importlib import resources

import pytest

from autellix_gateway.table.redis import _VERBS
from autellix_gateway.table.scripts import script

VERBS = sorted(
    path.name.removesuffix(".lua")
    for path in resources.files("autellix_gateway.table").joinpath("lua").iterdir()
    if path.name.endswith(".lua")
)


def test_every_verb_has_a_script() -> None:
    assert sorted(_VERBS) == VERBS


@pytest.mark.parametrize("verb", VERBS)
def test_a_script_says_what_it_takes_and_returns(verb: str) -> None:
    head = [line for line in script(verb).splitlines()[:8] if line.startswith("--")]

    assert head[0].startswith(f"-- {verb}: ")
    for part in ("-- KEYS", "-- ARGV[1] {", "-- Returns "):
        assert any(line.startswith(part) for line in head), part


@pytest.mark.parametrize("verb", VERBS)
def test_includes_are_resolved_once_each(verb: str) -> None:
    text = script(verb)

    assert "--- include" not in text
    assert text.count("= unpack(KEYS)") == 1
    assert text.count("local function add(") <= 1


@pytest.mark.parametrize("verb", VERBS)
def test_no_key_is_made_inside_a_script(verb: str) -> None:
    """A cluster routes by KEYS alone."""
    code = [line for line in script(verb).splitlines() if not line.lstrip().startswith("--")]

    assert not any("autellix:" in line for line in code)
