"""The output store on disk: an index environment and one block environment per day.

    index   jrn   sequence          -> what came in during one commit window
            run   output            -> its row; the whole output when it is small
            act   output            -> empty: not sealed yet
            cfg   name              -> format version, next journal sequence
    blocks  of a day: output, offset -> about 128 KiB of frames, compressed

Blocks are committed before the index. A crash between leaves some bytes in blocks and in the
journal; the offset tells.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

from croncord.errors import StoreError
from croncord.logs.blocks import (
    BlockHeader,
    compress,
    decode_block,
    decode_header,
    decompress,
    encode_block,
)
from croncord.logs.chunks import Block, Position
from croncord.logs.days import BLOCKS, Days
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
from croncord.logs.store import Reading, Store

JOURNAL: Final = "jrn"
ROWS: Final = "run"
UNSEALED: Final = "act"
SETTINGS: Final = "cfg"
FORMAT: Final = b"1"
INLINE_BYTES_MAX: Final = 1024

_NOTHING = b""
_NEXT = b"next"


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


class Disk:
    """Reads from any thread; `write` from one at a time. Raises StoreError when the disk refuses."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.days = Days(root)
        self.index = Store(root / "index", [JOURNAL, ROWS, UNSEALED, SETTINGS])
        with self.index.read() as reading:
            found = reading.get(SETTINGS, b"format")
        if found is None:
            with self.index.write() as writing:
                writing.put(SETTINGS, b"format", FORMAT)
        elif found != FORMAT:
            self.index.close()
            hint = "Start the version of CronCord that wrote it, or move it away."
            raise StoreError(
                f"{root} has format {found.decode()}, not {FORMAT.decode()}", hint=hint
            )

    def write(self, batch: Batch) -> None:
        """Commit; everything in the batch is durable when this returns. May be repeated."""
        self._delete_blocks(batch.deleted)
        self._write_blocks(batch.blocks)
        entry = encode_entry(batch.records) if batch.records else None
        with self.index.write() as index:
            for raw_key in batch.deleted:
                index.delete(ROWS, raw_key)
                index.delete(UNSEALED, raw_key)
            for raw_key, row in batch.rows:
                index.put(ROWS, raw_key, pack_row(row))
                if row.sealed:
                    index.delete(UNSEALED, raw_key)
                else:
                    index.put(UNSEALED, raw_key, _NOTHING)
            if entry is not None:
                index.put(JOURNAL, pack_number(batch.sequence), entry)
                index.put(SETTINGS, _NEXT, pack_number(batch.sequence + 1))
            limit = pack_number(batch.oldest_needed)
            for key in _keys_below(index, limit):
                index.delete(JOURNAL, key)

    def _write_blocks(self, blocks: Sequence[tuple[bytes, Block]]) -> None:
        by_day = sorted(blocks, key=lambda item: day_of(item[0]))
        for day, of_day in groupby(by_day, key=lambda item: day_of(item[0])):
            encoded = [
                (block_key(raw_key, block.offset), encode_block(block.header, block.data))
                for raw_key, block in of_day
            ]
            with self.days.created(day) as store, store.write() as writing:
                for key, value in encoded:
                    writing.put(BLOCKS, key, value)

    def _delete_blocks(self, deleted: Sequence[bytes]) -> None:
        for day, of_day in groupby(sorted(deleted, key=day_of), key=day_of):
            with self.days.existing(day) as store:
                if store is None:
                    continue
                with store.write() as writing:
                    for raw_key in of_day:
                        writing.delete_prefix(BLOCKS, raw_key)

    def next_sequence(self) -> int:
        """Return the sequence of the next journal entry; it never goes back."""
        with self.index.read() as reading:
            value = reading.get(SETTINGS, _NEXT)
        return 0 if value is None else unpack_number(value)

    def journal(self) -> list[tuple[int, bytes]]:
        """Return the journal's entries with their sequence, oldest first."""
        with self.index.read() as reading:
            return [(unpack_number(key), value) for key, value in reading.from_key(JOURNAL, b"")]

    def row(self, raw_key: bytes) -> LogRow | None:
        """Return what the index holds of an output."""
        with self.index.read() as reading:
            value = reading.get(ROWS, raw_key)
        return None if value is None else unpack_row(value)

    def unsealed(self) -> list[bytes]:
        """Keys of the outputs that were begun and not sealed."""
        with self.index.read() as reading:
            return [key for key, _ in reading.from_key(UNSEALED, _NOTHING)]

    def blocks_end(self, raw_key: bytes) -> Position:
        """Return where the blocks of an output end."""
        with self.days.existing(day_of(raw_key)) as store:
            if store is None:
                return Position()
            with store.read() as reading:
                last = reading.below(BLOCKS, _after(raw_key))
        if last is None or not last[0].startswith(raw_key):
            return Position()
        header = decode_header(last[1])
        return _end_of(block_offset(last[0]), header)

    def read(self, raw_key: bytes, offset: int, limit: int) -> tuple[int, bytes]:
        """Return framed bytes in blocks from the block that holds `offset` on, and its offset.

        At least one block when there is one, then more up to `limit` bytes. The transaction is
        over before anything is decompressed.
        """
        values: list[bytes] = []
        start = offset
        with self.days.existing(day_of(raw_key)) as store:
            if store is None:
                return offset, b""
            with store.read() as reading:
                first = reading.below(BLOCKS, block_key(raw_key, offset + 1))
                if first is None or not first[0].startswith(raw_key):
                    return offset, b""
                start = block_offset(first[0])
                size = 0
                for key, value in reading.from_key(BLOCKS, first[0]):
                    if size >= limit or not key.startswith(raw_key):
                        break
                    values.append(value)
                    size += decode_header(value).size
        return start, b"".join([decode_block(value) for value in values])

    def block_with_lines(self, raw_key: bytes, lines: int) -> int:
        """Return the offset of the last block from which at least `lines` lines follow, else 0."""
        with self.days.existing(day_of(raw_key)) as store:
            if store is None:
                return 0
            with store.read() as reading:
                key = _after(raw_key)
                counted = 0
                while counted < lines:
                    item = reading.below(BLOCKS, key)
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
