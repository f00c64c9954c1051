"""How many connections the web address holds: strangers that say nothing must not keep others out."""

import asyncio
from typing import Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

GUESTS_MAX: Final = 512
"""Connections held at once. Half of the descriptors that a process has by default: scripts, files
and other nodes need some too."""
IDLE_SECONDS: Final = 60.0
"""How long a connection may take for a whole head of a request, the first one too."""


class Guests:
    """Called for each connection; past the limit the one that has been there longest is let go.

    One that waits for a request goes at once, one that is being answered when it has its answer.
    """

    def __init__(self, server: web.Server, *, at_most: int = GUESTS_MAX) -> None:
        self._server = server
        self._at_most = at_most
        self._leaving: dict[RequestHandler, asyncio.Task[None]] = {}

    def __call__(self) -> RequestHandler:
        """Return the protocol of a new connection."""
        held = self._server.connections
        if len(held) >= self._at_most:
            oldest = next((each for each in held if each not in self._leaving), None)
            if oldest is not None:
                self._let_go(oldest)
        return self._server()

    def _let_go(self, guest: RequestHandler) -> None:
        guest.close()
        leaving = asyncio.ensure_future(guest.shutdown(timeout=None))
        self._leaving[guest] = leaving
        leaving.add_done_callback(lambda _: self._leaving.pop(guest, None))
