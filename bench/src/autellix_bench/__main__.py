"""``python -m autellix_bench COMMAND``: the commands, composed."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Protocol, cast

from autellix_bench.commands.failures import Failed, Misused

__all__ = ["COMMANDS", "main", "parse"]

COMMANDS: Mapping[str, str] = {
    "engine-sim": "a simulated engine, without GPU or model, as a server",
    "workload": "a workload's programs, written to be replayed, or their statistics",
    "simulate": "one simulated run: a system under a load, in virtual time",
    "experiments": "the simulated experiments of the evaluation",
    "live": "a load of programs sent to a server with the OpenAI API",
    "compare": "the live comparison: ours and other routers, on real engines and the same programs",
    "calibrate": "the costs of an engine at a URL, fitted for the engine model; nobody else may use it meanwhile",
    "report": "a page with pictures of what was measured, the paper's claims beside it",
    "check": "simulated scenarios against the ranges that are accepted of them",
}
"""What each is; the module of the same name in :mod:`autellix_bench.commands` has its arguments and runs it."""


class _Command(Protocol):
    """Such a module."""

    def arguments(self, parser: argparse.ArgumentParser, /) -> None:
        """Add its own."""

    def run(self, given: argparse.Namespace, /) -> None:
        """Do it.

        :raises Misused, Failed, OSError: with what is wrong.
        """


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command. Exits with a sentence and status 2 if it was asked wrongly, with 1 if it failed."""
    given = parse(sys.argv[1:] if argv is None else argv)
    try:
        _command(given.command).run(given)
    except Misused as error:
        given.parser.error(str(error))
    except Failed as error:
        sys.exit(f"{given.parser.prog}: {error}")
    except OSError as error:
        sys.exit(f"{given.parser.prog}: {error.filename or 'input or output'}: {error.strerror or error}")
    except KeyboardInterrupt:
        sys.stderr.write(f"{given.parser.prog}: interrupted; nothing is left running.\n")
        sys.exit(130)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line. Exits with status 2 and a sentence if it is wrong."""
    parser = argparse.ArgumentParser(prog="python -m autellix_bench", description="Engines and load without a GPU.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, about in COMMANDS.items():
        own = commands.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.")
        own.set_defaults(parser=own)
        if name in argv[:1]:
            _command(name).arguments(own)
    return parser.parse_args(argv)


def _command(name: str) -> _Command:
    """Only the one that is run is imported: a simulated engine waits for no plotting library."""
    return cast("_Command", import_module(f"autellix_bench.commands.{name.replace('-', '_')}"))


if __name__ == "__main__":
    main()
