"""`autellix gateway`: the gateway in this process's place."""

from __future__ import annotations

import os

import typer

from autellix.stack import gateway as gateways

__all__ = ["gateway"]


def gateway(context: typer.Context) -> None:
    """Run the gateway. What follows goes to it; `autellix gateway --help` is its own help."""
    gateways.require()
    command = gateways.command(context.args)
    os.execv(command[0], command)  # noqa: S606 - signals and the exit status are then the gateway's own
