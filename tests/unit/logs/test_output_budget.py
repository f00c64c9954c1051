"""A node keeps so much output and no more; a script never notices."""

import asyncio
import random

import pytest
from log_material import NOMINAL, a_key, end, out

from croncord.errors import StoreError
from croncord.frames import SYSTEM, decode_frames, gap_bytes
from croncord.logs.local import LocalLogs
from croncord.logs.log_store import LogStore
from croncord.logs.reading import local_frames

KEY = a_key()
PIECES = [out(random.Random(n).randbytes(50_000), n) for n in range(120)]


@pytest.fixture
async def small(tmp_path, monkeypatch):
    monkeypatch.setattr("croncord.logs.budget.LOOK_SECONDS", 0)
    local = await LocalLogs.open(tmp_path, disk_bytes=2_000_000)
    yield local
    await local.close()


async def fill(local, at=0):
    store = LogStore(local)
    await store.open(KEY, started_at=NOMINAL)
    for piece in PIECES:
        at = await store.append(KEY, at, piece)
        await local.flush()
    return at


async def test_beyond_its_budget_output_is_dropped_and_the_place_and_the_reason_are_marked(small):
    at = await fill(small)
    store = LogStore(small)
    await store.append(KEY, at, end())
    info = await store.close(KEY)
    assert info.complete
    assert 1_500_000 < info.bytes < 3_000_000
    assert info.bytes + info.truncated_bytes == 120 * 50_000
    assert small.dropped_bytes == info.truncated_bytes
    data = b"".join([data async for data in local_frames(small, KEY, offset=0, follow=False)])
    remark, gap = (frame for frame in decode_frames(data)[0] if frame.stream == SYSTEM)
    assert remark.payload.startswith(b"output is dropped here: output takes ")
    assert gap_bytes(gap) == info.truncated_bytes


async def test_a_script_waits_for_nothing_and_goes_on_being_kept_when_there_is_room(small):
    at = await fill(small)
    small.budget._bytes_max = 100_000_000
    rest = out("there is room again\n")
    async with asyncio.timeout(5):
        await LogStore(small).append(KEY, at, rest)
    assert (await small.piece(KEY, small.live(KEY).end - len(rest))) == rest


async def test_copies_are_not_thinned_out_but_refused_until_there_is_room(small):
    await fill(small)
    other = a_key("other")
    await small.begin(other)
    with pytest.raises(StoreError, match="no room for copies"):
        await small.append(other, 0, PIECES[0], may_drop=False)
    small.budget._bytes_max = 100_000_000
    assert await small.append(other, 0, PIECES[0], may_drop=False) == len(PIECES[0])


async def test_a_disk_that_others_have_filled_leaves_a_part_free(small, monkeypatch):
    assert small.budget.shortage() == ""
    monkeypatch.setattr("croncord.logs.budget.FREE_BYTES", 2**60)
    monkeypatch.setattr("croncord.logs.budget.FREE_FRACTION", 1.0)
    assert "left" in small.budget.shortage()
