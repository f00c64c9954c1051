"""The network between nodes: who may speak, what is read, what strangers cost."""

import contextlib
import itertools
import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pysyncobj.node import Node
from wire_ends import GARBAGE, READ, SECRET, dial, is_closed, turn_until

from croncord.errors import ConfigError
from croncord.raft.wire import messages
from croncord.raft.wire import transport as transport_module
from croncord.raft.wire.handshake import Cipher, Handshake, HandshakeError
from croncord.raft.wire.resolve import Resolver, is_loopback, split_address
from croncord.raft.wire.transport import HANDSHAKES_MAX


def pair(ends, secrets=(SECRET, SECRET)):
    ada, bob = ends("ada", secrets[0]), ends("bob", secrets[1])
    ada.knows(bob)
    bob.knows(ada)
    return ada, bob


@pytest.mark.parametrize("secret", [SECRET, None])
def test_two_nodes_connect_and_talk_both_ways(ends, secret):
    ada, bob = pair(ends, (secret, secret))
    assert turn_until(lambda: ada.connected and bob.connected, ada, bob)
    ada.transport.send(Node("bob"), READ)
    bob.transport.send(Node("ada"), {"type": "hello"})
    assert turn_until(lambda: ada.received and bob.received, ada, bob)
    assert bob.received == [("ada", READ)]
    assert ada.received == [("bob", {"type": "hello"})]


@pytest.mark.parametrize("secrets", [(SECRET, b"another"), (SECRET, None), (None, SECRET)])
def test_nodes_with_different_secrets_never_connect(ends, secrets):
    ada, bob = pair(ends, secrets)
    assert not turn_until(lambda: ada.connected or bob.connected, ada, bob, turns=300)


NEXT = b"the next cluster secret"
ROTATION = {
    "accepts the next": (SECRET, (NEXT,)),
    "uses the next": (NEXT, (SECRET,)),
    "knows the next only": (NEXT, ()),
    "knows the old only": (SECRET, ()),
}


@pytest.mark.parametrize("names", [("ada", "bob"), ("bob", "ada")], ids=" calls ".join)
@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("knows the old only", "accepts the next", True),
        ("accepts the next", "accepts the next", True),
        ("accepts the next", "uses the next", True),
        ("uses the next", "uses the next", True),
        ("uses the next", "knows the next only", True),
        ("knows the old only", "knows the next only", False),
    ],
)
def test_nodes_meet_at_each_step_of_changing_the_secret(ends, names, one, other, meet):
    first, second = (
        ends(name, ROTATION[step][0], accepted=ROTATION[step][1])
        for name, step in zip(names, (one, other), strict=True)
    )
    first.knows(second)
    second.knows(first)
    turns = 3000 if meet else 300
    met = turn_until(lambda: first.connected and second.connected, first, second, turns=turns)
    assert bool(met) == meet
    if meet:
        first.transport.send(Node(names[1]), READ)
        assert turn_until(lambda: second.received, first, second)


def test_large_messages_arrive_whole(ends):
    ada, bob = pair(ends)
    assert turn_until(lambda: ada.connected and bob.connected, ada, bob)
    entry = os.urandom(5_000_000)
    ada.transport.send(Node("bob"), {"type": "propose", "entries": [entry]})
    assert turn_until(lambda: bob.received, ada, bob)
    assert bob.received[0][1]["entries"] == [entry]
    assert ada.transport.pending(Node("bob")) == 0


def test_a_node_that_comes_back_replaces_its_old_connection(ends):
    ada, bob = pair(ends)
    assert turn_until(lambda: ada.connected and bob.connected, ada, bob)
    again = ends("bob")
    again.knows(ada)
    assert turn_until(lambda: again.connected, ada, again)
    turn_until(lambda: ada.transport._connections["bob"].opened_at > again.made_at, ada, again)
    ada.transport.send(Node("bob"), READ)
    assert turn_until(lambda: again.received, ada, again)
    assert not bob.received


def test_a_removed_node_is_disconnected(ends):
    ada, bob = pair(ends)
    assert turn_until(lambda: ada.connected and bob.connected, ada, bob)
    ada.transport.dropNode(Node("bob"))
    assert not ada.connected
    assert not ada.transport.send(Node("bob"), READ)


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_ends_the_connection_and_nothing_else(ends, garbage):
    ada, bob = pair(ends)
    assert turn_until(lambda: ada.connected and bob.connected, ada, bob)
    stranger = dial(ada)
    stranger.sendall(garbage)
    assert turn_until(lambda: not ada.transport._handshaking, ada, bob, turns=300)
    assert is_closed(stranger)
    stranger.close()
    assert ada.connected == {"bob"}
    assert not ada.received


def test_a_flood_of_silent_strangers_is_bounded_and_ends(ends, monkeypatch):
    ada, bob = pair(ends)
    assert turn_until(lambda: ada.connected and bob.connected, ada, bob)
    now = time.monotonic()
    monkeypatch.setattr(transport_module.time, "monotonic", lambda: now)
    strangers = [dial(ada) for _ in range(HANDSHAKES_MAX + 20)]
    for _ in range(200):
        ada.turn()
    silent = set(ada.transport._handshaking)
    assert len(silent) == HANDSHAKES_MAX
    monkeypatch.setattr(transport_module.time, "monotonic", lambda: now + 10)
    ada.transport.on_tick()
    assert not silent & ada.transport._handshaking
    for stranger in strangers:
        stranger.close()


def shake(client_secret=SECRET, server_secret=SECRET):
    client = Handshake(name="a", address="x:1", secret=client_secret, is_client=True)
    server = Handshake(name="b", address="y:1", secret=server_secret, is_client=False)
    server.receive_hello(client.hello)
    client.receive_hello(server.hello)
    return client, server


def test_a_frame_cannot_be_changed_repeated_or_dropped():
    client, server = shake()
    client.check_proof(server.proof())
    server.check_proof(client.proof())
    send, _ = client.ciphers()
    frames = [send.seal(b"frame %d" % i, b"head") for i in range(3)]

    def receives(*sequence, header=b"head"):
        _, receive = server.ciphers()
        return [receive.open(frame, header) for frame in sequence]

    assert receives(*frames) == [b"frame 0", b"frame 1", b"frame 2"]
    for attack in [
        (frames[0], frames[0]),
        (frames[1],),
        (frames[0][:-1] + b"x",),
        (frames[0], frames[2]),
    ]:
        with pytest.raises(HandshakeError):
            receives(*attack)
    with pytest.raises(HandshakeError):
        receives(frames[0], header=b"HEAD")


def test_what_was_recorded_cannot_be_replayed_to_another_connection():
    client, server = shake()
    _, fresh = shake()
    with pytest.raises(HandshakeError):
        fresh.check_proof(client.proof())
    send, _ = client.ciphers()
    _, receive = fresh.ciphers()
    with pytest.raises(HandshakeError):
        receive.open(send.seal(b"frame", b""), b"")
    assert server.proof() != client.proof()


def test_a_proof_cannot_be_reflected():
    client, server = shake()
    with pytest.raises(HandshakeError):
        server.check_proof(server.proof())
    with pytest.raises(HandshakeError):
        client.check_proof(client.proof())


def test_without_a_secret_frames_are_plain():
    cipher = Cipher(None)
    assert cipher.open(cipher.seal(b"x", b""), b"") == b"x"


@pytest.mark.parametrize("kind", sorted(messages.FIELDS))
def test_every_message_survives_the_codec_and_is_checked(kind):
    samples = {int: 1, bool: True, bytes: b"x", str: "x", list: []}
    fields = {
        name: samples[types[0] if isinstance(types, tuple) else types]
        for name, types in messages.FIELDS[kind].items()
    }
    message = {"type": kind, **fields}
    assert messages.decode(messages.encode(message)) == message
    for name in fields:
        for wrong in ({**message, name: 1.5}, {k: v for k, v in message.items() if k != name}):
            with pytest.raises(ValueError, match=kind):
                messages.decode(messages.encode(wrong))


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_a_message_or_refused(data):
    with contextlib.suppress(ValueError):
        assert messages.decode(data)["type"] in messages.FIELDS


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["type", "term", "entries", "prevLogIdx", "prevLogTerm", "probe"]),
        st.one_of(
            st.integers(-5, 5),
            st.sampled_from(sorted(messages.FIELDS)),
            st.lists(st.one_of(st.binary(max_size=3), st.lists(st.integers(-9, 9), max_size=3))),
        ),
    )
)
def test_shapes_that_no_node_sends_are_refused(message):
    try:
        decoded = messages.decode(messages.encode(message))
    except ValueError:
        return
    if decoded["type"] == "propose":
        assert all(isinstance(entry, bytes) for entry in decoded["entries"])
    if decoded["type"] == "append_entries" and "prevLogIdx" in decoded:
        assert all(len(entry) == 3 for entry in decoded["entries"])


def test_addresses():
    assert split_address("[::1]:80") == ("::1", 80)
    assert [is_loopback(a) for a in ("127.0.0.1:1", "[::1]:1", "localhost:1", "10.0.0.1:1")] == [
        True,
        True,
        True,
        False,
    ]
    for wrong in ("nothing", "host:", "host:99999", ":80", "host:x"):
        with pytest.raises(ConfigError):
            split_address(wrong)


def test_names_are_looked_up_without_waiting():
    resolver = Resolver()
    assert resolver.resolve("127.0.0.1:80")[1] == ("127.0.0.1", 80)
    found = None
    for _ in itertools.repeat(None, 500):
        found = resolver.resolve("localhost:80")
        if found is not None:
            break
        time.sleep(0.01)
    assert found is not None
    resolver.close()
