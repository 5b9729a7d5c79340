"""``report``: a folder of results as a page with pictures."""

import argparse
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

import yaml

from autellix_bench import report
from autellix_bench.commands import output
from autellix_bench.commands.facts import facts
from autellix_bench.commands.failures import Failed, Misused
from autellix_bench.commands.results import Results
from autellix_bench.points import Point

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """The folder, and why ours differs from the paper's."""
    add = parser.add_argument
    add("folder", type=Path, metavar="DIR", help="where points.jsonl is, and the page goes")
    add("--reasons", type=Path, metavar="FILE", help="YAML: by a claim's id, why ours differs (default: those we know)")


def run(given: argparse.Namespace) -> None:
    """Write the page.

    :raises Failed: if there are no points, or two of one system, load and seed.
    """
    results = Results(given.folder)
    points = results.points()
    if not points:
        raise Failed(
            f"There are no points in {given.folder}: run `experiments` or `compare` with --out {given.folder}."
        )
    reasons = _reasons(given.reasons)
    try:
        page = report.write(
            points,
            facts=_facts(points, results.facts()),
            out=given.folder,
            stretches=results.stretches(),
            reasons=reasons,
        )
    except ValueError as error:
        raise Failed(str(error)) from error
    output.say(f"{page}: {len(points)} points.")


def _facts(points: Sequence[Point], made: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
    """How the page was made, and each experiment."""
    said = {name.capitalize(): value for name, value in facts().items()}
    together: dict[str, list[str]] = {}
    for experiment, of in made.items():
        together.setdefault("; ".join(of.values()), []).append(experiment)
    seeds = sorted({point.seed for point in points})
    return {
        **said,
        "Seeds and repetitions": ", ".join(map(str, seeds)),
        **{f"Measured: {', '.join(experiments)}": text for text, experiments in together.items()},
    }


def _reasons(file: Path | None) -> Mapping[str, str]:
    known = resources.files("autellix_bench.report") / "reasons.yaml" if file is None else file
    try:
        reasons = yaml.safe_load(known.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise Misused(f"--reasons {file}: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise Misused(f"--reasons {file} is no YAML: {error}") from error
    if not isinstance(reasons, dict) or not all(isinstance(part, str) for pair in reasons.items() for part in pair):
        raise Misused(f"--reasons {file}: it must be a mapping of texts, a claim's id to a reason.")
    return reasons
