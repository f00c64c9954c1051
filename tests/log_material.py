"""What the tests of the output store share."""

import itertools
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from croncord.frames import END, STDERR, STDOUT, encode_frame
from croncord.logs.log_store import LogStore
from croncord.model import run_id
from croncord.ports import LogKey

NOMINAL = datetime(2026, 5, 1, 3, tzinfo=UTC)


def a_key(job="backup", attempt=1):
    return LogKey(run_id(job, NOMINAL), attempt)


def out(text, ms=0):
    return encode_frame(STDOUT, text.encode() if isinstance(text, str) else text, ms)


def err(text, ms=0):
    return encode_frame(STDERR, text.encode(), ms)


def end(ms=0):
    return encode_frame(END, b"\x80", ms)


def numbered(count, *, width=40):
    """Frames of one line each, every line different."""
    return b"".join(out(f"line {n:>{width}}\n", ms=n) for n in range(count))


@asynccontextmanager
async def store_at(path, **options):
    store = await LogStore.start(path, **options)
    try:
        yield store
    finally:
        await store.stop()


async def write(store, key, *pieces, seal=True):
    """Write an output from its start, piece by piece."""
    at = await store.open(key, started_at=NOMINAL)
    for piece in pieces:
        at = await store.append(key, at, piece)
    return await store.close(key) if seal else None


async def framed(store, key, offset=0):
    """All framed bytes that the store holds itself."""
    return b"".join([data async for data in store.frames(key, offset=offset)])


async def text(store, key, **options):
    """What a reader sees."""
    return b"".join([chunk.data async for chunk in store.read(key, **options)])


def sizes(total, step):
    """Cut positions: 0, step, 2 * step, ... total."""
    return itertools.pairwise([*range(0, total, step), total])


def endless(offset):
    """Pieces of one endless, always equal stream of frames from an offset on, cut anywhere."""
    at = 0
    n = 0
    while True:
        n += 1
        piece = b"".join(out(b"%d " % n * (n * 37 % 500), n) for _ in range(n % 13))
        piece = piece + out("split", 0)[:7] if n % 2 else out("split", 0)[7:] + piece
        if at + len(piece) > offset:
            yield piece[max(0, offset - at) :]
        at += len(piece)


def endless_start(size):
    """The first bytes of the endless stream."""
    data = b""
    for piece in endless(0):
        data += piece
        if len(data) >= size:
            return data[:size]
    raise AssertionError("endless")
