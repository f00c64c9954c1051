"""The network between nodes, as pysyncobj's engine uses it: who is connected, send, receive.

Every pair of nodes keeps one connection. The node with the greater name opens it; the other one
does so too after a while, because the first may not know yet that it exists.
"""

import logging
import socket
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

from pysyncobj.node import Node
from pysyncobj.poller import POLL_EVENT_TYPE as EVENTS
from pysyncobj.poller import createPoller
from pysyncobj.transport import Transport

from croncord.errors import ConfigError
from croncord.raft.engine.membership import voter
from croncord.raft.wire.connection import Connection
from croncord.raft.wire.handshake import Handshake, Hello
from croncord.raft.wire.messages import Message
from croncord.raft.wire.resolve import Resolver, split_address
from croncord.raft.wire.stream import EitherStream, PlainStream, Stream, TlsStream
from croncord.tls.identity import NodeTls

_log = logging.getLogger(__name__)

HANDSHAKES_MAX: Final = 32
RETRY_SECONDS: Final = 0.3
RETRY_SECONDS_LESSER: Final = 1.5
"""The node with the lesser name waits longer before it opens a connection."""
PING_SECONDS: Final = 1.0
SILENCE_SECONDS: Final = 4.0
"""A connection over which nothing came for this long is half open."""
_QUIET_LOG_SECONDS: Final = 30.0


class WireTransport(Transport):  # type: ignore[misc]  # pysyncobj ships no types
    """Sealed connections to the members, driven by the engine's own poller."""

    def __init__(
        self,
        *,
        name: str,
        listen: str,
        secret: bytes | None,
        accepted: Sequence[bytes] = (),
        tls: NodeTls | None = None,
    ) -> None:
        super().__init__(None, None, [])
        self.poller = createPoller("auto")
        self._name, self._listen, self._secret = name, listen, secret
        self._accepted = accepted
        self._tls = tls
        self._without_tls: set[str] = set()
        """Nodes to be tried without TLS next, while a cluster moves to it."""
        self._nodes: dict[str, Node] = {}
        self._connections: dict[str, Connection] = {}
        self._handshaking: set[Connection] = set()
        self._dialling: dict[str, Connection] = {}
        self._tried_at: dict[str, float] = {}
        self._complained_at: dict[str, float] = {}
        self._to_flush: deque[Connection] = deque()
        self._resolver = Resolver()
        self._listener: socket.socket | None = None
        self._accept_after = 0.0
        self.disk = ""
        """What this node says about its disk."""
        self.advertised = ""
        """Where others reach this node; empty for the address it listens on."""
        self.addresses: Mapping[str, str] = {}
        """Where nodes are known to listen now, which may not be where the log has them."""
        self._refused: frozenset[str] = frozenset()
        self._disks: dict[Connection, str] = {}

    # -- pysyncobj's interface ---------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Always: the port is bound by `bind`, before the engine starts."""
        return True

    def waitReady(self) -> None:  # noqa: N802 - pysyncobj's Transport
        """Nothing to wait for."""

    def addNode(self, node: Node) -> None:  # noqa: N802 - pysyncobj's Transport
        """Keep a connection to this node from now on."""
        self._nodes[node.id] = node
        self._tried_at.pop(node.id, None)

    def dropNode(self, node: Node) -> None:  # noqa: N802 - pysyncobj's Transport
        """Close the connection to a node that was removed."""
        self._nodes.pop(node.id, None)
        connection = self._connections.get(node.id)
        if connection is not None:
            connection.flush()
            connection.close("it was removed from the cluster")

    def send(self, node: Node, message: Message) -> bool:
        """Queue a message; it leaves with the next `flush`."""
        connection = self._connections.get(node.id)
        if connection is None or connection.closed:
            return False
        if not connection.unsent_bytes:
            self._to_flush.append(connection)
        connection.send(message)
        return not connection.closed

    def destroy(self) -> None:
        """Close everything."""
        if self._listener is not None:
            self.poller.unsubscribe(self._listener.fileno())
            self._listener.close()
        for connection in [*self._connections.values(), *self._handshaking]:
            connection.flush()
            connection.close("this node is stopping")
        self._resolver.close()

    # -- more than pysyncobj knows -----------------------------------------------------------

    def refuse(self, disks: frozenset[str]) -> None:
        """Have nothing to do with these disks from now on, and tell them so."""
        self._refused = disks
        for connection, disk in list(self._disks.items()):
            if disk in disks:
                self._dismiss(connection)

    def _dismiss(self, connection: Connection) -> None:
        connection.send({"type": "gone"})
        connection.flush()
        connection.close("it was removed from the cluster")

    def bind(self) -> str:
        """Listen. Returns the address with its real port. Raises ConfigError."""
        host, port = split_address(self._listen)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(64)
        except OSError as error:
            listener.close()
            raise ConfigError(
                f"Raft cannot listen on {self._listen}: {error}",
                hint="Choose another address or port, or stop what uses it.",
            ) from error
        listener.setblocking(False)
        self._listener = listener
        self.poller.subscribe(listener.fileno(), self._on_accept, EVENTS.READ)
        if port == 0:
            self._listen = f"{host}:{listener.getsockname()[1]}"
        return self._listen

    def flush(self) -> None:
        """Send what was queued since the last call."""
        while self._to_flush:
            self._to_flush.popleft().flush()

    def pending(self, node: Node) -> int:
        """Bytes that wait to be sent to a node."""
        connection = self._connections.get(node.id)
        return 0 if connection is None else connection.unsent_bytes

    def on_tick(self) -> None:
        """Open what is missing, close what is stuck, keep quiet connections alive."""
        now = time.monotonic()
        if self._accept_after and now > self._accept_after and self._listener is not None:
            self._accept_after = 0.0
            self.poller.subscribe(self._listener.fileno(), self._on_accept, EVENTS.READ)
        for connection in [c for c in self._handshaking if now > c.deadline]:
            connection.close("it did not prove itself in time")
        for connection in list(self._connections.values()):
            if now - connection.read_at > SILENCE_SECONDS:
                connection.close("nothing came from it")
            elif now - connection.wrote_at > PING_SECONDS and not connection.unsent_bytes:
                connection.send({"type": "ping"})
                connection.flush()
        for node in list(self._nodes.values()):
            if node.id not in self._connections and node.id not in self._dialling:
                self._dial(node, now)

    def _dial(self, node: Node, now: float) -> None:
        tried_at = self._tried_at.get(node.id)
        if tried_at is None:
            wait = 0.0 if self._name > node.id else RETRY_SECONDS_LESSER
            self._tried_at[node.id] = now + wait - RETRY_SECONDS
            return
        if now - tried_at < RETRY_SECONDS:
            return
        self._tried_at[node.id] = now + (
            0.0 if self._name > node.id else RETRY_SECONDS_LESSER - RETRY_SECONDS
        )
        target = self._resolver.resolve(self.addresses.get(node.id) or node.address)
        if target is None:
            return
        family, address = target
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.connect(address)
        except BlockingIOError:
            pass  # under way
        except OSError as error:
            sock.close()
            self._complain(node.id, str(error))
            return
        self._dialling[node.id] = self._wrap(sock, self._calling(sock, node.id), is_client=True)

    def _calling(self, sock: socket.socket, name: str) -> Stream:
        tls = self._tls
        if tls is None or (not tls.required and name in self._without_tls):
            return PlainStream(sock)
        return TlsStream(sock, tls.contexts.raft_client, is_client=True)

    def _answering(self, sock: socket.socket) -> Stream:
        if self._tls is None:
            return PlainStream(sock)
        context = self._tls.contexts.raft_server
        if self._tls.required:
            return TlsStream(sock, context, is_client=False)
        return EitherStream(sock, context)

    def _wrap(self, sock: socket.socket, stream: Stream, *, is_client: bool) -> Connection:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        handshake = Handshake(
            name=self._name,
            address=self.advertised or self._listen,
            disk=self.disk,
            secret=self._secret,
            accepted=self._accepted,
            is_client=is_client,
        )
        connection = Connection(
            sock,
            self.poller,
            handshake,
            stream=stream,
            is_client=is_client,
            on_open=self._on_open,
            on_message=self._onMessageReceived,
            on_close=self._on_close,
        )
        self._handshaking.add(connection)
        return connection

    def _on_accept(self, descriptor: int, _events: int) -> None:
        if self._listener is None:
            return
        for _ in range(8):
            try:
                sock, _address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError:
                # Out of descriptors: stop accepting for a moment instead of spinning.
                self.poller.unsubscribe(descriptor)
                self._accept_after = time.monotonic() + 0.2
                return
            if len(self._handshaking) >= HANDSHAKES_MAX:
                sock.close()
                continue
            sock.setblocking(False)
            self._wrap(sock, self._answering(sock), is_client=False)

    def _on_open(self, connection: Connection, theirs: Hello) -> Node | None:
        """Let a node that has proved itself replace its older connection."""
        self._handshaking.discard(connection)
        expected = next((n for n, c in self._dialling.items() if c is connection), None)
        if expected is not None:
            del self._dialling[expected]
        if theirs.name == self._name or (expected is not None and theirs.name != expected):
            self._complain(theirs.name, f"expected {expected or 'another node'} there")
            return None
        proved = connection.peer_names
        if proved is not None and theirs.name not in proved:
            self._complain(theirs.name, f"its certificate is for {', '.join(sorted(proved))}")
            return None
        if theirs.disk and theirs.disk in self._refused:
            self._dismiss(connection)
            return None
        key = theirs.name
        node = self._nodes.get(key) or voter(key, theirs.address)
        older = self._connections.get(key)
        if older is not None:
            if self._keeps_older(older, connection, theirs.name):
                return None
            older.close("it connected anew")
        self._connections[key] = connection
        self._disks[connection] = theirs.disk
        connection.node = node
        self._onNodeConnected(node)
        return node

    def _keeps_older(self, older: Connection, newer: Connection, their_name: str) -> bool:
        """When both sides dialled at once, both keep the one that the greater name opened."""
        opener_is_greater = newer.is_client == (self._name > their_name)
        return not opener_is_greater and time.monotonic() - older.opened_at < SILENCE_SECONDS

    def _on_close(self, connection: Connection, reason: str) -> None:
        self._handshaking.discard(connection)
        self._disks.pop(connection, None)
        for name, dialled in list(self._dialling.items()):
            if dialled is connection:
                del self._dialling[name]
                self._complain(name, reason)
                self._without_tls ^= {name}
        node = connection.node
        if node is None and not connection.is_client:
            self._complain("a caller", reason, "from")
        if node is None:
            return
        if self._connections.get(node.id) is connection:
            del self._connections[node.id]
            self._complain(node.id, reason)
            self._onNodeDisconnected(node)

    def _complain(self, name: str, reason: str, way: str = "to") -> None:
        """Log once in a while why there is no connection to a node, or from a stranger."""
        now = time.monotonic()
        if now - self._complained_at.get(name, -_QUIET_LOG_SECONDS) >= _QUIET_LOG_SECONDS:
            self._complained_at[name] = now
            _log.info("no connection %s %s: %s", way, name, reason)
