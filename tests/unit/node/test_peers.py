"""Calls between nodes over real HTTP: what comes through, what is refused, what happens to a break."""

import asyncio
import socket
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import aiohttp
import msgspec
import pytest
from log_material import NOMINAL, a_key, end, numbered, out, store_at, write
from peer_server import SECRET, PeerServer, free_port

from croncord.clock import ManualClock, SystemClock
from croncord.errors import NotFound, Unreachable
from croncord.model import milliseconds
from croncord.node.peers import HttpPeers
from croncord.peer_auth import PeerSigner
from croncord.ports import LogKey, Sighting, Vitals
from croncord.web import peer_routes

KEY = a_key()
VITALS = Vitals(
    name="n2",
    at=datetime(2026, 5, 1, 3, 0, 0, 123000, tzinfo=UTC),
    cpu_percent=12.5,
    load_1m=0.5,
    memory_bytes=1 << 30,
    memory_total_bytes=1 << 33,
    disk_bytes=1,
    disk_total_bytes=2,
    running_runs=3,
    applied_index=44,
    uptime_seconds=5.5,
    version="1",
)


@pytest.fixture
async def stack():
    async with AsyncExitStack() as exits:
        yield exits


@pytest.fixture
async def store(stack, tmp_path):
    return await stack.enter_async_context(store_at(tmp_path))


async def serve(stack, store, **options):
    server = await PeerServer(store, **options).start()
    stack.push_async_callback(server.stop)
    return server


async def call(stack, secret=SECRET, clock=None, **options):
    peers = HttpPeers(secret, clock=clock or SystemClock(), **options)
    stack.push_async_callback(peers.stop)
    return peers


async def streamed(peers, url, *, offset=0, follow=False):
    stream = peers.log_stream(url, KEY, offset=offset, follow=follow)
    return b"".join([data async for data in stream])


async def test_vitals_reach_the_leader_and_its_table_comes_back(stack, store):
    received = []

    def receive(vitals):
        received.append(vitals)
        return (Sighting(vitals=vitals, age_seconds=0.0, clock_offset_ms=-7),)

    server = await serve(stack, store, receive_vitals=receive)
    peers = await call(stack)
    table = await peers.send_vitals(server.url, VITALS)
    assert received == [VITALS]
    assert table == (Sighting(vitals=VITALS, age_seconds=0.0, clock_offset_ms=-7),)


async def test_a_node_that_does_not_lead_says_so(stack, store):
    server = await serve(stack, store)
    peers = await call(stack)
    with pytest.raises(Unreachable, match="does not lead"):
        await peers.send_vitals(server.url, VITALS)


async def test_what_a_node_holds_can_be_asked_and_read_from_any_frame_on(stack, store):
    data = numbered(6000) + end()
    info = await write(store, KEY, data)
    server = await serve(stack, store)
    peers = await call(stack)
    status = await peers.log_status(server.url, KEY)
    assert status == store.status(KEY)
    assert status.info == info
    assert await streamed(peers, server.url) == data
    assert await streamed(peers, server.url, follow=True) == data
    offset = await peers.log_tail_offset(server.url, KEY, 10)
    assert await streamed(peers, server.url, offset=offset) == data[offset:]
    assert data[offset:].count(b"\n") == 10


async def test_what_a_node_does_not_have_is_not_found(stack, store):
    server = await serve(stack, store)
    peers = await call(stack)
    assert await peers.log_status(server.url, KEY) is None
    with pytest.raises(NotFound):
        await streamed(peers, server.url)
    with pytest.raises(NotFound):
        await peers.log_tail_offset(server.url, KEY, 10)
    for odd in (LogKey("nonsense", 1), LogKey(KEY.run_id, 10**9)):
        assert await peers.log_status(server.url, odd) is None


async def test_reading_from_where_no_frame_begins_is_broken_off(stack, store):
    await write(store, KEY, numbered(100), end())
    server = await serve(stack, store)
    peers = await call(stack)
    with pytest.raises(Unreachable):
        await streamed(peers, server.url, offset=3)


async def test_a_quiet_output_is_followed_through_reconnections(stack, store):
    server = await serve(stack, store)
    peers = await call(stack, idle_seconds=0.02)
    at = await store.open(KEY, started_at=NOMINAL)
    reading = asyncio.create_task(streamed(peers, server.url, follow=True))
    for n in range(3):
        asked = len(server.asked)
        async with asyncio.timeout(20):
            while len(server.asked) < asked + 2:
                await asyncio.sleep(0.005)
        at = await store.append(KEY, at, out(f"{n}\n"))
    await store.append(KEY, at, end())
    await store.close(KEY)
    assert await reading == out("0\n") + out("1\n") + out("2\n") + end()


async def test_a_copy_that_nobody_feeds_is_broken_off_and_not_taken_for_complete(stack, store):
    await write(store, KEY, out("half\n"), seal=False)
    server = await serve(stack, store)
    peers = await call(stack)
    stream = peers.log_stream(server.url, KEY, offset=0, follow=True)
    assert await anext(stream) == out("half\n")
    store.local.rest(KEY)
    with pytest.raises(Unreachable):
        await anext(stream)


async def test_a_node_that_is_gone_is_unreachable(stack):
    peers = await call(stack)
    nobody = f"http://127.0.0.1:{free_port()}"
    for asking in (
        peers.log_status(nobody, KEY),
        peers.send_vitals(nobody, VITALS),
        peers.log_tail_offset(nobody, KEY, 1),
        streamed(peers, nobody),
        streamed(peers, nobody, follow=True),
    ):
        with pytest.raises(Unreachable):
            await asking


async def test_a_node_that_accepts_and_never_answers_is_unreachable_even_when_followed(stack):
    peers = await call(stack, idle_seconds=0.02)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Unreachable, match="quiet"):
            await streamed(peers, url, follow=True)


@pytest.mark.parametrize("answer", [b"\xc1", b"", b"x" * 2_000_000, msgspec.msgpack.encode([1])])
async def test_an_answer_that_makes_no_sense_is_an_error_of_that_node(stack, answer):
    async def babble(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(answer)
        writer.write(head + answer)
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    stack.callback(server.close)
    peers = await call(stack)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(Unreachable):
        await peers.log_status(f"http://127.0.0.1:{port}", KEY)


async def test_without_the_right_secret_and_clock_nothing_is_told(stack, store):
    await write(store, KEY, numbered(10), end())
    server = await serve(stack, store)
    long_ago = ManualClock(datetime(2020, 1, 1, tzinfo=UTC))
    for peers in (await call(stack, b"guess"), await call(stack, clock=long_ago)):
        with pytest.raises(Unreachable, match="401"):
            await streamed(peers, server.url)
        with pytest.raises(Unreachable, match="401"):
            await peers.log_status(server.url, KEY)
        with pytest.raises(Unreachable, match="401"):
            await peers.send_vitals(server.url, VITALS)


async def test_a_node_without_a_secret_answers_no_node_and_asks_none(stack, store):
    await write(store, KEY, numbered(10), end())
    alone = await serve(stack, store, secret=None)
    with pytest.raises(Unreachable, match="403"):
        await streamed(await call(stack), alone.url)
    with pytest.raises(Unreachable, match="no cluster secret"):
        await (await call(stack, None)).log_status(alone.url, KEY)
    assert len(alone.asked) == 1


class Recorder(HttpPeers):
    """Keeps what was sent, as somebody on the network could."""

    def listen(self, calls):
        signer = self._signer

        class Listening:
            def headers(self, method, url, target, **rest):
                headers = signer.headers(method, url, target, **rest)
                calls.append((method, url + target, headers, rest["body"]))
                return headers

        self._signer = Listening()


async def test_a_call_that_was_recorded_cannot_be_repeated_redirected_or_changed(stack, store):
    await write(store, KEY, numbered(10), end())
    received = []

    def receive(vitals):
        received.append(vitals)
        return ()

    server = await serve(stack, store, receive_vitals=receive)
    other = await serve(stack, store, receive_vitals=receive)
    peers = Recorder(SECRET, clock=SystemClock())
    stack.push_async_callback(peers.stop)
    calls = []
    peers.listen(calls)
    await peers.send_vitals(server.url, VITALS)
    await streamed(peers, server.url)
    session = await stack.enter_async_context(aiohttp.ClientSession())

    async def send(method, url, headers, body):
        async with session.request(method, url, headers=headers, data=body or None) as answer:
            return answer.status

    for method, url, headers, body in calls:
        assert await send(method, url, headers, body) == 401
        assert await send(method, url.replace(server.url, other.url), headers, body) == 401
        assert await send(method, url, {}, body) == 401

    assert len(received) == 1


@pytest.mark.parametrize(("body", "status"), [(b"other", 401), (b"x" * 100_000, 413)])
async def test_a_body_other_than_the_signed_one_is_refused(stack, store, body, status):
    server = await serve(stack, store)
    target = "/internal/v1/vitals"
    headers = PeerSigner(SECRET).headers(
        "POST",
        server.url,
        target,
        body=msgspec.msgpack.encode(VITALS),
        now_ms=milliseconds(SystemClock().now()),
        nonce="once",
    )
    async with (
        aiohttp.ClientSession() as session,
        session.post(server.url + target, headers=headers, data=body) as answer,
    ):
        assert answer.status == status


async def test_a_reader_that_left_a_quiet_output_is_not_waited_for(stack, store, monkeypatch):
    monkeypatch.setattr(peer_routes, "PAUSE_SECONDS", 0.01)
    at = await store.open(KEY, started_at=NOMINAL)
    await store.append(KEY, at, out("one\n"))
    server = await serve(stack, store, handler_cancellation=False)
    peers = await call(stack)
    stream = peers.log_stream(server.url, KEY, offset=0, follow=True)
    assert await anext(stream) == out("one\n")
    assert server.busy == 1
    await stream.aclose()
    async with asyncio.timeout(20):
        while server.busy:
            await asyncio.sleep(0.005)
