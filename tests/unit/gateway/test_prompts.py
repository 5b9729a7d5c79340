"""How long a prompt is, read off a body."""

from typing import Any

import pytest

from autellix_gateway.api.prompts import prompt_tokens


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        pytest.param({"prompt": "x" * 40}, 10, id="text"),
        pytest.param({"prompt": ["x" * 40, "y" * 20]}, 15, id="texts"),
        pytest.param({"prompt": [1, 2, 3]}, 3, id="token-ids"),
        pytest.param({"prompt": [[1, 2, 3], [1]]}, 3, id="several-prompts-of-token-ids"),
        pytest.param({"messages": [{"role": "user", "content": "x" * 36}]}, 10, id="chat"),
        pytest.param(
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "x" * 32}]}]}, 10, id="chat-in-parts"
        ),
        pytest.param(
            {"messages": [{"role": "tool", "content": "x" * 36}], "tools": [{"name": "y" * 40}]}, 20, id="tools"
        ),
        pytest.param({}, 0, id="nothing"),
        pytest.param({"prompt": None, "messages": 7}, 0, id="nonsense"),
    ],
)
def test_prompt_tokens(body: dict[str, Any], tokens: int) -> None:
    assert prompt_tokens(body, chars_per_token=4.0) == tokens


def test_a_body_nested_deeply_is_measured() -> None:
    nested: Any = "xxxx"
    for _ in range(50_000):
        nested = [nested]
    assert prompt_tokens({"messages": nested}, chars_per_token=4.0) == 1
