"""Readers on one node who follow an output on another share a connection, and no one waits for another."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from log_material import NOMINAL, a_key, end, numbered, out
from peer_server import Member

from croncord.errors import NotFound, Unreachable
from croncord.logs.upstream import KEPT_BYTES, Upstream

KEY = a_key()


@pytest.fixture
async def nodes(tmp_path):
    addresses = {}
    async with AsyncExitStack() as stack:
        members = [await Member(name, tmp_path, addresses).start() for name in ("n1", "n2")]
        for member in members:
            stack.push_async_callback(member.stop)
        yield members


def follows(member):
    return [path for _, path in member.server.asked if "follow=1" in path]


async def read(member):
    chunks = member.store.read(KEY, holders=["n1"], follow=True)
    return b"".join([chunk.data async for chunk in chunks])


async def test_fifty_readers_share_one_stream_and_each_gets_everything(nodes):
    n1, n2 = nodes
    at = await n1.store.open(KEY, started_at=NOMINAL)
    at = await n1.store.append(KEY, at, numbered(100))
    readers = [asyncio.create_task(read(n2)) for _ in range(25)]
    await asyncio.sleep(0.2)
    at = await n1.store.append(KEY, at, out("middle\n"))
    readers += [asyncio.create_task(read(n2)) for _ in range(25)]
    await asyncio.sleep(0.2)
    at = await n1.store.append(KEY, at, out("last\n") + end())
    await n1.store.close(KEY)
    texts = set(await asyncio.gather(*readers))
    assert len(texts) == 1
    assert texts.pop().endswith(b"middle\nlast\n")
    assert len(follows(n1)) == 1
    assert n2.store._upstream._shared == {}


async def test_when_the_last_reader_leaves_the_stream_ends(nodes):
    n1, n2 = nodes
    await n1.store.append(KEY, await n1.store.open(KEY, started_at=NOMINAL), out("a\n"))
    readers = [n2.store.read(KEY, holders=["n1"], follow=True) for _ in range(2)]
    listening = [asyncio.create_task(anext(reader)) for reader in readers]
    await asyncio.gather(*listening)
    waiting = [asyncio.create_task(anext(reader)) for reader in readers]
    await asyncio.sleep(0.1)
    assert n1.server.busy == 1
    for task, reader in zip(waiting, readers, strict=True):
        task.cancel()
        await asyncio.wait([task])
        await reader.aclose()
    async with asyncio.timeout(10):
        while n1.server.busy:
            await asyncio.sleep(0.01)


class Source:
    """Another node, in memory: an output that grows as the test says."""

    def __init__(self):
        self.data = b""
        self.grown = asyncio.Event()
        self.is_over = False

    def grow(self, data, *, is_over=False):
        self.data += data
        self.is_over = is_over
        self.grown.set()
        self.grown = asyncio.Event()

    async def log_stream(self, _address, _key, *, offset, follow):
        while True:
            data = self.data[offset : offset + 100_000]
            if data:
                offset += len(data)
                yield data
                await asyncio.sleep(0.001)
            elif follow and not self.is_over:
                await self.grown.wait()
            else:
                return


async def test_a_slow_reader_is_cut_off_and_the_others_get_all_of_it():
    source = Source()
    source.grow(b"a" * 10)
    upstream = Upstream(source)
    slow = upstream.follow("n1", KEY, 0)
    assert await anext(slow) == b"a" * 10
    listening = asyncio.create_task(anext(slow))
    await asyncio.sleep(0.05)
    source.grow(b"b")
    assert await listening == b"b"
    fast = asyncio.create_task(collect(upstream.follow("n1", KEY, 0)))
    await asyncio.sleep(0.05)
    source.grow(b"c" * 3 * KEPT_BYTES, is_over=True)
    async with asyncio.timeout(10):
        assert len(await fast) == 11 + 3 * KEPT_BYTES
    with pytest.raises(Unreachable, match="too slow"):
        await collect(slow)


async def collect(stream):
    return b"".join([data async for data in stream])


async def test_what_goes_wrong_is_told_to_every_reader_and_the_next_one_begins_anew():
    class Broken(Source):
        async def log_stream(self, _address, _key, *, offset, follow):
            if not follow:
                yield self.data[offset:]
                return
            await self.grown.wait()
            raise NotFound("it was deleted")

    source = Broken()
    source.data = b"abc"
    upstream = Upstream(source)
    readers = [asyncio.create_task(collect(upstream.follow("n1", KEY, 0))) for _ in range(3)]
    await asyncio.sleep(0.01)
    source.grow(b"")
    answers = await asyncio.gather(*readers, return_exceptions=True)
    assert [str(answer) for answer in answers] == ["it was deleted"] * 3
    assert upstream._shared == {}
