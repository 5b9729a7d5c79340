"""Where tests look for the engine's environment, and what they say without one."""

from pathlib import Path

import pytest

from real_engine import engine_python


def test_the_given_python_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.touch()
    monkeypatch.setenv("AUTELLIX_ENGINE_PYTHON", str(python))
    assert engine_python() == python


def test_without_one_a_test_is_skipped_here_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTELLIX_ENGINE_PYTHON", "/no/such/python")
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="make engine"):
        engine_python()
    monkeypatch.setenv("CI", "1")
    with pytest.raises(pytest.fail.Exception, match="make engine"):
        engine_python()
