"""Where a load is sent and how: options that ``live`` and ``calibrate`` share."""

import argparse

from autellix_bench.commands.failures import Misused
from autellix_bench.commands.options import pair
from autellix_bench.live import ENCODINGS, Api, InHeader, Sessions, Target, Told

__all__ = ["arguments", "target", "told"]

_APIS = {"completions": Api.COMPLETIONS, "chat": Api.CHAT}


def arguments(parser: argparse.ArgumentParser) -> None:
    """The model, the API, and what goes with every call."""
    add = parser.add_argument
    add("--model", required=True, help="its name in the API")
    add("--api", choices=_APIS, default="completions", help="(default: %(default)s)")
    add(
        "--encoding",
        choices=ENCODINGS,
        default="words",
        help="bytes a token: byte for the tiny model, simulated for engine-sim, words for any other (default)",
    )
    add("--header", type=pair, action="append", default=[], metavar="NAME:VALUE", help="on every call; repeatable")


def target(given: argparse.Namespace, urls: list[str], told: Told = None) -> Target:
    """:raises Misused: if the URLs are none."""
    try:
        return Target(
            urls=tuple(url.rstrip("/") for url in urls),
            model=given.model,
            api=_APIS[given.api],
            told=told,
            encoding=ENCODINGS[given.encoding],
            headers=dict(given.header),
        )
    except ValueError as error:
        raise Misused(str(error)) from error


def told(text: str) -> Told:
    """``none``, ``autellix``, or ``header`` with an optional name."""
    kind, _, name = text.partition(":")
    match kind:
        case "none" if not name:
            return None
        case "autellix" if not name:
            return Sessions()
        case "header":
            return InHeader(name) if name else InHeader()
    raise argparse.ArgumentTypeError(f"it is none, autellix, header or header:NAME, not {text!r}")
