"""Versions of vLLM: tested ones pass in silence, others with a warning, impossible ones not at all."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from autellix_engine import versions
from autellix_engine.features import EngineRefused
from engine_vllm import Clock, ProgramStockScheduler, StockScheduler, make_scheduler


@pytest.mark.parametrize("version", ["0.27.0", "0.27.1", "0.30", "0.32.0+cpu", "0.32.1rc1"])
def test_a_tested_version_passes_in_silence(version: str) -> None:
    assert versions.warning(version) is None


@pytest.mark.parametrize("version", ["0.26.9", "0.33.0", "0.33.0.dev12+g1a2b3c", "1.0.0", "0.9.2", "dev", ""])
def test_another_version_is_told_what_nobody_compared(version: str) -> None:
    warned = versions.warning(version)
    assert warned is not None
    assert f"vLLM {version} is outside" in warned
    assert "0.27 to 0.32" in warned
    assert "preemption" in warned


@pytest.mark.parametrize(("there", "chosen"), [((1,), 1), ((0,), 0), ((0, 1), 0), ((), 0)])
def test_the_newest_module_that_serves_is_taken_of_those_that_are_there(
    tmp_path: Path, there: tuple[int, ...], chosen: int
) -> None:
    for index in there:
        file = tmp_path.joinpath(*versions.ENTRIES[index].split(".")[1:]).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert versions.entry([str(tmp_path)]) == versions.ENTRIES[chosen]


def test_names_that_are_gone_are_found_at_any_depth() -> None:
    thing = SimpleNamespace(a=1, b=SimpleNamespace(c=None))
    assert versions.missing(thing, ("a", "b.c", "b.d", "e", "b.c.f")) == ("b.d", "e", "b.c.f")
    assert versions.missing(thing, ("e|b.c", "b.d|e")) == ("b.d|e",)


def test_the_stand_in_has_all_that_is_relied_on() -> None:
    scheduler = make_scheduler(Clock())
    assert versions.missing(ProgramStockScheduler, versions.METHOD_NAMES) == ()
    assert versions.missing(scheduler, versions.INSTANCE_NAMES) == ()


def test_an_engine_without_a_needed_name_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(self: StockScheduler, *args: object, **kwargs: object) -> None:
        built(self, *args, **kwargs)  # type: ignore[arg-type]
        del self.prev_step_scheduled_req_ids

    built = StockScheduler.__init__
    monkeypatch.setattr(StockScheduler, "__init__", without)
    with pytest.raises(EngineRefused, match=r"no prev_step_scheduled_req_ids, .* install vLLM 0\.27 to 0\.32"):
        make_scheduler(Clock())


def test_an_untested_engine_starts_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    make_scheduler(Clock(), version="0.40.0")
    (record,) = caplog.records
    assert "vLLM 0.40.0 is outside" in record.getMessage()


def test_nothing_is_refused_where_nothing_lacks() -> None:
    assert versions.refusal("0.32.0", ()) is None
