"""Two or three ends of the Raft wire in one thread, and strangers who knock at them."""

import socket
import struct
import time

from croncord.raft.engine.membership import voter
from croncord.raft.wire.transport import WireTransport

SECRET = b"the cluster secret"
READ = {"type": "read", "id": 1}


class End:
    """One node's transport with what it was told."""

    def __init__(self, name, secret=SECRET, tls=None, accepted=()):
        self.transport = WireTransport(
            name=name, listen="127.0.0.1:0", secret=secret, accepted=accepted, tls=tls
        )
        self.address = self.transport.bind()
        self.port = int(self.address.rsplit(":", 1)[1])
        self.connected, self.received = set(), []
        self.made_at = time.monotonic()
        self.transport.setOnNodeConnectedCallback(lambda node: self.connected.add(node.id))
        self.transport.setOnNodeDisconnectedCallback(lambda node: self.connected.discard(node.id))
        self.transport.setOnMessageReceivedCallback(
            lambda node, message: self.received.append((node.id, message))
        )

    def knows(self, other):
        self.knows_address(other.transport._name, other.address)

    def knows_address(self, name, address):
        self.transport.addNode(voter(name, address))

    def turn(self):
        self.transport.on_tick()
        self.transport.poller.poll(0.001)
        self.transport.flush()


def turn_until(condition, *ends, turns=3000):
    for _ in range(turns):
        for end in ends:
            end.turn()
        if condition():
            return True
    return False


def dial(end):
    sock = socket.create_connection(("127.0.0.1", end.port))
    sock.settimeout(2)
    return sock


def is_closed(sock):
    try:
        while sock.recv(65536):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


GARBAGE = [
    b"GET / HTTP/1.1\r\n\r\n",
    struct.pack(">I", 2**32 - 1),
    struct.pack(">I", 100) + bytes(100),
    struct.pack(">I", 1024) + b"\x80" * 1024,
    b"\x16\x03\x01\x02\x00\x01" + bytes(600),
]
