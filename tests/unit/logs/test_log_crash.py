"""kill -9 at any moment, and a disk that takes no more: what is kept, and that it is sound."""

import asyncio
import os
import random
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from log_material import NOMINAL, a_key, end, endless_start, framed, out, store_at

from croncord.errors import StoreError
from croncord.frames import GAP, decode_frames, gap_bytes
from croncord.logs.local import LocalLogs
from croncord.logs.log_store import LogStore
from croncord.logs.reading import local_frames

KEY = a_key()
WRITER = Path(__file__).with_name("killed_writer.py")


def lives(path, chance):
    """Run the writer, kill it at some moment, return what it said was durable."""
    environment = os.environ | {"PYTHONPATH": str(WRITER.parents[2])}
    with subprocess.Popen(
        [sys.executable, WRITER, path], stdout=subprocess.PIPE, text=True, env=environment
    ) as writer:
        lines = [writer.stdout.readline() for _ in range(chance.randrange(2, 60))]
        writer.send_signal(signal.SIGKILL)
        rest, _ = writer.communicate()
    lines += [line for line in rest.splitlines(keepends=True) if line.endswith("\n")]
    return [int(line.split()[1]) for line in lines]


async def test_a_writer_killed_at_any_moment_keeps_a_sound_prefix_with_all_that_was_durable(
    tmp_path,
):
    chance = random.Random(20260501)
    size = 0
    for _ in range(5):
        durable = lives(tmp_path, chance)
        assert durable[0] >= size
        async with store_at(tmp_path) as store:
            size = store.status(KEY).size
            assert size >= durable[-1]
            assert await framed(store, KEY) == endless_start(size)
    async with store_at(tmp_path) as store:
        await store.open(KEY, started_at=NOMINAL)
        info = await store.close(KEY)
        frames, consumed = decode_frames(await framed(store, KEY))
        assert consumed == size
        assert info.bytes == sum(len(frame.payload) for frame in frames)


@pytest.fixture
def small_files():
    """A disk on which no file grows beyond a size, until the test says otherwise."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))

    yield limit
    limit(soft)


def noise(chance, count):
    return [out(chance.randbytes(50_000), n) for n in range(count)]


async def test_a_full_disk_stops_no_script_and_what_was_left_out_is_counted(tmp_path, small_files):
    pieces = noise(random.Random(1), 100)
    local = await LocalLogs.open(tmp_path, room_bytes=500_000, retry_seconds=0.02)
    store = LogStore(local)
    at = await store.open(KEY, started_at=NOMINAL)
    await local.flush()
    small_files(1_000_000)
    for piece in pieces[:80]:
        at = await store.append(KEY, at, piece)
        await asyncio.sleep(0.005)
    assert local.failure is not None
    assert local._live.unwritten_bytes < 600_000
    small_files(resource.RLIM_INFINITY)
    await local.flush()
    assert local.failure is None
    for piece in [*pieces[80:], end()]:
        at = await store.append(KEY, at, piece)
    info = await store.close(KEY)
    assert info.complete
    assert info.truncated_bytes > 0
    assert info.bytes + info.truncated_bytes == 100 * 50_000
    frames = decode_frames(await framed(store, KEY))[0]
    assert sum(gap_bytes(frame) for frame in frames) == info.truncated_bytes
    kept = [frame.payload for frame in frames if not frame.flags & GAP]
    assert kept[0] == pieces[0][8:]
    assert kept[-2] == pieces[-1][8:]
    await store.stop()
    async with store_at(tmp_path) as again:
        assert again.status(KEY).info == info
        assert await again.append(KEY, at - 9, end()) == at
        assert decode_frames(await framed(again, KEY))[0] == frames


async def test_an_output_that_had_gaps_goes_on_at_the_right_place_after_a_restart(
    tmp_path, small_files
):
    pieces = noise(random.Random(2), 60)
    local = await LocalLogs.open(tmp_path, room_bytes=300_000, retry_seconds=0.02)
    store = LogStore(local)
    at = await store.open(KEY, started_at=NOMINAL)
    small_files(500_000)
    for piece in pieces[:50]:
        at = await store.append(KEY, at, piece)
        await asyncio.sleep(0.005)
    small_files(resource.RLIM_INFINITY)
    await local.flush()
    at = await store.append(KEY, at, pieces[50])
    await store.stop()
    async with store_at(tmp_path) as again:
        assert await again.open(KEY, started_at=NOMINAL) == at
        await again.append(KEY, 0, b"".join(pieces))
        info = await again.close(KEY)
    assert info.truncated_bytes > 0
    assert info.bytes + info.truncated_bytes == 60 * 50_000


async def test_a_copy_is_not_thinned_out_by_a_full_disk_but_refused(tmp_path, small_files):
    local = await LocalLogs.open(tmp_path, room_bytes=300_000, retry_seconds=0.02)
    at = await local.begin(KEY)
    small_files(500_000)

    async def fill():
        nonlocal at
        for piece in noise(random.Random(3), 100):
            at = await local.append(KEY, at, piece, may_drop=False)
            await asyncio.sleep(0.005)

    with pytest.raises(StoreError) as refused:
        await fill()
    assert refused.value.hint
    small_files(resource.RLIM_INFINITY)
    await local.flush()
    stream = local_frames(local, KEY, offset=0, follow=False)
    assert sum([len(data) async for data in stream]) == at
    await local.close()


async def test_closing_on_a_full_disk_ends_and_keeps_what_was_durable(tmp_path, small_files):
    local = await LocalLogs.open(tmp_path, retry_seconds=0.02)
    at = await local.begin(KEY)
    at = await local.append(KEY, at, out("durable\n"), may_drop=True)
    await local.flush()
    small_files(200_000)
    for piece in noise(random.Random(4), 40):
        at = await local.append(KEY, at, piece, may_drop=True)
    await local.close()
    small_files(resource.RLIM_INFINITY)
    async with store_at(tmp_path) as again:
        assert (await framed(again, KEY)).startswith(out("durable\n"))
