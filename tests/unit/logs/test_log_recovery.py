"""What a crash between two steps leaves behind, and what damage costs."""

import subprocess
import sys

import pytest
from log_material import NOMINAL, a_key, end, framed, numbered, out, store_at, text, write

from croncord.errors import StoreError
from croncord.logs.days import Days
from croncord.logs.disk import Batch, Disk
from croncord.logs.keys import day_of, pack, pack_number
from croncord.logs.store import Store

KEY = a_key()
OTHER = a_key("other")


async def test_a_crash_between_blocks_and_index_leaves_nothing_twice(tmp_path, monkeypatch):
    kept = Disk.write

    def crash_before_the_index(self, batch):
        self._write_blocks(batch.blocks)
        raise StoreError("crash")

    async with store_at(tmp_path) as store:
        at = await store.open(KEY, started_at=NOMINAL)
        at = await store.append(KEY, at, numbered(1000))
        await store.local.flush()
        assert len(store.local._disk.journal()) == 1
        monkeypatch.setattr(Disk, "write", crash_before_the_index)
        at = await store.append(KEY, at, numbered(5000))
    monkeypatch.setattr(Disk, "write", kept)
    disk = Disk(tmp_path)
    assert len(disk.journal()) == 1
    assert disk.blocks_end(pack(KEY)).offset > len(numbered(1000))
    disk.close()
    async with store_at(tmp_path) as store:
        size = store.status(KEY).size
        assert await framed(store, KEY) == (numbered(1000) + numbered(5000))[:size]
        assert store.local._disk.journal() == []
        await store.open(KEY, started_at=NOMINAL)
        await store.append(KEY, 0, numbered(1000) + numbered(5000) + end())
        info = await store.close(KEY)
        assert info.lines == 6000


async def test_recovery_that_is_itself_cut_off_is_done_again(tmp_path, monkeypatch):
    async with store_at(tmp_path) as store:
        await write(store, KEY, numbered(50), seal=False)
    kept = Disk.write
    monkeypatch.setattr(
        Disk, "write", lambda self, batch: self._write_blocks(batch.blocks) or 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        async with store_at(tmp_path):
            pass
    monkeypatch.setattr(Disk, "write", kept)
    async with store_at(tmp_path) as store:
        assert await framed(store, KEY) == numbered(50)


async def test_a_damaged_journal_entry_costs_what_follows_and_nothing_before(tmp_path, caplog):
    async with store_at(tmp_path) as store:
        at = await store.open(KEY, started_at=NOMINAL)
        for n in range(3):
            at = await store.append(KEY, at, out(f"{n}\n"))
            await store.local.flush()
    disk = Disk(tmp_path)
    sequence, value = disk.journal()[1]
    with disk.index.write() as index:
        index.put("jrn", pack_number(sequence), value[:-1] + b"\xff")
    disk.close()
    async with store_at(tmp_path) as store:
        assert await text(store, KEY) == b"0\n"
        assert await store.open(KEY, started_at=NOMINAL) == len(out("0\n"))
    assert "cannot be read" in caplog.text
    assert "misses bytes" in caplog.text


async def test_a_damaged_output_is_written_anew_when_its_feeder_comes_back(tmp_path, caplog):
    data = numbered(9000)
    async with store_at(tmp_path) as store:
        await write(store, KEY, data, seal=False)
        await write(store, OTHER, data, seal=False)
    day = Store(tmp_path / day_of(pack(KEY)), ["blocks"])
    with day.write() as writing:
        key, value = next(writing.from_key("blocks", pack(KEY)))
        writing.put("blocks", key, value[:-9] + bytes([value[-9] ^ 1]) + value[-8:])
    day.close()
    async with store_at(tmp_path) as store:
        assert await store.open(KEY, started_at=NOMINAL) == 0
        assert "begins anew" in caplog.text
        await store.append(KEY, 0, data + end())
        info = await store.close(KEY)
        assert info.lines == 9000
        assert await framed(store, KEY) == data + end()
        assert await store.open(OTHER, started_at=NOMINAL) == len(data)


async def test_an_output_opened_while_its_deletion_waits_begins_anew(tmp_path):
    async with store_at(tmp_path) as store:
        await write(store, KEY, numbered(3), end())
        store.local._live.delete(pack(KEY))
        assert store.status(KEY) is None
        assert await store.open(KEY, started_at=NOMINAL) == 0
        await store.append(KEY, 0, out("new\n"))
        await store.local.flush()
        assert await text(store, KEY) == b"new\n"
    async with store_at(tmp_path) as store:
        assert await text(store, KEY) == b"new\n"


async def test_the_journal_counts_on_after_a_restart(tmp_path):
    async with store_at(tmp_path) as store:
        for n in range(5):
            await write(store, a_key(str(n)), out("x"), seal=False)
            await store.local.flush()
    async with store_at(tmp_path) as store:
        await write(store, KEY, out("after\n"), seal=False)
        await store.local.flush()
    async with store_at(tmp_path) as store:
        assert await text(store, KEY) == b"after\n"


def test_only_so_many_days_are_open_and_none_that_is_in_use_is_closed(tmp_path):
    days = Days(tmp_path, open_max=2)
    names = [f"blocks-2026050{n}" for n in range(1, 6)]
    for name in names:
        with days.created(name) as store, store.write() as writing:
            writing.put("blocks", b"k", name.encode())
    assert len(days._stores) == 2
    with days.created(names[0]) as first:
        for name in names[1:]:
            with days.existing(name) as store, store.read() as reading:
                assert reading.get("blocks", b"k") == name.encode()
        with first.read() as reading:
            assert reading.get("blocks", b"k") == names[0].encode()
    assert days.names() == names
    with days.existing("blocks-20991231") as missing:
        assert missing is None
    days.close()


def test_the_map_is_smaller_where_address_space_is_short(tmp_path):
    program = f"""
import resource
from pathlib import Path
from croncord.logs.store import Store
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
store = Store(Path({str(tmp_path)!r}) / "s", ["t"])
with store.write() as writing:
    writing.put("t", b"k", b"v")
with store.read() as reading:
    print(store.map_bytes, reading.get("t", b"k"))
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert result.stdout.split() == [b"%d" % (1 << 31), b"b'v'"]


def test_a_file_that_is_no_store_is_refused_with_advice(tmp_path):
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "data.mdb").write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreError) as refused:
        Disk(tmp_path)
    assert str(tmp_path) in refused.value.message
    assert refused.value.hint


def test_an_empty_batch_changes_nothing(tmp_path):
    disk = Disk(tmp_path)
    disk.write(Batch(sequence=0, oldest_needed=0))
    assert disk.journal() == []
    assert disk.unsealed() == []
    disk.close()
