"""The network between nodes under TLS: who gets in, what strangers cost, moving a cluster to it."""

import logging
import os
import socket
import ssl
import time

import pytest
from certificates import AUTHORITY, NOW, STRANGER, node_tls, write_files
from pysyncobj.node import Node
from wire_ends import GARBAGE, READ, dial, is_closed, turn_until

from croncord.raft.wire import transport as transport_module
from croncord.raft.wire.transport import HANDSHAKES_MAX


@pytest.fixture
def certified(ends, tmp_path):
    """Make an end with a certificate of its own."""

    def make(name, **options):
        path = tmp_path / f"{name}-{len(list(tmp_path.iterdir()))}"
        return ends(name, tls=node_tls(path, name, **options))

    return make


def introduce(*some):
    for one in some:
        for other in some:
            if one is not other:
                one.knows(other)


def connected(*some):
    return all(len(end.connected) == len(some) - 1 for end in some)


def is_tls(end, name):
    return end.transport._connections[name].peer_names is not None


def test_two_nodes_of_one_authority_talk_both_ways(certified):
    ada, bob = certified("ada"), certified("bob")
    introduce(ada, bob)
    assert turn_until(lambda: connected(ada, bob), ada, bob)
    ada.transport.send(Node("bob"), READ)
    bob.transport.send(Node("ada"), {"type": "hello"})
    assert turn_until(lambda: ada.received and bob.received, ada, bob)
    assert (ada.received, bob.received) == ([("bob", {"type": "hello"})], [("ada", READ)])
    assert ada.transport._connections["bob"].peer_names == {"bob"}
    assert bob.transport._connections["ada"].peer_names == {"ada"}


def test_large_messages_arrive_whole_both_ways_at_once(certified):
    ada, bob = certified("ada"), certified("bob")
    introduce(ada, bob)
    assert turn_until(lambda: connected(ada, bob), ada, bob)
    entries = [os.urandom(4_000_000) for _ in range(3)]
    for entry in entries:
        ada.transport.send(Node("bob"), {"type": "propose", "entries": [entry]})
        bob.transport.send(Node("ada"), {"type": "propose", "entries": [entry]})
    assert turn_until(lambda: len(ada.received) == len(bob.received) == 3, ada, bob)
    for end in (ada, bob):
        assert [message["entries"][0] for _, message in end.received] == entries
    assert ada.transport.pending(Node("bob")) == 0


def test_messages_that_come_in_small_pieces_are_read(certified, monkeypatch):
    monkeypatch.setattr("croncord.raft.wire.connection._RECEIVE_BYTES", 37)
    ada, bob = certified("ada"), certified("bob")
    introduce(ada, bob)
    assert turn_until(lambda: connected(ada, bob), ada, bob)
    ada.transport.send(Node("bob"), READ)
    assert turn_until(lambda: bob.received, ada, bob)


@pytest.mark.parametrize(
    ("trusted", "words"),
    [
        (STRANGER.pem, "its certificate is not signed by this cluster's authority"),
        # The stranger would take ada in, and is refused all the same.
        (STRANGER.pem + AUTHORITY.pem, "it does not accept this node's certificate"),
    ],
)
def test_a_node_of_another_authority_never_gets_in(certified, caplog, trusted, words):
    caplog.set_level(logging.INFO)
    ada, bob = certified("ada"), certified("bob", authority=STRANGER, trusted=trusted)
    introduce(ada, bob)
    assert not turn_until(lambda: ada.connected or bob.connected, ada, bob, turns=400)
    assert words in caplog.text


def test_a_certificate_of_another_node_does_not_get_a_node_in(ends, certified, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    ada = certified("ada")
    tls = node_tls(tmp_path / "cyd's", "cyd")
    impostor = ends("bob", tls=tls)
    introduce(ada, impostor)
    assert not turn_until(lambda: ada.connected, ada, impostor, turns=400)
    assert "no connection to bob: its certificate is for cyd" in caplog.text


def test_the_secret_is_still_needed(ends, tmp_path):
    ada = ends("ada", tls=node_tls(tmp_path / "a", "ada"))
    bob = ends("bob", b"another secret", tls=node_tls(tmp_path / "b", "bob"))
    introduce(ada, bob)
    assert not turn_until(lambda: ada.connected or bob.connected, ada, bob, turns=400)


@pytest.mark.parametrize(
    ("name", "words"),
    [  # the greater name dials first
        ("ada", "no connection from a caller: it speaks no TLS"),
        ("zoe", "no connection from a caller: it speaks TLS, and this node has no certificate"),
    ],
)
def test_without_tls_nobody_gets_in_where_it_is_required(ends, certified, caplog, name, words):
    caplog.set_level(logging.INFO)
    requiring, plain = certified(name), ends("bob")
    introduce(requiring, plain)
    assert not turn_until(
        lambda: requiring.connected or plain.connected, requiring, plain, turns=400
    )
    assert words in caplog.text


def test_a_new_certificate_is_used_by_new_connections_and_old_ones_go_on(ends, certified, tmp_path):
    ada, bob = certified("ada"), certified("bob")
    introduce(ada, bob)
    assert turn_until(lambda: connected(ada, bob), ada, bob)
    tls = ada.transport._tls
    write_files(tls.files.cert.parent, "ada", days=20)
    tls.reload(NOW)
    ada.transport.send(Node("bob"), READ)
    assert turn_until(lambda: bob.received, ada, bob)
    cyd = certified("cyd")
    introduce(ada, cyd)
    assert turn_until(lambda: cyd.connected, ada, cyd)
    assert is_tls(cyd, "ada")


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_ends_the_connection_and_nothing_else(certified, garbage):
    ada, bob = certified("ada"), certified("bob")
    introduce(ada, bob)
    assert turn_until(lambda: connected(ada, bob), ada, bob)
    stranger = dial(ada)
    stranger.sendall(garbage)
    stranger.shutdown(socket.SHUT_WR)  # some begin like a record whose rest never comes
    assert turn_until(lambda: not ada.transport._handshaking, ada, bob, turns=300)
    assert is_closed(stranger)
    stranger.close()
    assert ada.connected == {"bob"}


def test_a_stranger_with_tls_and_no_certificate_is_refused(certified, tmp_path):
    ada = certified("ada")
    context = ssl.create_default_context(cafile=ada.transport._tls.files.ca)
    context.check_hostname = False
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing)
    stranger = dial(ada)
    stranger.setblocking(False)

    def goes_on():
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        stranger.sendall(outgoing.read())
        turn_until(lambda: False, ada, turns=20)
        incoming.write(stranger.recv(65536))

    goes_on()
    tls.do_handshake()
    stranger.sendall(outgoing.read())
    assert turn_until(lambda: not ada.transport._handshaking, ada, turns=300)
    incoming.write(stranger.recv(65536))
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
        tls.read()
    stranger.close()


@pytest.mark.parametrize("required", [True, False])
def test_a_flood_of_silent_strangers_is_bounded_ends_and_keeps_nobody_busy(
    certified, monkeypatch, required
):
    ada = certified("ada", required=required)
    strangers = [dial(ada) for _ in range(HANDSHAKES_MAX + 20)]
    for stranger in strangers[: HANDSHAKES_MAX // 2]:
        stranger.sendall(b"\x16\x03\x01\x02\x00\x01")
    turn_until(lambda: False, ada, turns=200)
    silent = set(ada.transport._handshaking)
    assert len(silent) == HANDSHAKES_MAX
    # Nobody of them makes the poller wake up again and again.
    begun = time.monotonic()
    ada.transport.poller.poll(0.2)
    assert time.monotonic() - begun > 0.1
    later = time.monotonic() + 10
    monkeypatch.setattr(transport_module.time, "monotonic", lambda: later)
    ada.transport.on_tick()
    assert not silent & ada.transport._handshaking
    for stranger in strangers:
        stranger.close()


def test_a_cluster_moves_to_tls_one_node_at_a_time(ends, certified):
    """Plain, then allowed, then required: every pair that meets on the way can talk."""
    plain, allowing = ends("a"), certified("m", required=False)
    introduce(plain, allowing)
    assert turn_until(lambda: connected(plain, allowing), plain, allowing)
    assert not is_tls(allowing, "a")
    second, requiring = certified("b", required=False), certified("z")
    introduce(second, requiring)
    assert turn_until(lambda: connected(second, requiring), second, requiring)
    third, fourth = certified("c", required=False), certified("y", required=False)
    introduce(third, fourth)
    assert turn_until(lambda: connected(third, fourth), third, fourth)
    assert is_tls(second, "z")
    assert is_tls(third, "y")


def test_while_tls_is_allowed_a_node_that_needs_time_is_reached_again(ends, certified):
    """The allowing node dials, also the one without TLS: it tries both ways in turn."""
    allowing, plain = certified("z", required=False), ends("a")
    allowing.knows(plain)
    assert turn_until(lambda: allowing.connected and plain.connected, allowing, plain)
