"""Damage on this node's disk is noticed, wherever it is, and never shown as output."""

import random

import pytest
from log_material import NOMINAL, a_key, end, numbered, out, store_at, text, write

from croncord.errors import StoreError
from croncord.frames import decode_frames
from croncord.logs.block_table import blocks_from, put_block
from croncord.logs.keys import day_of, pack, pack_row, unpack_row
from croncord.logs.scrub import Scrub
from croncord.logs.soundness import is_short, is_sound
from croncord.logs.store import Store

KEY = a_key()
DAY = day_of(pack(KEY))
DATA = numbered(20000) + end()
TEXT = b"".join(frame.payload for frame in decode_frames(numbered(20000))[0])


async def written(path, key=KEY, data=DATA):
    async with store_at(path) as store:
        await write(store, key, data)


def change_blocks(path, change):
    """Change the blocks of the day: `change` gets the list of keys and values."""
    day = Store(path / DAY, ["blocks"])
    with day.write() as writing:
        blocks = list(blocks_from(writing, b""))
        for key, value in change(blocks):
            if value is None:
                writing.delete_prefix("blocks", key)
            else:
                put_block(writing, key, value)
    day.close()


def flipped(value, at):
    return value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]


DAMAGES = {
    "flipped": lambda blocks: [(blocks[2][0], flipped(blocks[2][1], -9))],
    "header": lambda blocks: [(blocks[2][0], flipped(blocks[2][1], 9))],
    "first gone": lambda blocks: [(blocks[0][0], None)],
    "middle gone": lambda blocks: [(blocks[2][0], None)],
    "last gone": lambda blocks: [(blocks[-1][0], None)],
    "cut short": lambda blocks: [(blocks[-1][0], blocks[-1][1][:-20])],
    "all gone": lambda blocks: [(key, None) for key, _ in blocks],
}
every_damage = pytest.mark.parametrize("change", DAMAGES.values(), ids=DAMAGES.keys())


@every_damage
async def test_a_reader_gets_what_is_sound_and_is_told_of_the_gap(tmp_path, change):
    await written(tmp_path)
    change_blocks(tmp_path, change)
    async with store_at(tmp_path) as store:
        noticed = []
        store.local.on_damage(noticed.append)
        chunks = []

        async def read():
            async for chunk in store.read(KEY):
                chunks.append(chunk)  # noqa: PERF401 - what came before the error counts

        with pytest.raises(StoreError, match="damaged"):
            await read()
        assert noticed == [KEY]
        assert store.status(KEY) is None
        assert store.damaged(KEY)
        assert [chunk.data for chunk in chunks if b"cannot be read" in chunk.data]
        for chunk in chunks:
            assert chunk.stream == "system" or chunk.data in TEXT


@every_damage
async def test_the_scrub_finds_what_nobody_reads(tmp_path, change):
    other = a_key("sound")
    await written(tmp_path)
    change_blocks(tmp_path, change)
    await written(tmp_path, other)
    async with store_at(tmp_path) as store:
        await Scrub(store.local).scrub()
        assert store.local.damaged == [KEY]
        assert (await text(store, other)) == TEXT


@every_damage
async def test_a_damaged_output_goes_on_from_where_it_is_sound(tmp_path, change):
    await written(tmp_path)
    change_blocks(tmp_path, change)
    async with store_at(tmp_path) as store:
        await store.check(KEY)
        assert store.damaged(KEY)
        await store.local.cut_back(KEY)
        at = await store.open(KEY, started_at=NOMINAL)
        assert at < len(DATA)
        await store.append(KEY, at, DATA[at:])
        assert (await store.close(KEY)).lines == 20000
        assert await text(store, KEY) == TEXT
        await Scrub(store.local).scrub()
        assert store.local.damaged == []


async def test_a_whole_day_that_is_gone_is_found(tmp_path):
    await written(tmp_path)
    (tmp_path / DAY / "data.mdb").unlink()
    (tmp_path / DAY / "lock.mdb").unlink()
    (tmp_path / DAY).rmdir()
    async with store_at(tmp_path) as store:
        await Scrub(store.local).scrub()
        assert store.local.damaged == [KEY]


async def test_a_damaged_row_of_the_index_is_found_and_its_blocks_are_used_again(tmp_path):
    await written(tmp_path)
    index = Store(tmp_path / "index", ["run"])
    with index.write() as writing:
        writing.put("run", pack(KEY), flipped(writing.get("run", pack(KEY)), -3))
    index.close()
    async with store_at(tmp_path) as store:
        await Scrub(store.local).scrub()
        assert store.local.damaged == [KEY]
        await store.local.cut_back(KEY)
        assert await store.open(KEY, started_at=NOMINAL) == len(DATA)
        assert (await store.close(KEY)).complete
        assert await text(store, KEY) == TEXT


def test_a_row_written_before_rows_had_a_checksum_is_still_read():
    row = unpack_row(pack_row(unpack_row(b"\x92\x07\x00")))
    assert row.started_ms == 7
    with pytest.raises(StoreError):
        unpack_row(b"\x92\x07")


@pytest.mark.parametrize("was_killed", [False, True])
async def test_a_file_cut_short_kills_nobody_and_the_rest_is_kept(tmp_path, was_killed):
    await written(tmp_path)
    path = tmp_path / DAY / "data.mdb"
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    if was_killed:
        (tmp_path / "in-use").touch()
    assert is_short(tmp_path / DAY)
    assert not is_sound(tmp_path / DAY)
    async with store_at(tmp_path) as store:
        with pytest.raises(StoreError):
            await text(store, KEY)
        assert store.damaged(KEY)
        await write(store, a_key("new"), out("new\n"), end())
        assert await text(store, a_key("new")) == b"new\n"
    assert (tmp_path / f"damaged-{DAY}").is_dir()


async def test_a_file_cut_short_while_it_is_open_kills_nobody(tmp_path):
    async with store_at(tmp_path) as store:
        await write(store, KEY, DATA)
        path = tmp_path / DAY / "data.mdb"
        with path.open("r+b") as file:
            file.truncate(8192)
        with pytest.raises(StoreError):
            await text(store, KEY)
        await write(store, a_key("new"), DATA)
        assert await text(store, a_key("new")) == TEXT


async def test_an_index_that_is_broken_is_set_aside_at_the_start_and_blocks_are_found_again(
    tmp_path,
):
    await written(tmp_path)
    path = tmp_path / "index" / "data.mdb"
    with path.open("r+b") as file:
        file.truncate(8192)
    async with store_at(tmp_path) as store:
        assert store.status(KEY) is None
        assert await store.open(KEY, started_at=NOMINAL) == len(DATA)
        assert (await store.close(KEY)).complete
        assert await text(store, KEY) == TEXT


async def test_pages_that_are_garbage_end_the_checker_and_not_this_program(tmp_path):
    await written(tmp_path)
    path = tmp_path / DAY / "data.mdb"
    chance = random.Random(4)
    with path.open("r+b") as file:
        for page in range(2, path.stat().st_size // 4096, 3):
            file.seek(page * 4096)
            file.write(chance.randbytes(64))
    async with store_at(tmp_path) as store:
        await Scrub(store.local).scrub()
        assert store.damaged(KEY)
