"""The audit trail on this node's disk: the port `AuditTrail`.

    entry     time in milliseconds (8 bytes), index (8 bytes) -> the entry

Keys sort by the time that the commands carry, so a page reads a range from its end. People change
things by the thousand a day, not by the million: filters are looked at entry by entry, for so many
steps, and the cursor goes on from there. Entries that wait for the writer are seen by every read. They
are a function of the commands, so writing one again changes nothing, and other nodes have the same.
"""

import asyncio
import logging
import zlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from croncord.audit import AuditEntry, AuditFilter
from croncord.clock import Clock
from croncord.errors import FieldError, Invalid
from croncord.logs.blocks import DamagedError
from croncord.logs.keys import pack_number, unpack_number, with_check, without_check
from croncord.logs.start_check import set_aside_if_cut_short
from croncord.logs.store import Store
from croncord.logs.writer import GroupWriter
from croncord.model import milliseconds

KEPT_DAYS: Final = 400
"""Entries older than that are deleted: a year and what an auditor is late."""
STEPS_MAX: Final = 20_000
"""A page gives up after so many entries, about a tenth of a second, with what it has."""
PAGE_ENTRIES: Final = 500
"""What another node gets at a time."""
WAITING_MAX: Final = 20_000
"""Entries in memory for a disk that refuses them."""
_SWEEP_SECONDS: Final = 6 * 3600.0
_SWEPT_AT_ONCE: Final = 1000

_TABLE = "entry"
_KEY_BYTES = 16
_AFTER_ALL = b"\xff" * (_KEY_BYTES + 1)
_MILLISECOND = timedelta(milliseconds=1)
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(AuditEntry)
_log = logging.getLogger(__name__)
Batch = dict[bytes, AuditEntry]


class AuditLog:
    """Implements `croncord.ports.AuditTrail` and `AuditPages`. Called on the event loop's thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: Batch = {}
        self._in_flight: Batch = {}
        self._writer = GroupWriter(
            "audit-write", collect=self._collect, commit=self._commit, settle=self._settle
        )
        self.lacks_entries = asyncio.Event()
        """Set when entries are known to be missing here: another node has them."""

    @classmethod
    async def start(cls, path: Path) -> "AuditLog":
        """Open the directory; a file that is broken is set aside first. Raises StoreError."""

        def prepare() -> Store:
            set_aside_if_cut_short(path)
            return Store(path, [_TABLE])

        return cls(await asyncio.to_thread(prepare))

    async def stop(self) -> None:
        """Write what waits and let go of the disk."""
        await self._writer.close()
        self._store.close()

    async def flush(self) -> None:
        """Return when everything put so far is on disk. Raises StoreError when it never will be."""
        await self._writer.flush()

    def put(self, entries: Sequence[AuditEntry]) -> None:
        """Write entries. Durable within the commit window."""
        if not entries:
            return
        self._waiting |= {_key(entry): entry for entry in entries}
        self._writer.kick()
        if len(self._waiting) > WAITING_MAX and self._writer.failure is not None:
            for key in list(islice(self._waiting, len(self._waiting) - WAITING_MAX)):
                del self._waiting[key]
            _log.error("entries of the audit trail are let go of: the disk refuses them")

    def page(
        self, where: AuditFilter, *, limit: int, before: str = ""
    ) -> tuple[list[AuditEntry], str]:
        """Return at most `limit` entries, newest first, and the cursor; see `AuditTrail`."""
        low = _bound(where.since) if where.since is not None else b""
        high = _bound(where.until) if where.until is not None else _AFTER_ALL
        if before:
            high = min(high, _key_of(before))
        found: list[AuditEntry] = []
        last = b""
        for steps, (key, entry) in enumerate(self._downwards(low, high), 1):
            last = key
            if entry is not None and where.matches(entry):
                found.append(entry)
            if len(found) == limit or steps == STEPS_MAX:
                return found, last.hex()
        return found, ""

    def _downwards(self, low: bytes, high: bytes) -> Iterator[tuple[bytes, AuditEntry | None]]:
        """Yield keys and entries from below `high` down to `low`; None for a damaged entry."""
        recent = {**self._in_flight, **self._waiting}
        fresh = sorted((key for key in recent if low <= key < high), reverse=True)
        with self._store.read() as reading:
            limit = high
            while True:
                item = reading.below(_TABLE, limit)
                stored = item[0] if item is not None and item[0] >= low else b""
                while fresh and fresh[0] > stored:
                    key = fresh.pop(0)
                    yield key, recent[key]
                if item is None or not stored:
                    return
                if fresh and fresh[0] == stored:
                    fresh.pop(0)
                yield stored, _unpack(item[1])
                limit = stored

    # For other nodes

    async def days(self) -> dict[str, tuple[int, int]]:
        """Return the number of entries on disk of each UTC day, and their checksum."""
        found: dict[str, tuple[int, int]] = {}
        while True:
            day = await asyncio.to_thread(self._next_day, max(found, default=""))
            if day is None:
                return found
            found[day[0]] = day[1:]

    def _next_day(self, after: str) -> tuple[str, int, int] | None:
        start = _day_start(after, days_later=1) if after else b""
        with self._store.read() as reading:
            first = next(reading.from_key(_TABLE, start), None)
            if first is None:
                return None
            day = _day_of(first[0])
            end = _day_start(day, days_later=1)
            count = check = 0
            for key, value in reading.from_key(_TABLE, first[0]):
                if key >= end:
                    break
                count += 1
                check ^= zlib.crc32(value)
        return day, count, check

    async def entries_of(self, day: str, after: str) -> tuple[list[AuditEntry], str]:
        """Return some hundred entries on disk of a day, oldest first, and the cursor."""
        first = _key_of(after) + b"\0" if after else _day_start(day)
        end = _day_start(day, days_later=1)
        items = await asyncio.to_thread(self._items, first, end)
        entries = [entry for _, value in items if (entry := _unpack(value)) is not None]
        return entries, items[-1][0].hex() if len(items) == PAGE_ENTRIES else ""

    def _items(self, first: bytes, end: bytes) -> list[tuple[bytes, bytes]]:
        with self._store.read() as reading:
            found = islice(reading.from_key(_TABLE, first), PAGE_ENTRIES)
            return [(key, value) for key, value in found if key < end]

    # Retention

    async def sweep(self, clock: Clock) -> None:
        """Delete what is too old, now and every six hours, for ever; cancel to stop."""
        while True:
            end = _bound(clock.now() - timedelta(days=KEPT_DAYS))
            while await asyncio.to_thread(self._delete_before, end):
                pass
            await clock.sleep(_SWEEP_SECONDS)

    def _delete_before(self, end: bytes) -> bool:
        """Delete some entries below the key; returns whether there may be more."""
        with self._store.write() as writing:
            items = islice(writing.from_key(_TABLE, b""), _SWEPT_AT_ONCE)
            old = [key for key, _ in items if key < end]
            for key in old:
                writing.delete(_TABLE, key)
        return len(old) == _SWEPT_AT_ONCE

    # Writing

    def _collect(self) -> Batch | None:
        if not self._waiting:
            return None
        self._in_flight, self._waiting = self._waiting, {}
        return self._in_flight

    def _commit(self, batch: Batch) -> None:
        with self._store.write() as writing:
            for key, entry in batch.items():
                stored = writing.get(_TABLE, key)
                if stored is None or _unpack(stored) is None:
                    writing.put(_TABLE, key, with_check(_encoder.encode(entry)))

    def _settle(self, _batch: Batch) -> None:
        self._in_flight = {}


def _unpack(value: bytes) -> AuditEntry | None:
    try:
        return _decoder.decode(without_check(value))
    except (DamagedError, msgspec.DecodeError, ValueError) as error:
        # Another node has it: the page goes on without.
        _log.error("an entry of the audit trail is damaged: %s", error)
        return None


def _key(entry: AuditEntry) -> bytes:
    return pack_number(max(0, milliseconds(entry.at))) + pack_number(max(0, entry.index))


def _bound(instant: datetime) -> bytes:
    """Return a key above all entries of earlier times and not above any other."""
    return pack_number(max(0, milliseconds(instant) + bool(instant.microsecond % 1000)))


def _key_of(cursor: str) -> bytes:
    try:
        key = bytes.fromhex(cursor)
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise Invalid([FieldError("cursor", "is not one that this list gave")])
    return key


def _day_of(key: bytes) -> str:
    at = datetime.fromtimestamp(0, UTC) + unpack_number(key[:8]) * _MILLISECOND
    return f"{at:%Y%m%d}"


def _day_start(day: str, *, days_later: int = 0) -> bytes:
    try:
        start = datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        raise Invalid([FieldError("day", "is not YYYYMMDD")]) from None
    return _bound(start + timedelta(days=days_later))
