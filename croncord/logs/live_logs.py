"""All outputs that are being written here, and what of them goes into the next commit.

Used on the event loop's thread only.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from croncord.logs.blocks import BLOCK_BYTES
from croncord.logs.chunks import Block, Chunk, Position, cut_blocks, join
from croncord.logs.disk import INLINE_BYTES_MAX, Batch, pack_inline
from croncord.logs.journal import Record
from croncord.logs.keys import LogRow
from croncord.logs.live import LiveLog

TAIL_AGE_SECONDS: Final = 10.0
"""A tail older than this becomes a block, so that the journal stays short."""


class _Cut(NamedTuple):
    """What becomes of an output once the batch in flight is on disk."""

    log: LiveLog
    blocks_end: Position
    is_last: bool
    output_bytes: int


class LiveLogs:
    """Turns what came in into batches, one in flight at a time."""

    def __init__(self, sequence: int, now: Callable[[], float]) -> None:
        """Take the next journal sequence and a clock in seconds that only grows."""
        self._logs: dict[bytes, LiveLog] = {}
        self._rows: dict[bytes, LogRow] = {}
        self._deleted: list[bytes] = []
        self._deleting: list[bytes] = []
        self._forgotten: list[bytes] = []
        self._cuts: list[tuple[bytes, int]] = []
        self._floor = b""
        self._in_flight: list[_Cut] = []
        self._in_flight_bytes = 0
        self._sequence = sequence
        self._now = now
        self.unwritten_bytes = 0
        """Bytes in memory that are not on disk in any form."""
        self.dropped_bytes = 0
        """Output that was dropped for want of room."""

    def get(self, raw_key: bytes) -> LiveLog | None:
        """Return a live output."""
        return self._logs.get(raw_key)

    def own(self) -> list[bytes]:
        """Return the keys of those that processes of this node write."""
        return [raw_key for raw_key, log in self._logs.items() if log.is_own]

    def new_row(self, started_ms: int) -> LogRow:
        """Return the row of an output that begins now, and note it with the next commit."""
        return LogRow(started_ms=started_ms, journal_from=self._sequence)

    def add(self, log: LiveLog, *, is_new: bool) -> None:
        """Begin one; `is_new` when the index has no row of it."""
        self._logs[log.raw_key] = log
        if is_new:
            self._rows[log.raw_key] = log.row

    def add_whole(self, log: LiveLog) -> None:
        """Begin one of which all is there, and seal it with the next commit."""
        self.add(log, is_new=True)
        log.finish()
        self.unwritten_bytes += log.end

    def feed(self, log: LiveLog, source: int, data: bytes, *, drop: str = "") -> None:
        """Add bytes to one; see `LiveLog.feed`."""
        before = log.dropped_bytes
        self.unwritten_bytes += log.feed(source, data, drop=drop)
        self.dropped_bytes += log.dropped_bytes - before
        if log.tail and log.tail_since is None:
            log.tail_since = self._now()

    def finish(self, log: LiveLog) -> None:
        """Nothing more will come for it: seal it with the next commit."""
        before = log.end
        log.finish()
        self.unwritten_bytes += log.end - before

    def delete(self, raw_key: bytes, *, with_day: bool = False) -> None:
        """Forget one with the next commit; `with_day` when its whole day is dropped after that."""
        self._rows.pop(raw_key, None)
        (self._forgotten if with_day else self._deleted).append(raw_key)
        log = self._logs.pop(raw_key, None)
        if log is not None:
            self.unwritten_bytes -= log.end - log.handed_over
            log.announce()

    def cut_back(self, raw_key: bytes, row: LogRow, offset: int) -> None:
        """Keep of a sealed one only what stands before `offset`, with the next commit."""
        self._cuts.append((raw_key, offset))
        self._rows[raw_key] = LogRow(started_ms=row.started_ms, journal_from=self._sequence)

    def fence(self, log: LiveLog) -> None:
        """Take nothing more from its writer, and write that down with the next commit."""
        log.is_fenced = True
        log.row = msgspec.structs.replace(log.row, fenced=True)
        self._rows[log.raw_key] = log.row

    def note_floor(self, first: bytes) -> None:
        """Write down, with the next commit, before which key nothing is held."""
        self._floor = first

    def relief(self) -> Batch | None:
        """Return the deletions that wait: they go in while the disk takes nothing else.

        They are done once more with the next commit, since the one that was refused may hold
        bytes of the same outputs.
        """
        if not (self._deleted or self._forgotten or self._deleting):
            return None
        return Batch(
            sequence=self._sequence,
            oldest_needed=0,
            deleted=(*self._deleting, *self._deleted),
            forgotten=tuple(self._forgotten),
        )

    def is_deleted(self, raw_key: bytes) -> bool:
        """Whether what the disk says about it no longer counts."""
        return any(raw_key in keys for keys in (self._deleted, self._forgotten, self._deleting))

    def announce(self) -> None:
        """Wake everybody who waits for a change."""
        for log in self._logs.values():
            log.announce()

    def collect(self) -> Batch | None:
        """Return the next commit, None when nothing waits."""
        rows, self._rows = self._rows, {}
        deleted, self._deleted = self._deleted, []
        forgotten, self._forgotten = self._forgotten, []
        cuts, self._cuts = self._cuts, []
        floor, self._floor = self._floor, b""
        self._deleting = [*deleted, *forgotten]
        records: list[Record] = []
        blocks: list[tuple[bytes, Block]] = []
        for log in self._logs.values():
            if not (log.is_ending or log.end > log.handed_over or self._is_old(log)):
                continue  # nothing has come, as in most of many that run at once
            self._in_flight_bytes += log.end - log.handed_over
            new = log.hand_over()
            cut, rest, end = self._cut(log)
            if log.finished:
                rows[log.raw_key] = _sealed_row(log)
            blocks += [(log.raw_key, block) for block in cut]
            to_note = rest if cut else new
            if to_note and not log.finished:
                one = join(to_note)
                records.append(Record(log.raw_key, one.offset, one.source_end, one.data))
            self._needs_entry(log, is_noted=bool(to_note), has_blocks=bool(cut))
            if new or cut or log.is_ending:
                self._in_flight.append(_Cut(log, end, log.is_ending, log.tally.bytes))
        if not (records or blocks or rows or self._deleting or self._in_flight or cuts or floor):
            return None
        needed = [log.first_entry for log in self._logs.values() if log.first_entry is not None]
        batch = Batch(
            sequence=self._sequence,
            oldest_needed=min(needed, default=self._sequence + 1),
            records=records,
            blocks=blocks,
            rows=list(rows.items()),
            deleted=deleted,
            forgotten=forgotten,
            cut=cuts,
            floor=floor,
        )
        self._sequence += bool(records)
        return batch

    def _cut(self, log: LiveLog) -> tuple[list[Block], list[Chunk], Position]:
        """Return the blocks to write now, the chunks after them, and where the blocks end."""
        is_old = self._is_old(log)
        is_long = log.end - log.blocks_end.offset >= BLOCK_BYTES
        if _fits_row(log) or not (log.is_ending or is_old or is_long):
            return [], log.tail, log.blocks_end
        everything = log.is_ending or is_old
        cut, end = cut_blocks(log.tail, log.blocks_end, everything=everything)
        return cut, [chunk for chunk in log.tail if chunk.offset >= end.offset], end

    def _is_old(self, log: LiveLog) -> bool:
        since = log.tail_since
        return since is not None and self._now() - since >= TAIL_AGE_SECONDS

    def _needs_entry(self, log: LiveLog, *, is_noted: bool, has_blocks: bool) -> None:
        if log.finished or (has_blocks and not is_noted):
            log.first_entry = log.tail_since = None
        elif has_blocks:
            log.first_entry, log.tail_since = self._sequence, self._now()
        elif is_noted and log.first_entry is None:
            log.first_entry = self._sequence

    def settle(self) -> None:
        """Let go of what need not stay in memory, now that the batch in flight is on disk."""
        self.unwritten_bytes -= self._in_flight_bytes
        self._in_flight_bytes = 0
        for log, end, is_last, output_bytes in self._in_flight:
            log.forget_before(end)
            log.durable_bytes = output_bytes
            if is_last and log.is_ending and log.end == log.handed_over:
                if self._logs.get(log.raw_key) is log:
                    del self._logs[log.raw_key]
                log.announce()
        self._in_flight.clear()
        self._deleting = []


def _fits_row(log: LiveLog) -> bool:
    return log.finished and log.blocks_end.offset == 0 and log.end <= INLINE_BYTES_MAX


def _sealed_row(log: LiveLog) -> LogRow:
    inline = b"".join([chunk.data for chunk in log.tail]) if _fits_row(log) else b""
    return msgspec.structs.replace(
        log.row,
        sealed=True,
        size=log.end,
        source_end=log.source_end,
        info=log.tally.final(),
        inline=pack_inline(inline),
    )
