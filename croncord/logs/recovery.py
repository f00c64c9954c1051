"""After a crash: what the journal holds becomes blocks, and the journal begins anew."""

import logging
from collections.abc import Iterator

from croncord.errors import StoreError
from croncord.frames import decode_frames
from croncord.logs.blocks import DamagedError
from croncord.logs.chunks import Block, Chunk, Position, cut_blocks, from_frame
from croncord.logs.disk import Batch, Disk
from croncord.logs.journal import Record, decode_entry
from croncord.logs.keys import LogRow, unpack
from croncord.logs.tally import output_bytes

_log = logging.getLogger(__name__)


def recover(disk: Disk) -> None:
    """Move the journal into blocks and empty it.

    Bytes that a block holds already are skipped, so a crash during this is harmless.
    Raises StoreError when the disk refuses. A damaged entry is logged and costs the outputs in it
    what follows; what stands before is kept.
    """
    tails: dict[bytes, list[Chunk]] = {}
    starts: dict[bytes, Position] = {}
    rows: dict[bytes, LogRow | None] = {}
    for sequence, record in _records(disk):
        raw_key = record.raw_key
        if raw_key not in rows:
            rows[raw_key], starts[raw_key] = _found(disk, raw_key)
        row = rows[raw_key]
        if row is None or row.sealed or sequence < row.journal_from:
            continue
        chunks = tails.setdefault(raw_key, [])
        end = chunks[-1].end if chunks else starts[raw_key].offset
        if record.offset > end:
            _log.error("the journal misses bytes %d-%d of %s", end, record.offset, unpack(raw_key))
        elif record.offset + len(record.data) > end:
            chunks.append(_chunk(record, end))
    blocks: list[tuple[bytes, Block]] = []
    for raw_key, chunks in tails.items():
        cut, _ = cut_blocks(chunks, starts[raw_key], everything=True)
        blocks += [(raw_key, block) for block in cut]
    if rows:
        _log.info("recovered the last bytes of %d outputs", len(tails))
    following = disk.next_sequence()
    disk.write(Batch(sequence=following, oldest_needed=following, blocks=blocks))


def try_to_recover(disk: Disk) -> bool:
    """Recover, and say whether that was possible: a full disk may leave it for later."""
    try:
        recover(disk)
    except DamagedError:
        raise
    except StoreError as error:
        _log.error("the last output before this start cannot be recovered yet: %s", error)
        return False
    return True


def _found(disk: Disk, raw_key: bytes) -> tuple[LogRow | None, Position]:
    try:
        return disk.row(raw_key), disk.blocks_end(raw_key)
    except DamagedError:
        _log.exception("what is stored of %s is damaged", unpack(raw_key))
        return None, Position()


def _records(disk: Disk) -> Iterator[tuple[int, Record]]:
    for sequence, value in disk.journal():
        try:
            records = decode_entry(value)
        except DamagedError:
            _log.exception("journal entry %d cannot be read", sequence)
            continue
        for record in records:
            yield sequence, record


def _chunk(record: Record, end: int) -> Chunk:
    skip = end - record.offset
    data = from_frame(record.data, skip) if skip else record.data
    frames, _ = decode_frames(data)
    output = output_bytes(frames)
    return Chunk(end, data, record.source_end, len(output), output.count(b"\n"))
