"""One connection between two nodes: bounded handshake, then sealed frames.

Nothing is allocated for what a stranger announces: before the proof only a greeting of at most a
kilobyte is read, and a connection that has not proved itself in time is closed. Driven by the
engine's poller, on the engine's thread; nothing here waits.
"""

import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from pysyncobj.node import Node
from pysyncobj.poller import POLL_EVENT_TYPE as EVENTS

from croncord.raft.wire import messages
from croncord.raft.wire.handshake import (
    HELLO_BYTES_MAX,
    PROOF_BYTES,
    Handshake,
    HandshakeError,
    Hello,
)
from croncord.raft.wire.messages import Message
from croncord.raft.wire.stream import Stream

FRAME_BYTES_MAX: Final = 16 * 1024 * 1024
UNSENT_BYTES_MAX: Final = 64 * 1024 * 1024
"""A peer that lets this much pile up is disconnected."""
CONNECT_SECONDS: Final = 2.0
HANDSHAKE_SECONDS: Final = 3.0
_RECEIVE_BYTES: Final = 256 * 1024
_RECEIVES_PER_EVENT: Final = 16
_HEADER: Final = struct.Struct(">I")
_TLS_RECORDS: Final = (b"\x15\x03", b"\x16\x03")
"""How an alert and a handshake of TLS begin."""

OnOpen = Callable[["Connection", Hello], Node | None]
OnMessage = Callable[[Node, Message], None]
OnClose = Callable[["Connection", str], None]


class Connection:
    """A socket, its handshake, its buffers."""

    def __init__(
        self,
        sock: socket.socket,
        poller: Any,
        handshake: Handshake,
        *,
        stream: Stream,
        is_client: bool,
        on_open: OnOpen,
        on_message: OnMessage,
        on_close: OnClose,
    ) -> None:
        self._socket, self._stream = sock, stream
        self._poller, self._handshake = poller, handshake
        self.is_client = is_client
        self._on_open, self._on_message, self._on_close = on_open, on_message, on_close
        self._connecting = is_client
        self._theirs: Hello | None = None
        self.node: Node | None = None
        """Who is at the other end, once that is proved."""
        self.closed = False
        self._received = bytearray()
        self._unsent: deque[bytes | memoryview] = deque()
        self.unsent_bytes = 0
        now = time.monotonic()
        self.deadline = now + (CONNECT_SECONDS if is_client else HANDSHAKE_SECONDS)
        self.read_at = self.wrote_at = self.opened_at = now
        self._send_cipher, self._receive_cipher = handshake.ciphers()
        self._watched = 0
        if is_client:
            self._queue(_HEADER.pack(len(handshake.hello)) + handshake.hello)
        self._watch()

    @property
    def peer_names(self) -> frozenset[str] | None:
        """The nodes that the other side's certificate stands for; None without TLS."""
        return self._stream.peer_names

    def _watch(self) -> None:
        events = EVENTS.READ | EVENTS.ERROR
        stream = self._stream
        if self._connecting or stream.wants_to_send or (stream.is_open and self._unsent):
            events |= EVENTS.WRITE
        if events != self._watched and not self.closed:
            self._watched = events
            self._poller.subscribe(self._socket.fileno(), self._on_event, events)

    def _on_event(self, _descriptor: int, events: int) -> None:
        if self.closed:
            return
        if self._connecting:
            if self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self.close("it cannot be reached")
                return
            self._connecting = False
            self.deadline = time.monotonic() + HANDSHAKE_SECONDS
        if events & EVENTS.READ:
            self._read()
        elif events & EVENTS.ERROR:
            self.close("it went away")
        if not self.closed:
            self.flush()

    def _read(self) -> None:
        for _ in range(_RECEIVES_PER_EVENT):  # bounded: one peer cannot hold the engine's thread
            try:
                data = self._stream.recv(_RECEIVE_BYTES)
            except BlockingIOError:
                break
            except OSError as error:
                self.close(str(error))
                return
            if not data:
                self.close("it closed the connection")
                return
            self.read_at = time.monotonic()
            self._received += data
            if len(data) < _RECEIVE_BYTES:
                break
        try:
            self._consume()
        except (HandshakeError, ValueError) as error:
            self.close(str(error))

    def _consume(self) -> None:
        while not self.closed:
            if self.node is not None:
                if not self._consume_frame(self.node):
                    return
            elif not self._advance_handshake():
                return

    def _advance_handshake(self) -> bool:
        if self._theirs is None:
            hello = self._take_frame(HELLO_BYTES_MAX)
            if hello is None:
                return False
            self._theirs = self._handshake.receive_hello(hello)
            if not self.is_client:
                self._queue(_HEADER.pack(len(self._handshake.hello)) + self._handshake.hello)
                if self._handshake.needs_proof:
                    self._queue(self._handshake.proof())
        elif self._handshake.needs_proof:
            if len(self._received) < PROOF_BYTES:
                return False
            proof = bytes(self._received[:PROOF_BYTES])
            del self._received[:PROOF_BYTES]
            self._handshake.check_proof(proof)
            if self.is_client:
                self._queue(self._handshake.proof())
            self._open(self._theirs)
        else:
            self._open(self._theirs)
        return True

    def _open(self, theirs: Hello) -> None:
        self._send_cipher, self._receive_cipher = self._handshake.ciphers()
        node = self._on_open(self, theirs)
        if node is None:
            self.close("it is not wanted")
        elif not self.closed:
            self.node = node

    def _take_frame(self, limit: int) -> bytes | None:
        if len(self._received) < _HEADER.size:
            return None
        (length,) = _HEADER.unpack_from(self._received)
        if length > limit:
            if bytes(self._received[:2]) in _TLS_RECORDS and self.node is None:
                raise ValueError("it speaks TLS, and this node has no certificate")
            raise ValueError(f"it announced a frame of {length} bytes")
        end = _HEADER.size + length
        if len(self._received) < end:
            return None
        frame = bytes(self._received[_HEADER.size : end])
        del self._received[:end]
        return frame

    def _consume_frame(self, node: Node) -> bool:
        frame = self._take_frame(FRAME_BYTES_MAX)
        if frame is None:
            return False
        message = messages.decode(self._receive_cipher.open(frame, _HEADER.pack(len(frame))))
        if message["type"] != "ping":
            try:
                self._on_message(node, message)
            except ValueError as error:
                # A fault of ours, not of the peer's bytes: it must not pass for a bad frame.
                raise RuntimeError(f"a {message['type']} message could not be handled") from error
        return True

    def send(self, message: Message) -> None:
        """Queue a message; `flush` sends what is queued."""
        if self.closed:
            return
        body = messages.encode(message)
        header = _HEADER.pack(len(body) + self._send_cipher.overhead)
        self._queue(header + self._send_cipher.seal(body, header))
        if self.unsent_bytes > UNSENT_BYTES_MAX:
            self.close("it does not read")

    def _queue(self, data: bytes) -> None:
        self._unsent.append(data)
        self.unsent_bytes += len(data)

    def flush(self) -> None:
        """Hand queued bytes to the kernel, as many as it takes."""
        if self.closed or self._connecting:
            return
        try:
            self._stream.push()
            while self._unsent:
                if len(self._unsent) > 1 and self.unsent_bytes < _RECEIVE_BYTES:
                    joined = b"".join(self._unsent)
                    self._unsent.clear()
                    self._unsent.append(joined)
                data = self._unsent[0]
                sent = self._stream.send(data)
                self.wrote_at = time.monotonic()
                self.unsent_bytes -= sent
                if sent == len(data):
                    self._unsent.popleft()
                else:
                    self._unsent[0] = memoryview(data)[sent:]
                    break
        except BlockingIOError:
            pass  # the poller says when there is room again
        except OSError as error:
            self.close(str(error))
            return
        self._watch()

    def close(self, reason: str) -> None:
        """Close it once; the owner is told why."""
        if self.closed:
            return
        self.closed = True
        self._poller.unsubscribe(self._socket.fileno())
        self._socket.close()
        self._unsent.clear()
        self._received.clear()
        self._on_close(self, reason)
