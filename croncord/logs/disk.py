"""The output store on disk: an index environment and one block environment per day.

    index   jrn   sequence          -> what came in during one commit window
            run   output            -> its row once it is sealed; the whole output when it is small
            act   output            -> its row while it is not
            cfg   name              -> format version, next journal sequence
    blocks  of a day: output, offset -> about 128 KiB of frames, compressed

Blocks are committed before the index. A crash between leaves some bytes in blocks and in the
journal; the offset tells.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import groupby, islice
from pathlib import Path
from typing import Final

from croncord.errors import StoreError
from croncord.logs.block_table import after_block, block_below, blocks_from, put_block
from croncord.logs.blocks import (
    BlockHeader,
    DamagedError,
    compress,
    decode_block,
    decode_header,
    decompress,
    encode_block,
)
from croncord.logs.chunks import Block, Position
from croncord.logs.days import BLOCKS, Days, disk_bytes
from croncord.logs.journal import Record, encode_entry
from croncord.logs.keys import (
    LogRow,
    block_key,
    block_offset,
    day_of,
    pack_number,
    pack_row,
    unpack_number,
    unpack_row,
)
from croncord.logs.reserve import Reserve
from croncord.logs.store import Reading, Store

JOURNAL: Final = "jrn"
ROWS: Final = "run"
UNSEALED: Final = "act"
SETTINGS: Final = "cfg"
FORMAT: Final = b"1"
INLINE_BYTES_MAX: Final = 1024

_NOTHING = b""
_NEXT = b"next"
_FLOOR = b"floor"
_NO_KEY = b"\xff"
"""Comes after every key that is used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One commit."""

    sequence: int
    """Of the journal entry that `records` become."""
    oldest_needed: int
    """Journal entries below it have their bytes in blocks after this commit."""
    records: Sequence[Record] = ()
    blocks: Sequence[tuple[bytes, Block]] = ()
    rows: Sequence[tuple[bytes, LogRow]] = ()
    deleted: Sequence[bytes] = ()
    """Done before anything else."""
    forgotten: Sequence[bytes] = ()
    """Likewise, but their blocks stay: their whole day is about to be dropped."""
    cut: Sequence[tuple[bytes, int]] = ()
    """Likewise: blocks of an output from an offset on."""
    floor: bytes = b""
    """When given: nothing is held before this key, because there was no room."""


class Disk:
    """Reads from any thread; `write` from one at a time. Raises StoreError when the disk refuses."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.root = root
        self.days = Days(root)
        self.reserve = Reserve(root)
        self.reserve.take()
        self.index = Store(root / "index", [JOURNAL, ROWS, UNSEALED, SETTINGS])
        with self.index.read() as reading:
            found = reading.get(SETTINGS, b"format")
        if found is None:
            with self.index.write() as writing:
                writing.put(SETTINGS, b"format", FORMAT)
        elif found == FORMAT:
            self._move_unsealed()
        elif found != FORMAT:
            self.index.close()
            hint = "Start the version of CronCord that wrote it, or move it away."
            raise StoreError(
                f"{root} has format {found.decode()}, not {FORMAT.decode()}", hint=hint
            )

    def _move_unsealed(self) -> None:
        """Bring rows to their table that the first version kept among the sealed ones."""
        with self.index.read() as reading:
            left = [key for key, row in reading.from_key(UNSEALED, _NOTHING) if not row]
        if left:
            with self.index.write() as writing:
                for raw_key in left:
                    writing.put(UNSEALED, raw_key, writing.get(ROWS, raw_key) or _NOTHING)
                    writing.delete(ROWS, raw_key)

    def write(self, batch: Batch) -> None:
        """Commit; everything in the batch is durable when this returns. May be repeated."""
        try:
            self._write(batch)
        except DamagedError as error:
            if not error.is_file:
                raise
            self._write(batch)  # the damaged day was set aside; the rest goes into a new one

    def make_room(self, batch: Batch) -> None:
        """Commit deletions so that the next commit can use their room.

        LMDB reuses pages two commits after they were freed. On a full disk there would be no
        second one: it would have to come before the pages that it needs are free.
        """
        self.write(batch)
        for day in {day_of(raw_key) for raw_key in batch.deleted}:
            with self.days.existing(day) as store:
                if store is not None:
                    _commit_nothing(store, BLOCKS)
        _commit_nothing(self.index, SETTINGS)

    def _write(self, batch: Batch) -> None:
        self._delete_blocks([*((raw_key, 0) for raw_key in batch.deleted), *batch.cut])
        self._write_blocks(batch.blocks)
        entry = encode_entry(batch.records) if batch.records else None
        with self.index.write() as index:
            for raw_key in (*batch.deleted, *batch.forgotten):
                index.delete(ROWS, raw_key)
                index.delete(UNSEALED, raw_key)
            # In order, and each row where it stays: pages that are split in the middle, because
            # rows come out of order or grow, stay half empty.
            for raw_key, row in sorted(batch.rows, key=lambda item: item[0]):
                table, other = (ROWS, UNSEALED) if row.sealed else (UNSEALED, ROWS)
                index.put(table, raw_key, pack_row(row))
                index.delete(other, raw_key)
            if batch.floor:
                index.put(SETTINGS, _FLOOR, batch.floor)
            if entry is not None:
                index.put(JOURNAL, pack_number(batch.sequence), entry)
                index.put(SETTINGS, _NEXT, pack_number(batch.sequence + 1))
            limit = pack_number(batch.oldest_needed)
            for key in _keys_below(index, limit):
                index.delete(JOURNAL, key)

    def _write_blocks(self, blocks: Sequence[tuple[bytes, Block]]) -> None:
        in_order = sorted(blocks, key=lambda item: (item[0], item[1].offset))
        for day, of_day in groupby(in_order, key=lambda item: day_of(item[0])):
            encoded = [
                (block_key(raw_key, block.offset), encode_block(block.header, block.data))
                for raw_key, block in of_day
            ]
            with self.days.created(day) as store:
                try:
                    _put_blocks(store, encoded)
                except DamagedError:
                    raise
                except StoreError:
                    # Hardly any room: one by one some fit, and need no more when this is repeated.
                    for one in encoded:
                        _put_blocks(store, [one])

    def _delete_blocks(self, deleted: Sequence[tuple[bytes, int]]) -> None:
        by_day = sorted(deleted, key=lambda item: day_of(item[0]))
        for day, of_day in groupby(by_day, key=lambda item: day_of(item[0])):
            with self.days.existing(day) as store:
                if store is None:
                    continue
                with store.write() as writing:
                    for raw_key, offset in of_day:
                        first = block_key(raw_key, offset)
                        writing.delete_prefix(BLOCKS, raw_key, first=first)

    def next_sequence(self) -> int:
        """Return the sequence of the next journal entry; it never goes back."""
        with self.index.read() as reading:
            value = reading.get(SETTINGS, _NEXT)
        return 0 if value is None else unpack_number(value)

    def floor(self) -> bytes:
        """Return the key before which nothing is held because there was no room."""
        with self.index.read() as reading:
            return reading.get(SETTINGS, _FLOOR) or b""

    def journal(self) -> list[tuple[int, bytes]]:
        """Return the journal's entries with their sequence, oldest first."""
        with self.index.read() as reading:
            return [(unpack_number(key), value) for key, value in reading.from_key(JOURNAL, b"")]

    def row(self, raw_key: bytes) -> LogRow | None:
        """Return what the index holds of an output."""
        with self.index.read() as reading:
            value = row_value(reading, raw_key)
        return None if value is None else unpack_row(value)

    def packed_rows(self, raw_keys: Iterable[bytes]) -> list[bytes | None]:
        """Return the rows of many outputs as stored, from one look at the index."""
        with self.index.read() as reading:
            return [row_value(reading, raw_key) for raw_key in raw_keys]

    def unsealed(self) -> list[bytes]:
        """Keys of the outputs that were begun and not sealed."""
        with self.index.read() as reading:
            return [key for key, _ in reading.from_key(UNSEALED, _NOTHING)]

    def has_blocks(self, raw_key: bytes) -> bool:
        """Whether there are blocks of an output, sound or not."""
        with self.days.existing(day_of(raw_key)) as store:
            if store is None:
                return False
            with store.read() as reading:
                first = next(blocks_from(reading, raw_key), None)
        return first is not None and first[0].startswith(raw_key)

    def blocks_end(self, raw_key: bytes) -> Position:
        """Return where the blocks of an output end."""
        with self.days.existing(day_of(raw_key)) as store:
            if store is None:
                return Position()
            with store.read() as reading:
                last = block_below(reading, _after(raw_key))
        if last is None or not last[0].startswith(raw_key):
            return Position()
        header = decode_header(last[1])
        return _end_of(block_offset(last[0]), header)

    def read(self, raw_key: bytes, offset: int, limit: int) -> tuple[int, bytes]:
        """Return framed bytes in blocks from the block that holds `offset` on, and its offset.

        At least one block when there is one, then more up to `limit` bytes, as far as they follow
        each other and are sound. The transaction is over before anything is decompressed. Raises
        DamagedError when the first one is damaged.
        """
        values: list[bytes] = []
        start = offset
        with self.days.existing(day_of(raw_key)) as store:
            if store is None:
                return offset, b""
            with store.read() as reading:
                first = block_below(reading, block_key(raw_key, offset + 1))
                if first is None or not first[0].startswith(raw_key):
                    return offset, b""
                start = block_offset(first[0])
                size = 0
                for key, value in blocks_from(reading, first[0]):
                    if size and (size >= limit or key != block_key(raw_key, start + size)):
                        break
                    values.append(value)
                    try:
                        size += decode_header(value).size
                    except DamagedError:
                        break
        pieces: list[bytes] = []
        for value in values:
            try:
                pieces.append(decode_block(value))
            except DamagedError:
                if not pieces:
                    raise
                break  # who reads on from there is told
        return start, b"".join(pieces)

    def sound_from(self, raw_key: bytes, offset: int) -> int | None:
        """Return the offset of the first sound block that begins at `offset` or later."""
        key = block_key(raw_key, offset)
        with self.days.existing(day_of(raw_key)) as store:
            if store is None:
                return None
            while True:
                with store.read() as reading:
                    found = next(blocks_from(reading, key), None)
                if found is None or not found[0].startswith(raw_key):
                    return None
                try:
                    decode_block(found[1])
                except DamagedError:
                    key = after_block(found[0])
                else:
                    return block_offset(found[0])

    def first_damage(self, raw_key: bytes, size: int) -> int:
        """Return where an output stops being sound, at most `size`; it is read for that."""
        offset = 0
        while offset < size:
            try:
                start, data = self.read(raw_key, offset, 1)
            except DamagedError:
                break
            if start != offset or not data:
                break
            offset += len(data)
        return offset

    def count_sealed(self) -> int:
        """Return how many outputs are sealed."""
        with self.index.read() as reading:
            return reading.count(ROWS)

    def file_bytes(self) -> int:
        """Return what the index and all days take on disk."""
        return disk_bytes(self.root / "index") + sum(self.days.disk_bytes().values())

    def outputs(self, first: bytes = b"", limit: int = 1000) -> list[tuple[bytes, bytes]]:
        """Return keys and packed rows in order, from the first key not below `first`."""
        with self.index.read() as reading:
            return list(islice(row_values(reading, first), limit))

    def block_with_lines(self, raw_key: bytes, lines: int) -> int:
        """Return the offset of the last block from which at least `lines` lines follow, else 0."""
        with self.days.existing(day_of(raw_key)) as store:
            if store is None:
                return 0
            with store.read() as reading:
                key = _after(raw_key)
                counted = 0
                while counted < lines:
                    item = block_below(reading, key)
                    if item is None or not item[0].startswith(raw_key):
                        return 0
                    key = item[0]
                    counted += decode_header(item[1]).lines
        return block_offset(key) if lines > 0 else 0

    def free_dead_readers(self) -> None:
        """Give back what programs that were killed while reading still hold."""
        self.index.free_dead_readers()
        self.days.free_dead_readers()

    def close(self) -> None:
        """Close all environments. Nothing may be reading or writing."""
        self.days.close()
        self.index.close()


def row_value(reading: Reading, raw_key: bytes) -> bytes | None:
    """Return the packed row of an output, sealed or not."""
    return reading.get(ROWS, raw_key) or reading.get(UNSEALED, raw_key) or None


def row_values(reading: Reading, first: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and packed rows in order, sealed or not, from the first key not below `first`."""
    return merge(reading.from_key(ROWS, first), reading.from_key(UNSEALED, first))


def _commit_nothing(store: Store, table: str) -> None:
    for change in (True, False):
        with store.write() as writing:
            if change:
                writing.put(table, _NO_KEY, _NOTHING)
            else:
                writing.delete(table, _NO_KEY)


def _put_blocks(store: Store, encoded: Sequence[tuple[bytes, bytes]]) -> None:
    with store.write() as writing:
        for key, value in encoded:
            if len(encoded) > 1 or next(blocks_from(writing, key), None) != (key, value):
                put_block(writing, key, value)


def pack_inline(data: bytes) -> bytes:
    """Return a small output as its row holds it."""
    return compress(data) if data else b""


def unpack_inline(row: LogRow) -> bytes:
    """Return the small output in a row. Raises DamagedError when it is damaged."""
    return decompress(row.inline, row.size) if row.inline else b""


def _end_of(offset: int, header: BlockHeader) -> Position:
    return Position(
        offset + header.size,
        header.source_end,
        header.bytes_before + header.bytes,
        header.lines_before + header.lines,
    )


def _after(raw_key: bytes) -> bytes:
    return raw_key + b"\xff" * 9


def _keys_below(reading: Reading, limit: bytes) -> list[bytes]:
    keys: list[bytes] = []
    for key, _ in reading.from_key(JOURNAL, _NOTHING):
        if key >= limit:
            break
        keys.append(key)
    return keys
