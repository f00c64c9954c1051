"""A file system that is really full: output is dropped and counted, deletes and starts still work."""

import asyncio
import os
import random
import subprocess

import pytest
from log_material import NOMINAL, a_key, end, framed, out, store_at, write

from croncord.frames import decode_frames, gap_bytes
from croncord.logs.keys import day_of, pack
from croncord.logs.local import LocalLogs
from croncord.logs.log_store import LogStore

KEY, OLD = a_key(), a_key("old")


@pytest.fixture
def small_disk(tmp_path, monkeypatch):
    """A file system of 12 MiB, all of it for output."""
    monkeypatch.setattr("croncord.logs.budget.FREE_BYTES", 0)
    monkeypatch.setattr("croncord.logs.budget.FRACTION", 2.0)
    path = tmp_path / "disk"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(path)]
    if os.geteuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("needs root and permission to mount")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def noise(seed, count):
    chance = random.Random(seed)
    return [out(chance.randbytes(50_000), n) for n in range(count)]


def fill(path):
    """Take all the room that is left."""
    try:
        ballast = os.open(path / "ballast", os.O_WRONLY | os.O_CREAT)
        while os.write(ballast, b"x" * 4096):
            pass
    except OSError:
        os.close(ballast)


async def full_store(path):
    local = await LocalLogs.open(path / "logs", room_bytes=300_000, retry_seconds=0.02)
    return LogStore(local)


async def test_on_a_full_disk_output_is_dropped_and_counted_and_what_is_deleted_makes_room(
    small_disk,
):
    store = await full_store(small_disk)
    await write(store, OLD, *noise(1, 60), end())
    at = await store.open(KEY, started_at=NOMINAL)
    fed = 0
    for piece in noise(2, 200):
        at = await store.append(KEY, at, piece)
        fed += 50_000
        if store.local.failure is None:
            await asyncio.sleep(0.06)  # a commit window: one batch for each piece
    assert store.local.failure is not None
    await store.delete([OLD])
    assert store.status(OLD) is None
    await store.append(KEY, at, end())
    info = await store.close(KEY)
    assert info.complete
    assert info.bytes + info.truncated_bytes == fed
    assert info.truncated_bytes > 0
    await store.local.flush()
    assert store.local.failure is None
    frames, _ = decode_frames(await framed(store, KEY))
    assert sum(map(gap_bytes, frames)) == info.truncated_bytes
    await store.stop()


async def test_a_start_on_a_full_disk_serves_what_is_there_and_deletes(small_disk):
    async with store_at(small_disk / "logs") as store:
        await write(store, OLD, *noise(1, 40), end())
    store = await full_store(small_disk)
    await write(store, KEY, *noise(2, 2), seal=False)
    await store.local.flush()
    journal = store.local.disk.journal()
    assert journal
    # As kill -9 would leave it: the journal is not moved into blocks by a proper stop.
    store.local._writer._task.cancel()
    store.local.disk.close()
    fill(small_disk)
    store = await full_store(small_disk)
    assert not store.local._is_recovered
    assert len(await framed(store, OLD)) > 1_900_000
    at = await store.open(a_key("new"), started_at=NOMINAL)
    await store.append(a_key("new"), at, noise(3, 1)[0])
    await store.delete([OLD])
    assert store.status(OLD) is None
    (small_disk / "ballast").unlink()
    await store.local.flush()
    assert store.local._is_recovered
    at = await store.open(KEY, started_at=NOMINAL)
    assert at == len(b"".join(noise(2, 2)))
    await store.close(KEY)
    await store.stop()


async def test_a_day_that_is_dropped_on_a_full_disk_gives_its_room_back(small_disk):
    store = await full_store(small_disk)
    await write(store, OLD, *noise(1, 60), end())
    await store.stop()
    fill(small_disk)
    store = await full_store(small_disk)
    at = await store.open(KEY, started_at=NOMINAL)
    await store.append(KEY, at, noise(2, 4)[0])
    assert await store.local.drop_day(day_of(pack(OLD))) >= 1
    assert os.statvfs(small_disk).f_bavail * 4096 > 2_000_000
    assert store.status(OLD) is None
    await store.stop()
