"""The `autellix` command."""

from autellix.cli.app import app

__all__ = ["app"]
