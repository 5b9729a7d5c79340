"""`autellix ps`: the process table."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Annotated

import httpx2
import typer
from rich.console import RenderableType
from rich.live import Live
from rich.text import Text

from autellix import tables
from autellix.cli.screens import screen
from autellix.endpoints import Endpoint
from autellix.exchanges import SessionsApi, send
from autellix_core import wire

__all__ = ["ps"]

_TIMEOUT_S = 10.0


def ps(
    base_url: Annotated[
        str | None,
        typer.Option(help="The gateway. [default: AUTELLIX_BASE_URL, else http://127.0.0.1:8080/v1]"),
    ] = None,
    api_key: Annotated[
        str | None, typer.Option(help="Whose programs. [default: AUTELLIX_API_KEY, else OPENAI_API_KEY]")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Stay, and show it as it changes.")] = False,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks, with --watch.")] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="The sessions as JSON, for programs.")] = False,
) -> None:
    """Show the process table: the programs that the gateway knows, in the order it favours them."""
    if watch and as_json:
        raise typer.BadParameter("--json shows one moment; leave out --watch.", param_hint="--watch")
    endpoint = Endpoint.find(base_url, api_key)
    with httpx2.Client(timeout=_TIMEOUT_S) as http:
        api = SessionsApi(endpoint)
        sessions = send(http, api.listed())
        if as_json:
            typer.echo(json.dumps(sessions, indent=2))
            return
        console = screen()
        if not watch:
            console.print(_shown(sessions, endpoint))
            return
        with Live(_shown(sessions, endpoint), console=console, auto_refresh=False, screen=True) as live:
            try:
                while True:
                    time.sleep(interval)
                    live.update(_shown(send(http, api.listed()), endpoint), refresh=True)
            except KeyboardInterrupt:
                return


def _shown(sessions: list[wire.SessionJSON], endpoint: Endpoint) -> RenderableType:
    if not sessions:
        return Text(f"No programs at {endpoint.base_url}.")
    return tables.process_table(tables.by_priority(sessions), datetime.now(UTC))
