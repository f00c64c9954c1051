"""The web address of a node with a certificate: what people, programs, nodes and strangers get."""

import asyncio
import contextlib
import logging
import os
import socket
import ssl

import aiohttp
import pytest
from aiohttp import web
from certificates import NOW, STRANGER, node_tls, write_files
from hypothesis import given, settings
from hypothesis import strategies as st
from peer_server import free_port

from croncord.errors import ConfigError
from croncord.tls.contexts import NODE_PROTOCOL
from croncord.web import tls_door
from croncord.web.greeting import HELLO_BYTES_MAX, read_greeting
from croncord.web.listen import listen


def hello(*protocols):
    """Return the first bytes of a real TLS client."""
    context = ssl.create_default_context()
    if protocols:
        context.set_alpn_protocols(protocols)
    outgoing = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="n1").do_handshake()
    return outgoing.read()


@pytest.mark.parametrize(
    ("begun", "greeting"),
    [
        (b"", None),
        (b"G", "plain"),
        (b"\x00", "plain"),
        (b"\xff" * 9, "plain"),
        (b"\x16", None),
        (b"\x16\x03\x01\x02", None),
        (b"\x16\x03\x01\x00\x02x", None),
        (b"\x16\x03\x01\x00\x02xy", "tls"),
        (b"\x16\x03\x01\xff\xff" + bytes(HELLO_BYTES_MAX), "tls"),
        (hello(), "tls"),
        (hello("h2", "http/1.1"), "tls"),
        (hello(NODE_PROTOCOL, "http/1.1"), "node"),
        (hello()[:-1], None),
    ],
)
def test_a_connection_is_known_by_how_it_begins(begun, greeting):
    assert read_greeting(begun) == greeting


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(0, 600))
def test_any_beginning_is_known_or_waited_for(noise, cut):
    for begun in (noise, b"\x16\x03\x01" + noise, hello(NODE_PROTOCOL)[:cut] + noise):
        assert read_greeting(begun) in {None, "node", "tls", "plain"}


async def show(request):
    certificate = request.transport.get_extra_info("peercert") if request.secure else None
    return web.Response(text=f"{request.scheme} {'certified' if certificate else 'anonymous'}")


@pytest.fixture
async def door(tmp_path):
    """Serve a page over TLS; returns the port."""
    async with contextlib.AsyncExitStack() as stack:

        async def open_door(**options):
            tls = node_tls(tmp_path / "n1", **options)
            app = web.Application()
            app.add_routes([web.get("/", show)])
            port = free_port()
            stack.push_async_callback(await listen(app, "127.0.0.1", port, tls))
            return port, tls

        yield open_door


async def get(url, tls_context):
    async with aiohttp.ClientSession() as session, session.get(url, ssl=tls_context) as answer:
        return await answer.text()


def trusting(files):
    return ssl.create_default_context(cafile=files.ca)


async def test_people_are_served_without_being_asked_for_a_certificate(door):
    port, tls = await door()
    url = f"https://localhost:{port}/"
    assert await get(url, trusting(tls.files)) == "https anonymous"
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        await get(url, None)


async def test_a_program_that_has_a_certificate_anyway_is_not_asked_for_it(door):
    port, tls = await door()
    context = trusting(tls.files)
    context.load_cert_chain(tls.files.cert, tls.files.key)
    assert await get(f"https://127.0.0.1:{port}/", context) == "https anonymous"


async def test_nodes_show_each_other_their_certificates(door, tmp_path):
    port, _ = await door()
    url = f"https://127.0.0.1:{port}/"
    other = node_tls(tmp_path / "n2", "n2")
    assert await get(url, other.contexts.caller) == "https certified"


async def test_a_node_without_a_certificate_of_this_authority_is_refused(door, tmp_path):
    port, tls = await door()
    context = trusting(tls.files)
    context.set_alpn_protocols([NODE_PROTOCOL])
    with pytest.raises(aiohttp.ClientError):
        await get(f"https://127.0.0.1:{port}/", context)
    stranger = write_files(tmp_path / "x", authority=STRANGER)
    context.load_cert_chain(stranger.cert, stranger.key)
    with pytest.raises(aiohttp.ClientError):
        await get(f"https://127.0.0.1:{port}/", context)


async def test_versions_before_1_2_are_refused(door):
    port, tls = await door()
    context = trusting(tls.files)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert await get(f"https://127.0.0.1:{port}/", context) == "https anonymous"
    assert tls.contexts.web.minimum_version == ssl.TLSVersion.TLSv1_2


async def test_plain_http_is_told_to_use_https(door):
    port, _ = await door()
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/", headers={"X": "y" * 4000}) as answer,
    ):
        problem = await answer.json()
        assert answer.status == problem["status"] == 400
        assert "HTTPS" in problem["detail"]
        assert "https://" in problem["hint"]


async def test_while_tls_is_allowed_both_are_served(door):
    port, tls = await door(required=False)
    assert await get(f"http://127.0.0.1:{port}/", None) == "http anonymous"
    assert await get(f"https://127.0.0.1:{port}/", trusting(tls.files)) == "https anonymous"


async def test_a_renewed_certificate_is_shown_to_the_next_caller(door, tmp_path):
    port, tls = await door()
    context = trusting(tls.files)

    async def shown():
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        certificate = writer.get_extra_info("peercert")
        writer.close()
        await writer.wait_closed()
        return certificate["serialNumber"]

    first = await shown()
    write_files(tmp_path / "n1", days=200)
    assert await shown() == first
    tls.reload(NOW)
    assert await shown() != first


async def is_closed(reader):
    with contextlib.suppress(ConnectionResetError):
        return await asyncio.wait_for(reader.read(), 5) is not None
    return True


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00" * 100,
        b"\x80\x00\x00\x00",
        b"\x16\x03\x01\x00\x05hello",
        b"\x16\x03\x01\x20\x00" + os.urandom(9000),
        b"\x15\x03\x03\x00\x02\x02\x28",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        hello()[:100] + os.urandom(2000),
    ],
)
async def test_garbage_is_let_go_without_a_word_in_the_log(door, garbage, caplog):
    caplog.set_level(logging.INFO)
    port, tls = await door()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.suppress(ConnectionError):
        writer.write(garbage)
        writer.write_eof()
    assert await is_closed(reader)
    writer.close()
    assert await get(f"https://127.0.0.1:{port}/", trusting(tls.files)) == "https anonymous"
    assert caplog.text == ""


@pytest.mark.parametrize("begun", [b"", b"\x16", b"\x16\x03\x01\x02\x00" + bytes(100), hello()])
async def test_who_does_not_finish_the_handshake_in_time_is_let_go(door, begun, monkeypatch):
    monkeypatch.setattr(tls_door, "HANDSHAKE_SECONDS", 0.2)
    port, _ = await door()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(begun)
    assert await is_closed(reader)
    writer.close()


async def test_a_crowd_of_silent_strangers_is_bounded_and_keeps_nobody_out(door, monkeypatch):
    monkeypatch.setattr(tls_door, "HANDSHAKES_MAX", 10)
    port, tls = await door()
    strangers = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
    assert await get(f"https://127.0.0.1:{port}/", trusting(tls.files)) == "https anonymous"
    let_go = 0
    for stranger in strangers:
        stranger.setblocking(False)
        with contextlib.suppress(BlockingIOError, ConnectionResetError):
            let_go += stranger.recv(1) == b""
        stranger.close()
    assert let_go >= 30


async def test_an_address_that_is_taken_is_a_clear_error(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}"):
            await listen(web.Application(), "127.0.0.1", port, node_tls(tmp_path))
