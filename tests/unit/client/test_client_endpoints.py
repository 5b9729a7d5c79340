"""Arguments come before the environment, and the environment before this machine."""

from __future__ import annotations

import pytest

from autellix.endpoints import Endpoint

LOCAL = "http://127.0.0.1:8080/v1"


@pytest.mark.parametrize(
    ("arguments", "environ", "expected"),
    [
        pytest.param((None, None), {}, (LOCAL, "autellix"), id="this-machine"),
        pytest.param(
            (None, None),
            {"AUTELLIX_BASE_URL": "http://gw/v1/", "OPENAI_API_KEY": "openai-key"},
            ("http://gw/v1", "openai-key"),
            id="environment",
        ),
        pytest.param(
            (None, None),
            {"AUTELLIX_API_KEY": "own-key", "OPENAI_API_KEY": "openai-key"},
            (LOCAL, "own-key"),
            id="own-key-first",
        ),
        pytest.param(
            ("http://other/v1", "given"),
            {"AUTELLIX_BASE_URL": "http://gw/v1", "AUTELLIX_API_KEY": "own-key"},
            ("http://other/v1", "given"),
            id="arguments-first",
        ),
        pytest.param(
            (None, None),
            {"AUTELLIX_BASE_URL": "", "AUTELLIX_API_KEY": ""},
            (LOCAL, "autellix"),
            id="empty-is-unset",
        ),
    ],
)
def test_the_first_that_is_given_counts(
    arguments: tuple[str | None, str | None], environ: dict[str, str], expected: tuple[str, str]
) -> None:
    endpoint = Endpoint.find(*arguments, environ)
    assert (endpoint.base_url, endpoint.api_key) == expected


def test_the_key_is_not_in_the_text_of_an_endpoint() -> None:
    assert "a-secret" not in repr(Endpoint.find(None, "a-secret", {}))
