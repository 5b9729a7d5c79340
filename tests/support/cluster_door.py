"""``python cluster_door.py PID PORT HOST HOST_PORT``: a port on loopback that leads into another network.

It listens where it was started, then enters the namespace of process PID and connects from there: a socket stays in the
namespace that it was made in. Standard library alone, and no import of ours, since it runs as a process of its own.
"""

import asyncio
import ctypes
import os
import socket
import sys
from pathlib import Path

__all__ = ["main"]

_NETWORK = 0x40000000  # CLONE_NEWNET


def main(pid: int, port: int, host: str, host_port: int) -> None:
    """Pass connections through until the process is ended."""
    with socket.create_server(("127.0.0.1", port)) as listening:
        namespace = os.open(Path(f"/proc/{pid}/ns/net"), os.O_RDONLY)
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(namespace, _NETWORK):
            raise OSError(ctypes.get_errno(), "The network namespace cannot be entered")
        os.close(namespace)
        asyncio.run(_serve(listening, host, host_port))


async def _serve(listening: socket.socket, host: str, port: int) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(host, port)
        except OSError:
            writer.transport.abort()  # whoever asks here sees a connection that ends, as if there was nobody
            return
        try:
            await asyncio.gather(_pass_on(reader, far_writer), _pass_on(far_reader, writer))
        finally:
            for each in (writer, far_writer):
                each.transport.abort()

    server = await asyncio.start_server(connected, sock=listening)
    await server.serve_forever()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction, to its end; that end is passed on too."""
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.transport.abort()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
