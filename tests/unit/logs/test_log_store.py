"""What is written is read: before it is on disk, after, and after a restart."""

import asyncio
import hashlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from log_material import (
    NOMINAL,
    a_key,
    end,
    err,
    framed,
    numbered,
    out,
    sizes,
    store_at,
    text,
    write,
)

from croncord.errors import Conflict, Invalid, NotFound, StoreError
from croncord.frames import decode_frames
from croncord.logs import live_logs
from croncord.logs.blocks import BLOCK_BYTES
from croncord.logs.disk import Disk
from croncord.logs.keys import day_of, pack
from croncord.logs.log_store import LogStore
from croncord.logs.store import Store

KEY = a_key()


@pytest.mark.parametrize(
    "size", [0, 1, 30, 3000, 20000], ids=["empty", "one line", "inline", "block", "blocks"]
)
async def test_an_output_of_any_size_is_the_same_live_sealed_and_after_a_restart(tmp_path, size):
    data = numbered(size) + end(size)
    lines = b"".join(frame.payload for frame in decode_frames(numbered(size))[0])
    async with store_at(tmp_path) as store:
        await write(store, KEY, data, seal=False)
        assert await framed(store, KEY) == data
        info = await store.close(KEY)
        assert await framed(store, KEY) == data
        assert await text(store, KEY) == lines
    async with store_at(tmp_path) as store:
        assert await framed(store, KEY) == data
        status = store.status(KEY)
        assert status.info == info == await store.close(KEY)
        assert status.complete
        assert status.size == len(data)
    assert info.bytes == len(lines)
    assert info.lines == size
    assert info.sha256 == hashlib.sha256(lines).hexdigest()
    assert info.complete


async def test_an_output_that_was_cut_off_goes_on_after_a_restart(tmp_path):
    data = numbered(20000) + end()
    middle = len(numbered(10000))
    async with store_at(tmp_path) as store:
        await write(store, KEY, data[:middle], seal=False)
    async with store_at(tmp_path) as store:
        assert store.local.unsealed() == [KEY]
        status = store.status(KEY)
        assert (status.size, status.complete) == (middle, False)
        assert status.info.lines == 10000
        assert await framed(store, KEY) == data[:middle]
        assert await store.open(KEY, started_at=NOMINAL) == middle
        await store.append(KEY, 0, data)
        info = await store.close(KEY)
        assert await framed(store, KEY) == data
        assert store.local.unsealed() == []
    assert info.lines == 20000
    payload = b"".join(frame.payload for frame in decode_frames(data)[0] if frame.stream != 9)
    assert info.sha256 == hashlib.sha256(payload).hexdigest()


async def test_a_sealed_output_can_be_opened_and_fed_again_without_harm(tmp_path):
    data = numbered(3) + end()
    async with store_at(tmp_path) as store:
        info = await write(store, KEY, data)
        assert await store.open(KEY, started_at=NOMINAL) == len(data)
        assert await store.append(KEY, 0, data) == len(data)
        assert await store.close(KEY) == info
        with pytest.raises(Conflict):
            await store.append(KEY, len(data), out("more"))


async def test_an_output_without_an_end_frame_is_sealed_as_incomplete(tmp_path):
    async with store_at(tmp_path) as store:
        info = await write(store, KEY, out("half"))
        assert not info.complete
        assert info.sha256 == hashlib.sha256(b"half").hexdigest()


async def test_what_was_never_begun_is_not_found(tmp_path):
    async with store_at(tmp_path) as store:
        assert store.status(KEY) is None
        with pytest.raises(NotFound):
            await text(store, KEY)
        with pytest.raises(NotFound):
            await store.append(KEY, 0, out("x"))
        with pytest.raises(NotFound):
            await store.close(KEY)
        with pytest.raises(NotFound):
            await store.tail_offset(KEY, 3)


async def test_a_made_up_run_id_is_not_found_and_leaves_no_file(tmp_path):
    async with store_at(tmp_path) as store:
        for run in ("nonsense", "v" * 24):
            key = type(KEY)(run, 1)
            assert store.status(key) is None
            with pytest.raises(NotFound):
                await text(store, key)
    assert not list(tmp_path.glob("blocks-*"))


async def test_chunks_tell_stream_time_and_where_to_go_on(tmp_path):
    data = out("a", 5) + out("b", 5) + err("c", 5) + out("d", 6) + end(7)
    async with store_at(tmp_path) as store:
        await write(store, KEY, data)
        chunks = [chunk async for chunk in store.read(KEY)]
        told = [(chunk.stream, chunk.data, chunk.milliseconds) for chunk in chunks]
        assert told == [("stdout", b"ab", 5), ("stderr", b"c", 5), ("stdout", b"d", 6)]
        for chunk in chunks:
            rest = await text(store, KEY, offset=chunk.next_offset)
            assert rest == b"abcd"[b"abcd".index(chunk.data) + len(chunk.data) :]
        assert await text(store, KEY, stream="stderr") == b"c"
        assert await text(store, KEY, stream="stdout") == b"abd"
        with pytest.raises(Invalid):
            await text(store, KEY, offset=3)
        with pytest.raises(Invalid):
            await text(store, KEY, offset=-1)
        assert await text(store, KEY, offset=len(data) + 50) == b""


@pytest.mark.parametrize("is_sealed", [False, True])
@pytest.mark.parametrize("count", [10, 12000])
async def test_the_last_lines_can_be_found_without_reading_all(tmp_path, count, is_sealed):
    data = numbered(count)
    async with store_at(tmp_path) as store:
        await write(store, KEY, data, end(), seal=is_sealed)
        for lines in (0, 1, 7, 3000, count, count + 1):
            offset = await store.tail_offset(KEY, lines)
            tail = await text(store, KEY, offset=offset)
            assert tail.count(b"\n") == min(lines, count)


async def test_a_follower_sees_each_line_before_the_next_is_written(tmp_path):
    async with store_at(tmp_path) as store:
        at = await store.open(KEY, started_at=NOMINAL)
        reader = store.read(KEY, follow=True)
        for n in range(20):
            at = await store.append(KEY, at, out(f"{n}\n", ms=n))
            assert (await anext(reader)).data == b"%d\n" % n
        at = await store.append(KEY, at, end())
        closing = asyncio.create_task(store.close(KEY))
        assert [chunk async for chunk in reader] == []
        await closing


async def test_many_followers_all_see_everything(tmp_path):
    data = numbered(3000) + end()
    async with store_at(tmp_path) as store:
        await store.open(KEY, started_at=NOMINAL)
        readers = [asyncio.create_task(text(store, KEY, follow=True)) for _ in range(30)]
        for start, stop in sizes(len(data), 2777):
            await store.append(KEY, start, data[start:stop])
            await asyncio.sleep(0)
        await store.close(KEY)
        whole = await text(store, KEY)
        assert whole.count(b"\n") == 3000
        assert set(await asyncio.gather(*readers)) == {whole}


async def test_a_follower_that_stops_reading_holds_no_more_than_a_piece(tmp_path):
    data = b"".join(out(b"x" * 50_000, n) for n in range(100))
    async with store_at(tmp_path) as store:
        at = await store.open(KEY, started_at=NOMINAL)
        reader = store.read(KEY, follow=True)
        at = await store.append(KEY, at, data)
        first = await anext(reader)
        for _ in range(3):
            await store.local.flush()
        live = store.local.live(KEY)
        assert live.end - live.blocks_end.offset < 2 * BLOCK_BYTES
        at = await store.append(KEY, at, end())
        await store.close(KEY)
        assert len(first.data) + sum([len(chunk.data) async for chunk in reader]) == 5_000_000


async def test_deleting_forgets_the_output_and_its_blocks_but_not_its_neighbours(tmp_path):
    other = a_key(attempt=2)
    async with store_at(tmp_path) as store:
        await write(store, KEY, numbered(9000), end())
        await write(store, other, numbered(9000), end())
        await store.delete([KEY])
        assert store.status(KEY) is None
        assert (await text(store, other)).count(b"\n") == 9000
        with store.local._disk.days.existing(day_of(pack(KEY))) as day, day.read() as reading:
            assert {key[:17] for key, _ in reading.from_key("blocks", b"")} == {pack(other)}


async def test_an_output_deleted_and_written_anew_holds_only_the_new_bytes(tmp_path):
    async with store_at(tmp_path) as store:
        await write(store, KEY, numbered(10), seal=False)
        await store.local.flush()
        await store.delete([KEY])
        await write(store, KEY, out("new\n"), seal=False)
    async with store_at(tmp_path) as store:
        assert await text(store, KEY) == b"new\n"


async def test_a_quiet_tail_becomes_a_block_so_the_journal_stays_short(tmp_path, monkeypatch):
    monkeypatch.setattr(live_logs, "TAIL_AGE_SECONDS", 0.0)
    async with store_at(tmp_path) as store:
        at = await store.open(KEY, started_at=NOMINAL)
        for n in range(3):
            at = await store.append(KEY, at, out(f"{n}\n"))
            await store.local.flush()
        assert store.local._disk.journal() == []
        assert store.local.live(KEY).tail == []
        assert await text(store, KEY) == b"0\n1\n2\n"


async def test_a_block_damaged_on_disk_is_reported_and_not_shown(tmp_path):
    async with store_at(tmp_path) as store:
        await write(store, KEY, numbered(9000), end())
    day = Store(tmp_path / day_of(pack(KEY)), ["blocks"])
    with day.write() as writing:
        key, value = next(writing.from_key("blocks", b""))
        writing.put("blocks", key, value[:-9] + bytes([value[-9] ^ 1]) + value[-8:])
    day.close()
    async with store_at(tmp_path) as store:
        with pytest.raises(StoreError, match="damaged"):
            await text(store, KEY)


async def test_a_directory_of_another_format_is_refused_with_advice(tmp_path):
    disk = Disk(tmp_path)
    with disk.index.write() as writing:
        writing.put("cfg", b"format", b"99")
    disk.close()
    with pytest.raises(StoreError, match="format 99") as refused:
        Disk(tmp_path)
    assert refused.value.hint


feeds = st.lists(
    st.tuples(st.integers(-400, 40), st.integers(0, 900))
    | st.sampled_from(["flush", "restart", "read", "seal"]),
    max_size=30,
)


@settings(deadline=None, max_examples=35, suppress_health_check=[HealthCheck.too_slow])
@given(feeds=feeds, age=st.sampled_from([0.0, 10.0]))
def test_whatever_is_fed_and_however_often_it_restarts_the_bytes_are_the_models(
    tmp_path_factory, feeds, age
):
    """Offsets are around the end: duplicates, overlaps and holes."""
    source = b"".join(out(b"%d" % n * (n % 90), n) for n in range(400))

    async def play(path):
        held = taken = 0
        sealed = False
        store = await LogStore.start(path)
        await store.open(KEY, started_at=NOMINAL)
        for feed in feeds:
            if feed == "flush":
                await store.local.flush()
            elif feed == "restart":
                await store.stop()
                store = await LogStore.start(path)
                taken = await store.open(KEY, started_at=NOMINAL)
                assert taken == held
            elif feed == "read":
                assert await framed(store, KEY) == source[:held]
            elif feed == "seal":
                await store.close(KEY)
                sealed, taken = True, held
            else:
                offset = max(0, taken + feed[0])
                piece = source[offset : offset + feed[1]]
                is_known = offset + len(piece) <= taken
                if offset > taken or (sealed and not is_known):
                    with pytest.raises(Conflict):
                        await store.append(KEY, offset, piece)
                    continue
                taken = max(taken, offset + len(piece))
                assert await store.append(KEY, offset, piece) == taken
                held = decode_frames(source[:taken])[1]
        assert store.status(KEY).size == held
        assert await framed(store, KEY) == source[:held]
        await store.stop()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live_logs, "TAIL_AGE_SECONDS", age)
        asyncio.run(play(tmp_path_factory.mktemp("logs")))
