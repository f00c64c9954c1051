"""Connections that say nothing: how many are held, and for how long."""

import asyncio
import contextlib

import pytest
from aiohttp import web
from certificates import node_tls
from peer_server import free_port

from croncord.web import middleware
from croncord.web.listen import listen

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def show(_request):
    return web.Response(text="here")


@pytest.fixture
async def opened():
    async with contextlib.AsyncExitStack() as stack:

        async def open_door(tls=None, **limits):
            app = web.Application()
            app.add_routes([web.get("/", show)])
            port = free_port()
            stack.push_async_callback(await listen(app, "127.0.0.1", port, tls, **limits))
            return port

        yield open_door


async def knock(port, begun=b""):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(begun)
    return reader, writer


async def leave(*guests):
    for _, writer in guests:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: ", REQUEST])
async def test_past_the_limit_the_one_that_waits_longest_makes_room(opened, begun):
    port = await opened(guests_max=3)
    guests = [await knock(port, begun) for _ in range(5)]
    for reader, _ in guests[:2]:
        answer = await reader.read()
        assert answer.endswith(b"here") == (begun == REQUEST)
    newest = guests[-1]
    newest[1].write(b"" if begun == REQUEST else REQUEST.removeprefix(begun) if begun else REQUEST)
    head = await newest[0].readline()
    assert head.split()[1] in {b"200", b"400"}
    await leave(*guests)


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nX: "])
async def test_a_head_that_never_ends_is_not_waited_for(opened, begun):
    port = await opened(idle_seconds=0.2)
    guest = await knock(port, begun)
    assert await guest[0].read() == b""
    await leave(guest)


async def test_the_limits_hold_behind_tls_too(opened, tmp_path):
    port = await opened(node_tls(tmp_path, required=False), guests_max=1)
    first = await knock(port, REQUEST)
    assert b"200" in await first[0].readline()
    second = await knock(port, REQUEST)
    assert b"200" in await second[0].readline()
    assert (await first[0].read()).endswith(b"here")
    await leave(first, second)


async def test_a_form_that_never_comes_whole_is_refused(door, monkeypatch):
    monkeypatch.setattr(middleware, "BODY_SECONDS", 0.2)
    reader, writer = await knock(
        door.client.server.port,
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\n\r\nname=",
    )
    assert b"400" in await reader.readline()
    await leave((reader, writer))
