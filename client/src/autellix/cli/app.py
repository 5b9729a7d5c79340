"""The commands, composed; each lives in a module of its own."""

from __future__ import annotations

import sys
from importlib import metadata
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from autellix import errors
from autellix.cli import demo, engine, gateway, ps, up

__all__ = ["app"]


class _Sentences(TyperGroup):
    """Shows this package's errors as the sentences that they are, without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except errors.AutellixError as error:
            print(f"autellix: {error}", file=sys.stderr)  # noqa: T201
            raise typer.Exit(1) from error
        except KeyboardInterrupt:
            print("autellix: interrupted; nothing is left running.", file=sys.stderr)  # noqa: T201
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=_Sentences,
    help="Autellix serves agentic programs, not single requests.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"autellix {metadata.version('autellix')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    pass


_HANDED_ON = {"ignore_unknown_options": True, "allow_extra_args": True}
"""Of commands that are another distribution's: all that follows is theirs, `--help` too."""

engines = typer.Typer(help="Look at an engine.", no_args_is_help=True)
engines.command("check", add_help_option=False, context_settings=_HANDED_ON)(engine.check)

app.command("up", context_settings={"allow_extra_args": True})(up.up)
app.command("gateway", add_help_option=False, context_settings=_HANDED_ON)(gateway.gateway)
app.add_typer(engines, name="engine")
app.command("engine-sim", add_help_option=False, context_settings=_HANDED_ON)(engine.engine_sim)
app.command("bench", add_help_option=False, context_settings=_HANDED_ON)(engine.bench)
app.command("ps")(ps.ps)
app.command("demo")(demo.demo)
