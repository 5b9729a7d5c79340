"""Ports of this machine."""

from __future__ import annotations

import socket
from contextlib import ExitStack

from autellix import errors

__all__ = ["free", "require_free"]


def free(count: int) -> list[int]:
    """Different ports that nobody listens on just now."""
    with ExitStack() as held:
        listeners = [held.enter_context(socket.socket()) for _ in range(count)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [int(listener.getsockname()[1]) for listener in listeners]


def require_free(host: str, port: int) -> None:
    """:raises PortInUse: if somebody listens there."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that waits for late packets is free
        try:
            listener.bind((host, port))
        except OSError as error:
            raise errors.PortInUse(
                f"Port {port} of {host} cannot be had ({error.strerror}); end what listens there, or choose another "
                "with --port."
            ) from error
