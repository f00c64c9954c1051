"""Calls between nodes under TLS: whom a caller believes, and whom a node answers."""

from contextlib import AsyncExitStack
from datetime import UTC, datetime

import aiohttp
import pytest
from certificates import STRANGER, node_tls
from log_material import a_key, end, out, store_at, write
from peer_server import SECRET, PeerServer

from croncord.clock import SystemClock
from croncord.errors import Unreachable
from croncord.model import milliseconds
from croncord.node.peers import HttpPeers
from croncord.peer_auth import PeerSigner
from croncord.ports import Vitals

KEY = a_key()


def vitals_of(name):
    return Vitals(
        name=name,
        at=datetime(2026, 5, 1, tzinfo=UTC),
        cpu_percent=1,
        load_1m=1,
        memory_bytes=1,
        memory_total_bytes=2,
        disk_bytes=1,
        disk_total_bytes=2,
        running_runs=0,
        applied_index=1,
        uptime_seconds=1,
        version="1",
    )


@pytest.fixture
async def stack():
    async with AsyncExitStack() as exits:
        yield exits


@pytest.fixture
async def store(stack, tmp_path):
    return await stack.enter_async_context(store_at(tmp_path / "store"))


@pytest.fixture
def serve(stack, store, tmp_path):
    async def make(*, tls=True, **options):
        its = node_tls(tmp_path / "n1", **options) if tls else None
        server = PeerServer(store, tls=its, receive_vitals=lambda _vitals: ())
        stack.push_async_callback((await server.start()).stop)
        return server

    return make


@pytest.fixture
def caller(stack, tmp_path):
    def make(name="n2", *, tls=True, **options):
        its = node_tls(tmp_path / name, name, **options) if tls else None
        peers = HttpPeers(SECRET, clock=SystemClock(), tls=its)
        stack.push_async_callback(peers.stop)
        return peers

    return make


async def test_output_and_vitals_come_through(serve, caller, store):
    server, peers = await serve(), caller()
    await write(store, KEY, out(b"hello") + end())
    assert (await peers.log_status(server.url, KEY)).complete
    assert await peers.send_vitals(server.url, vitals_of("n2")) == ()


async def test_an_address_written_without_tls_is_called_with_it(serve, caller):
    server, peers = await serve(), caller()
    assert await peers.log_status(server.url.replace("https", "http"), KEY) is None


async def test_while_tls_is_allowed_an_address_is_called_as_it_is_written(serve, caller):
    server, peers = await serve(tls=False), caller(required=False)
    assert await peers.log_status(server.url, KEY) is None


async def test_who_allows_tls_answers_nodes_without_it(serve, caller):
    server, peers = await serve(required=False), caller(tls=False)
    assert await peers.log_status(server.url.replace("https", "http"), KEY) is None


async def test_an_impostor_gets_no_call(serve, caller):
    server, peers = await serve(authority=STRANGER), caller()
    with pytest.raises(Unreachable, match="certificate verify failed"):
        await peers.log_status(server.url, KEY)
    assert server.asked == []


async def test_a_certificate_for_another_host_gets_no_call(serve, caller):
    server, peers = await serve(), caller()
    with pytest.raises(Unreachable, match="certificate"):
        # This machine, by an address that the certificate lacks.
        await peers.log_status(server.url.replace("127.0.0.1", "0.0.0.0"), KEY)  # noqa: S104


async def test_a_caller_of_another_authority_is_not_answered(serve, caller):
    server = await serve()
    stranger = caller(authority=STRANGER)
    stranger._tls.contexts.caller.load_verify_locations(server._tls.files.ca)
    with pytest.raises(Unreachable):
        await stranger.log_status(server.url, KEY)
    assert server.asked == []


async def test_the_secret_alone_is_not_enough(serve):
    """A caller that is signed, over TLS, and shows no certificate."""
    server = await serve()
    target = f"/internal/v1/logs/{KEY.run_id}/{KEY.attempt}/status"
    headers = PeerSigner(SECRET).headers(
        "GET",
        server.url,
        target,
        body=b"",
        now_ms=milliseconds(datetime.now(UTC)),
        nonce="once",
    )
    context = node_tls(server._tls.files.cert.parent.parent / "n9", "n9").contexts.caller
    context.set_alpn_protocols(["http/1.1"])
    async with (
        aiohttp.ClientSession() as session,
        session.get(server.url + target, headers=headers, ssl=context) as answer,
    ):
        assert answer.status == 403
        assert "no certificate of this cluster" in await answer.text()


async def test_a_node_reports_for_itself_only(serve, caller):
    server, peers = await serve(), caller("n2")
    with pytest.raises(Unreachable, match="not that of n3"):
        await peers.send_vitals(server.url, vitals_of("n3"))
