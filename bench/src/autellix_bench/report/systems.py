"""What each system is called and how it looks: the same in every table and picture.

Colours are Okabe and Ito's, told apart by colour-blind eyes; dashes and markers tell systems apart without any colour.
Ours are vermilion and nothing else is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["LIVE_OURS", "OURS", "WORKLOADS", "Look", "look", "ordered", "workload_name"]

OURS = "atlas"
"""What the paper's claims are about, in simulation: on single-threaded programs ATLAS orders as PLAS does."""
LIVE_OURS = "autellix"

WORKLOADS = {"sharegpt": "ShareGPT", "bfcl": "BFCL", "lats": "LATS", "mixed": "Mixed", "agentic": "Agentic"}

_VERMILION, _BLUE, _SKY, _GREEN, _ORANGE, _PURPLE = "#d55e00", "#0072b2", "#56b4e9", "#009e73", "#e69f00", "#cc79a7"
_GREY, _OLIVE = "#8c8c8c", "#999933"


@dataclass(frozen=True, slots=True)
class Look:
    """A system's name and line."""

    name: str
    colour: str | None = _GREY
    """None: the colour of the text."""
    dash: str = "-"
    marker: str = "o"
    ours: bool = False


_LOOKS = {
    "vllm": Look("vLLM, no prefix cache", _GREY, ":", "v"),
    "vllm-opt": Look("vLLM-opt (FCFS)", _BLUE, "-", "s"),
    "fcfs-least": Look("FCFS, least used", _BLUE, "--", "D"),
    "mlfq": Look("MLFQ", _PURPLE, "-", "^"),
    "las-gateway": Look("LAS in the gateway, llm-d-like", _GREEN, "-", "P"),
    "session-boost": Look("Session boost, Kthena-like", _SKY, "-", "X"),
    "thunderagent": Look("ThunderAgent-like", _ORANGE, "-", "<"),
    "continuum": Look("Continuum-like", _OLIVE, "-", ">"),
    "atlas-round-robin": Look("ATLAS, round robin", _GREEN, "--", "P"),
    "atlas-least": Look("ATLAS, least used", _BLUE, "--", "D"),
    "plas": Look("PLAS (Autellix)", _VERMILION, "--", "d", ours=True),
    "atlas": Look("ATLAS (Autellix)", _VERMILION, "-", "o", ours=True),
    "srpt": Look("SRPT, knows the future", None, ":", "*"),
    "direct-round-robin": Look("Direct, round robin", _GREY, "-", "v"),
    "vllm-router-round-robin": Look("vllm-router, round robin", _BLUE, "-", "s"),
    "vllm-router-cache-aware": Look("vllm-router, cache aware", _BLUE, "--", "D"),
    "vllm-router-programs": Look("vllm-router, program scheduling", _PURPLE, "-", "^"),
    "sglang-router-cache-aware": Look("sglang-router, cache aware", _GREEN, "-", "P"),
    "litellm": Look("LiteLLM Proxy", _ORANGE, "-", "<"),
    "autellix-stock-engines": Look("Autellix, stock engines", _VERMILION, "--", "d", ours=True),
    "autellix": Look("Autellix", _VERMILION, "-", "o", ours=True),
}
_ORDER = {system: place for place, system in enumerate(_LOOKS)}


def look(system: str) -> Look:
    """Its look; a system that is not known here keeps its own name and is grey."""
    return _LOOKS.get(system) or Look(system)


def ordered(systems: Iterable[str]) -> list[str]:
    """Baselines first, then peers, then ours, then the bound; unknown ones before ours by name."""
    return sorted(set(systems), key=lambda system: (_ORDER.get(system, _ORDER["continuum"]), system))


def workload_name(workload: str) -> str:
    """As it is written."""
    return WORKLOADS.get(workload, workload)
