"""Rows: who pretends to be a node, on the web port and on that of consensus."""

import gzip
import os
import pickle
import struct
from pathlib import Path

import msgspec
from hostile_stage import STEP, address_of, send_endlessly, send_raw, strangers
from hostile_table import GIGABYTE, by, row, status_of
from wire_ends import End, turn_until

from croncord.raft.wire.transport import HANDSHAKES_MAX

VITALS = "/internal/v1/vitals"


class Bang:
    """What a pickle can do: leave a file, if anybody opens it."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self):
        return os.system, (f"touch {self.witness}",)


def witness_of(stage):
    return stage.fleet.directory / "a-pickle-was-opened"


def call(name, method, target, *answers, data=b"", **how):
    def send(stage):
        sent = data(stage) if callable(data) else data
        return stage.http(method, target, sent, **stage.signed(method, target, sent, **how))[0]

    return row(name, "node", send, *answers)


def _unsigned(stage):
    return stage.http("POST", VITALS, b"")[0]


def _for_another(stage):
    headers = stage.signed("GET", "/internal/v1/ledger/days", to=stage.fleet.nodes[1])
    return stage.http("GET", "/internal/v1/ledger/days", **headers)[0]


def _repeated(stage):
    headers = stage.signed("GET", "/internal/v1/ledger/days")
    assert stage.http("GET", "/internal/v1/ledger/days", **headers)[0] == 200
    return stage.http("GET", "/internal/v1/ledger/days", **headers)[0]


def _body_changed(stage):
    return stage.http("POST", VITALS, b"other", **stage.signed("POST", VITALS, b"one"))[0]


def _with_admin_token(stage):
    return stage.http("POST", "/internal/v1/freeze", b"", who="admin")[0]


def _huge_call(stage):
    signed = stage.signed("POST", VITALS, b"")
    lines = "".join(f"{name}: {value}\r\n" for name, value in signed.items())
    head = f"POST {VITALS} HTTP/1.1\r\nHost: localhost\r\n{lines}Transfer-Encoding: chunked\r\n\r\n"
    piece = f"{STEP:x}\r\n".encode() + b"x" * STEP + b"\r\n"
    answer, _ = send_endlessly(address_of(stage.node), head.encode(), piece, GIGABYTE)
    return status_of(answer)


def _opened_no_pickle(stage):
    return pickle.dumps(Bang(witness_of(stage)))


BETWEEN_NODES = (
    row("a call that is not signed", "node", _unsigned, 401),
    row("an admin's token instead of a signature", "node", _with_admin_token, 401),
    call("a call signed with another secret", "POST", VITALS, 401, secret=b"another secret"),
    call("a call of an hour ago", "GET", "/internal/v1/ledger/days", 401, age_seconds=3600),
    call("a nonce of ten thousand letters", "GET", "/internal/v1/ledger/days", 401, nonce="x" * 8000),
    row("a call to another node, sent here", "node", _for_another, 401),
    row("a call sent twice", "node", _repeated, 401),
    row("a body that was changed on the way", "node", _body_changed, 401),
    row("a body of 1 GB, signed as an empty one", "node", _huge_call, 413, "closed"),
    call("garbage, signed", "POST", VITALS, 400, data=b"\xc1\xff\x00"),
    call("a pickle, signed", "POST", VITALS, 400, data=_opened_no_pickle),
    call("a pickle as an order to search", "POST", "/internal/v1/search", 400, data=_opened_no_pickle),
    call("an output named like a path", "GET", "/internal/v1/logs/..%2f..%2fraft/1/status", 400, 404),
    call("an attempt that is no number", "GET", "/internal/v1/logs/x/-1/status", 404),
    call("an offset past everything", "GET", "/internal/v1/logs/x/1?offset=" + "9" * 40, 400, 404),
    row("a request to join with a token made up", "node", by("nobody", "POST", "/internal/v1/join", {"x": 1}), 400, 401, 403),
)  # fmt: skip


def framed(data):
    return struct.pack(">I", len(data)) + data


def raft(name, data):
    """Send bytes to the port of consensus: it closes, and says nothing that it should not."""

    def send(stage):
        sent = data(stage) if callable(data) else data
        answer = send_raw(stage.node.raft, sent, patience_seconds=1)
        assert len(answer) < 4096
        return "closed" if not answer else "greeted, then closed"

    return row(name, "raft", send, "closed")


def _knocks_with(secret):
    def send(stage):
        end = End("n0", secret)
        try:
            end.knows_address("n1", stage.node.raft)
            assert not turn_until(lambda: end.connected, end, turns=400)
        finally:
            end.transport.destroy()
        return "never let in"

    return send


def _floods_raft(stage):
    with strangers(stage.node.raft, 3 * HANDSHAKES_MAX) as sockets:
        for each in sockets[::2]:
            each.sendall(struct.pack(">I", 900) + b"half a greeting")
        assert stage.http("GET", "/readyz")[0] == 200
    return "harmless"


def _endless_frame(stage):
    answer, taken = send_endlessly(
        stage.node.raft, struct.pack(">I", 2**32 - 1), b"x" * STEP, GIGABYTE
    )
    assert taken < GIGABYTE
    return status_of(answer)


HELLO = {
    "protocol": "croncord-raft-1",
    "name": "n2",
    "address": "127.0.0.1:1",
    "sealed": True,
    "nonce": b"x" * 16,
    "public": b"\0" * 32,
}


def hello(**changes):
    return framed(msgspec.msgpack.encode(HELLO | changes))


RAFT = (
    raft("a web browser", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    raft("random bytes", bytes(range(256)) * 8),
    raft("a frame of 4 GB, announced", struct.pack(">I", 2**32 - 1)),
    row("a frame of 4 GB, begun", "raft", _endless_frame, "closed"),
    raft("an empty frame", framed(b"")),
    raft("a greeting too long", framed(b"\x80" * 1025)),
    raft("a greeting that is no message", framed(b"\xc1" * 100)),
    raft("a pickle", _opened_no_pickle),
    raft("a pickle in a frame", lambda stage: framed(_opened_no_pickle(stage))),
    raft("a pickle as the library of consensus packs it", lambda stage: framed(gzip.zlib.compress(_opened_no_pickle(stage)))),
    raft("a bomb in a frame", framed(gzip.zlib.compress(bytes(900_000)))),
    raft("a greeting of another version", hello(protocol="croncord-raft-0")),
    raft("a greeting without a secret", hello(sealed=False)),
    raft("a key that is no key", hello()),
    raft("a name that is a number", hello(name=1)),
    raft("TLS on a port without", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(600)),
    row("a stranger with another secret", "raft", _knocks_with(b"another secret"), "never let in"),
    row("a stranger without a secret", "raft", _knocks_with(None), "never let in"),
    row("96 strangers at once, half of them slow", "raft", _floods_raft, "harmless"),
)  # fmt: skip
