"""The daemon's side of a shim's control socket; what is said on it is in `croncord.node.control`."""

import asyncio
import os
import socket
from pathlib import Path

from croncord.node import rundir


class ShimLink(asyncio.Protocol):
    """A connection to a shim."""

    def __init__(self) -> None:
        self.news = asyncio.Event()
        """There may be more to read, or the connection is lost."""
        self.signalled = asyncio.Event()
        """The first signal was sent, or the connection is lost."""
        self.is_lost = False
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember how to talk."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Note what the shim says."""
        self.news.set()
        if b"t" in data:
            self.signalled.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio calls it so
        """Note that the shim is done, or dead."""
        self.is_lost = True
        self.news.set()
        self.signalled.set()

    def ask_for_news(self) -> None:
        """Have `news` set when more is written than there is now."""
        self.news.clear()
        self._say(b"r\n")

    def ask_to_kill(self, grace_seconds: int) -> None:
        """Have the tree ended; `signalled` is set when that has begun."""
        self._say(b"k %d\n" % grace_seconds)

    def close(self) -> None:
        """Stop listening."""
        if self._transport is not None:
            self._transport.close()

    def _say(self, line: bytes) -> None:
        if isinstance(self._transport, asyncio.WriteTransport) and not self.is_lost:
            self._transport.write(line)
        elif self.is_lost:  # nobody will set them any more
            self.news.set()


async def connect(directory: Path) -> ShimLink | None:
    """Connect to the shim of that directory; None when none listens there."""
    client = socket.socket(socket.AF_UNIX)
    try:
        # The path of a socket may have 107 bytes; through /proc it is short wherever it is.
        handle = os.open(directory, os.O_PATH | os.O_DIRECTORY)
        try:
            client.setblocking(False)
            client.connect(f"/proc/self/fd/{handle}/{rundir.CONTROL}")
        finally:
            os.close(handle)
    except (FileNotFoundError, ConnectionError, BlockingIOError):
        client.close()
        return None
    loop = asyncio.get_running_loop()
    _, link = await loop.create_unix_connection(ShimLink, sock=client)
    return link
