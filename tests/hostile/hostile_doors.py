"""Rows: the socket of a script in hand, and the port with TLS."""

import os
import pickle
import socket
import ssl
from contextlib import contextmanager
from pathlib import Path

from hostile_stage import port_of, read_all, send_raw
from hostile_table import A_JOB, row, status_of


@contextmanager
def _control(stage):
    holder = next(node for node in stage.fleet.nodes if list(node.data_dir.glob("runs/*/control*")))
    (path,) = holder.data_dir.glob("runs/*/control*")
    with socket.socket(socket.AF_UNIX) as sock:
        here = Path.cwd()
        os.chdir(path.parent)  # the name of a socket may have 108 bytes
        try:
            sock.connect(path.name)
        finally:
            os.chdir(here)
        yield sock


def control(name, data):
    def send(stage):
        with _control(stage) as sock:
            sock.settimeout(2)
            for piece in [data] if isinstance(data, bytes) else data:
                sock.sendall(piece)
            sock.shutdown(socket.SHUT_WR)
            read_all(sock)
        state = stage.node.get(f"/api/v1/runs/{stage.long_run}")["state"]
        return "harmless" if state == "running" else state

    return row(name, "control", send, "harmless")


def _is_closed_to_others(stage):
    for node in stage.fleet.nodes:
        modes = {node.data_dir.stat().st_mode & 0o777}
        modes |= {file.stat().st_mode & 0o777 for file in node.data_dir.glob("*.token")}
        assert modes <= {0o700, 0o600}
    return "harmless"


CONTROL = (
    control("garbage to a script's socket", bytes(range(256)) * 100),
    control("a pickle to a script's socket", pickle.dumps(A_JOB)),
    control("a kill without a number", b"k \nk x\nk -1\nk 1e5\nk \xff\n"),
    control("a line that never ends", [b"k" * 65536] * 16),
    row("another user of the machine", "control", _is_closed_to_others, "harmless"),
)


def tls(name, data, *answers):
    return row(
        name,
        "https",
        lambda stage: status_of(
            send_raw(stage.certified.url.rpartition("/")[2], data, patience_seconds=1)
        ),
        *answers,
    )


def _as_a_node_without_certificate(stage):
    context = ssl.create_default_context(cafile=stage.certified.ca)
    context.set_alpn_protocols(["croncord-node"])
    port = port_of(stage.certified.url)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as sock,
    ):
        sock.sendall(b"GET /internal/v1/ledger/days HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return status_of(read_all_tls(sock))


def read_all_tls(sock):
    try:
        return sock.recv(65536)
    except ssl.SSLError:
        return b""


TLS = (
    tls("a request without TLS", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    tls("garbage to the port with TLS", b"\x00\xff" * 500, "closed"),
    tls("a record of TLS that is none", b"\x16\x03\x01\x40\x00" + b"\xff" * 16384, "closed", "something else"),
    row("a caller without a certificate asks as a node", "https", _as_a_node_without_certificate, 401, 403, "closed"),
)  # fmt: skip
