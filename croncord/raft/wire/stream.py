"""What a connection reads and writes: a socket as it is, or TLS over it.

OpenSSL works on memory; only this file moves bytes between it and the socket. So it never wants to
read in order to write, and what could not be sent stays here.
"""

import contextlib
import socket
import ssl
from typing import Final, Protocol

from croncord.tls import UNTRUSTED_CODES
from croncord.tls.identity import names_in

_TLS_HANDSHAKE: Final = b"\x16"
"""No other connection begins with it: a greeting is short, so the length before it begins with 0."""
_SEAL_BYTES: Final = 256 * 1024
"""So much is sealed before the kernel has taken what was sealed before."""


class Stream(Protocol):
    """A non-blocking socket, possibly with TLS over it."""

    @property
    def is_open(self) -> bool:
        """Whether data can be sent."""

    @property
    def peer_names(self) -> frozenset[str] | None:
        """The nodes that the other side's certificate stands for; None without TLS."""

    @property
    def wants_to_send(self) -> bool:
        """Whether bytes wait here for the kernel to take them."""

    def recv(self, limit: int) -> bytes:
        """Return what came, empty at the end. Raises BlockingIOError and other OSErrors."""

    def send(self, data: bytes | memoryview) -> int:
        """Send some of the data; returns how much was taken. Raises BlockingIOError, OSError."""

    def push(self) -> None:
        """Hand to the kernel what waits here. Raises BlockingIOError when it takes no more."""


class PlainStream:
    """A socket as it is."""

    is_open = True
    peer_names = None
    wants_to_send = False

    def __init__(self, sock: socket.socket) -> None:
        self.recv, self.send = sock.recv, sock.send

    def push(self) -> None:
        """Nothing waits here."""


class EitherStream:
    """The accepting end while a cluster moves to TLS: the first byte says what the caller speaks."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self._socket, self._context = sock, context
        self._stream: Stream | None = None

    @property
    def is_open(self) -> bool:
        """Whether data can be sent."""
        return self._stream is not None and self._stream.is_open

    @property
    def peer_names(self) -> frozenset[str] | None:
        """The nodes that the other side's certificate stands for; None without TLS."""
        return self._stream.peer_names if self._stream else None

    @property
    def wants_to_send(self) -> bool:
        """Whether bytes wait here for the kernel to take them."""
        return self._stream is not None and self._stream.wants_to_send

    def recv(self, limit: int) -> bytes:
        """Return what came, empty at the end. Raises BlockingIOError and other OSErrors."""
        if self._stream is None:
            first = self._socket.recv(1, socket.MSG_PEEK)
            is_tls = first[:1] == _TLS_HANDSHAKE
            self._stream = (
                TlsStream(self._socket, self._context, is_client=False)
                if is_tls
                else PlainStream(self._socket)
            )
        return self._stream.recv(limit)

    def send(self, data: bytes | memoryview) -> int:
        """Send some of the data; returns how much was taken. Raises BlockingIOError, OSError."""
        if self._stream is None:
            raise BlockingIOError
        return self._stream.send(data)

    def push(self) -> None:
        """Hand to the kernel what waits here. Raises BlockingIOError when it takes no more."""
        if self._stream is not None:
            self._stream.push()


class TlsStream:
    """One end of a TLS connection."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, *, is_client: bool) -> None:
        self._socket = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=not is_client)
        self._sealed = b""
        self._is_client = is_client
        self._is_begun = False
        self.is_open = False
        """Whether the handshake is done, so that data can be sent."""

    @property
    def peer_names(self) -> frozenset[str] | None:
        """The nodes that the other side's certificate, which was verified, stands for."""
        certificate = self._tls.getpeercert(binary_form=True)
        return names_in(certificate) if certificate else frozenset()

    @property
    def wants_to_send(self) -> bool:
        """Whether bytes wait here for the kernel to take them."""
        return bool(self._sealed or self._outgoing.pending) or (
            self._is_client and not self._is_begun
        )

    def recv(self, limit: int) -> bytes:
        """Return what came, empty at the end. Raises BlockingIOError and other OSErrors."""
        data = self._socket.recv(limit)
        if not data:
            return b""
        self._incoming.write(data)
        try:
            if not self.is_open and not self._shake():
                raise BlockingIOError
            return self._opened()
        except ssl.SSLError as error:
            self._say_goodbye()
            raise ConnectionError(_reason(error)) from error

    def _opened(self) -> bytes:
        parts: list[bytes] = []
        try:
            while part := self._tls.read(_SEAL_BYTES):
                parts.append(part)
        except ssl.SSLWantReadError:
            if not parts:
                raise BlockingIOError from None
        except ssl.SSLZeroReturnError:
            pass  # it said goodbye; what came before counts
        return b"".join(parts)

    def _shake(self) -> bool:
        self._is_begun = True
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        self.is_open = True
        return True

    def send(self, data: bytes | memoryview) -> int:
        """Send some of the data; returns how much was taken. Raises BlockingIOError."""
        self.push()
        if self._sealed or not self.is_open:
            raise BlockingIOError
        part = data[:_SEAL_BYTES]
        self._tls.write(part)
        with contextlib.suppress(BlockingIOError):
            self.push()
        return len(part)

    def push(self) -> None:
        """Hand to the kernel what waits here. Raises BlockingIOError when it takes no more."""
        if self._is_client and not self._is_begun:
            self._shake()
        self._sealed += self._outgoing.read()
        while self._sealed:
            sent = self._socket.send(self._sealed)
            self._sealed = self._sealed[sent:]

    def _say_goodbye(self) -> None:
        """Let the other side know why, if that costs nothing."""
        with contextlib.suppress(OSError):
            self.push()


def _reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in UNTRUSTED_CODES:
            return "its certificate is not signed by this cluster's authority"
        return f"its certificate is not good: {error.verify_message}"
    said = (error.reason or str(error)).lower().replace("_", " ")
    if "alert" in said and ("unknown ca" in said or "certificate" in said):
        return f"it does not accept this node's certificate ({said})"
    if said in {"wrong version number", "record layer failure", "packet length too long"}:
        return "it speaks no TLS"
    return f"no TLS connection came about ({said})"
