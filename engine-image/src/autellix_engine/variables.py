"""The engine's command line from environment variables, as a container is configured.

``AUTELLIX_ENGINE_LEVEL_BOUNDS=1,4`` stands for ``--level-bounds 1,4``, and so for every flag of
``python -m autellix_engine``. ``AUTELLIX_ENGINE_VLLM_ARGS`` holds arguments for vLLM, quoted as for a shell. What the
command line says comes later and therefore wins.
"""

import re
import shlex
from collections.abc import Mapping, Sequence

from autellix_core.errors import InvalidSetting

__all__ = ["PREFIX", "arguments"]

PREFIX = "AUTELLIX_ENGINE_"

_FLAGS = (
    "MODEL",
    "SERVED_MODEL_NAME",
    "HOST",
    "PORT",
    "POLICY",
    "LEVEL_BOUNDS",
    "LEVEL_QUANTA",
    "BETA",
    "DECIDE_EVERY",
    "MOST_PREEMPTIONS",
    "OFFLOAD_GIB",
)
_SWITCHES = ("STOCK", "VERBOSE")
_FOR_VLLM = "VLLM_ARGS"
_OTHERS = {"PYTHON"}
"""Read elsewhere: which Python the command and the tests start engines with."""

# Kubernetes describes a Service named autellix-engine to every pod beside it in variables of the same prefix:
# AUTELLIX_ENGINE_PORT=tcp://10.0.0.1:8000, AUTELLIX_ENGINE_SERVICE_HOST, AUTELLIX_ENGINE_PORT_8000_TCP_ADDR, ...
_SERVICE = re.compile(r"SERVICE_(HOST|PORT)(_\w+)?|PORT_\d+_\w+")
_ADDRESS = re.compile(r"\w+://")
_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"", "0", "false", "no", "off"}


def arguments(environment: Mapping[str, str], given: Sequence[str] = ()) -> list[str]:
    """The whole command line: what the environment says, then ``given``. An empty variable says nothing.

    Raises :class:`InvalidSetting` for a variable of ours that has no meaning, since it may be a misspelt one.
    """
    said = {name.removeprefix(PREFIX): value for name, value in environment.items() if name.startswith(PREFIX)}
    unknown = set(said) - {*_FLAGS, *_SWITCHES, _FOR_VLLM, *_OTHERS}
    if nonsense := sorted(name for name in unknown if not _SERVICE.fullmatch(name)):
        known = ", ".join((*_FLAGS, *_SWITCHES, _FOR_VLLM))
        raise InvalidSetting(f"There is no setting {PREFIX}{nonsense[0]}; after {PREFIX} there may be {known}.")
    ours: list[str] = []
    for name in _FLAGS:
        value = said.get(name, "").strip()
        if value and not (name == "PORT" and _ADDRESS.match(value)):
            ours.append(f"{_flag(name)}={value}")
    ours += [_flag(name) for name in _SWITCHES if _switched_on(name, said.get(name, ""))]
    vllm = _split(said.get(_FOR_VLLM, ""))
    at = list(given).index("--") if "--" in given else len(given)
    ours, vllm = [*ours, *given[:at]], [*vllm, *given[at + 1 :]]
    return [*ours, "--", *vllm] if vllm else ours


def _flag(name: str) -> str:
    return f"--{name.lower().replace('_', '-')}"


def _switched_on(name: str, value: str) -> bool:
    chosen = value.strip().lower()
    if chosen not in _TRUE | _FALSE:
        raise InvalidSetting(f"{PREFIX}{name} is 1 or 0, not {value}.")
    return chosen in _TRUE


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise InvalidSetting(f"{PREFIX}{_FOR_VLLM} cannot be split into arguments: {error}.") from error
