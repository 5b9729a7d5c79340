"""Ports of this machine."""

from __future__ import annotations

import socket

from autellix import errors

__all__ = ["a_free_one", "require_free"]


def a_free_one() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


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
