"""The web address of a node with a certificate: looks at how a connection begins, then serves it.

Nothing is set up for a stranger before its first bytes are there, and whoever does not finish the
handshake in time is let go. Without TLS a caller is told to use it, or served where that is allowed.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from typing import Final

from croncord.tls.identity import NodeTls
from croncord.web.greeting import HELLO_BYTES_MAX, Greeting, read_greeting

HANDSHAKE_SECONDS: Final = 5.0
HANDSHAKES_MAX: Final = 256
"""With more than that under way, the one that has waited longest is let go."""
_GOODBYE_SECONDS: Final = 1.0
_LOOK_AGAIN_SECONDS: Final = 0.02
_REST_SECONDS: Final = 0.2
BACKLOG: Final = 128
_ANSWER: Final = (
    b'{"type":"about:blank","title":"This port speaks HTTPS","status":400,'
    b'"detail":"the request came without TLS, and this port speaks HTTPS",'
    b'"hint":"Write https:// instead of http://. Whatever was sent could be read on the way."}'
)
_REFUSAL: Final = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\n"
    b"Content-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(_ANSWER), _ANSWER)
)

_log = logging.getLogger(__name__)


class TlsDoor:
    """Accepts connections for an application until it is closed."""

    def __init__(self, guests: Callable[[], asyncio.Protocol], tls: NodeTls) -> None:
        self._guests = guests
        self._tls = tls
        self._listeners: list[socket.socket] = []
        self._accepting: set[asyncio.Task[None]] = set()
        self._greeted: dict[asyncio.Task[None], None] = {}
        """Connections under way, the longest waiting first."""

    async def open(self, host: str, port: int) -> None:
        """Listen on every address of the host. Raises OSError."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        try:
            for family, *_, address in dict.fromkeys(found):
                self._listeners.append(
                    socket.create_server(address, family=family, backlog=BACKLOG)
                )
        except OSError:
            await self.close()
            raise
        for listener in self._listeners:
            listener.setblocking(False)
            self._accepting.add(asyncio.create_task(self._accept(listener)))

    async def close(self) -> None:
        """Stop listening; connections that are served go on."""
        ending = {*self._accepting, *self._greeted}
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending)
        for listener in self._listeners:
            listener.close()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _address = await loop.sock_accept(listener)
            except OSError:
                # Out of descriptors, or the caller has gone: rest instead of spinning.
                await asyncio.sleep(_REST_SECONDS)
                continue
            if len(self._greeted) >= HANDSHAKES_MAX:
                oldest = next(iter(self._greeted))
                del self._greeted[oldest]
                oldest.cancel()
            task = asyncio.create_task(self._greet(sock))
            self._greeted[task] = None
            task.add_done_callback(lambda done: self._greeted.pop(done, None))
            await asyncio.sleep(0)  # a connection that waits is taken at once, without a turn

    async def _greet(self, sock: socket.socket) -> None:
        handed_over = False
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                greeting = await _first_bytes(sock)
                if greeting == "plain" and self._tls.required:
                    await _refuse(sock)
                elif greeting is not None:
                    handed_over = True
                    await self._serve(sock, greeting)
        except OSError as error:  # also TimeoutError, and what OpenSSL has against the caller
            _log.debug("a connection did not come about: %s", error)
        finally:
            if not handed_over:
                sock.close()

    async def _serve(self, sock: socket.socket, greeting: Greeting) -> None:
        loop = asyncio.get_running_loop()
        contexts = self._tls.contexts
        if greeting == "plain":
            await loop.connect_accepted_socket(self._guests, sock)
            return
        await loop.connect_accepted_socket(
            self._guests,
            sock,
            ssl=contexts.nodes if greeting == "node" else contexts.web,
            ssl_handshake_timeout=HANDSHAKE_SECONDS,
            ssl_shutdown_timeout=_GOODBYE_SECONDS,
        )


async def _first_bytes(sock: socket.socket) -> Greeting | None:
    """Look at what came without taking it; None when the caller has gone."""
    sock.setblocking(False)
    while True:
        await _readable(sock)
        try:
            begun = sock.recv(HELLO_BYTES_MAX, socket.MSG_PEEK)
        except BlockingIOError:
            continue
        if not begun:
            return None
        greeting = read_greeting(begun)
        if greeting is not None:
            return greeting
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)  # it stays readable: looking is not taking


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    is_readable: asyncio.Future[None] = loop.create_future()
    loop.add_reader(sock, is_readable.set_result, None)
    try:
        await is_readable
    finally:
        loop.remove_reader(sock)


async def _refuse(sock: socket.socket) -> None:
    """Say what to do, then wait a moment for the caller to have read it."""
    loop = asyncio.get_running_loop()
    if not sock.recv(1, socket.MSG_PEEK).isalpha():
        return  # it speaks no HTTP
    await loop.sock_sendall(sock, _REFUSAL)
    sock.shutdown(socket.SHUT_WR)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_GOODBYE_SECONDS):
            # Closing with bytes unread would reset the connection and lose the answer.
            while await loop.sock_recv(sock, HELLO_BYTES_MAX):
                pass
