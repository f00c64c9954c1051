"""The launch ledger on this node's disk: the port `Ledger`.

    run       run id                 -> the row
    job_id, state, reason, node, trigger:
              value, zero, run id    -> empty
    job_state job, zero, state, zero, run id -> empty; a lone zero: it is complete

A page walks the indexes of all filters at once, from the newest down: whichever stands highest is
moved to the others' position, so the cost is that of the rarest value (a leapfrog join, Veldhuizen
2014). Rows that wait for the writer are seen by every read. While the disk refuses, so many rows wait
in memory and no more; what was let go of is fetched from another node later.
"""

import asyncio
import heapq
import logging
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import cycle, islice
from pathlib import Path
from typing import Final

import msgspec

from croncord.logs.blocks import DamagedError
from croncord.logs.ledger_rows import (
    INDEXED,
    PAIR,
    bounds,
    day_ids,
    day_of_id,
    index_keys,
    matches,
    pack_run,
    pair_key,
    stored_bytes,
    unpack_run,
    wanted_prefixes,
)
from croncord.logs.start_check import set_aside_if_cut_short
from croncord.logs.store import Reading, Store, Writing
from croncord.logs.writer import GroupWriter
from croncord.model import Run
from croncord.ports import RunFilter

ROWS: Final = "run"
STEPS_MAX: Final = 50_000
"""A page gives up after so many index steps, about a tenth of a second, with what it has."""

PAGE_ROWS: Final = 300
"""What another node gets at a time."""
WAITING_MAX: Final = 20_000
"""Rows in memory for a disk that refuses them: some 20 MB."""

INDEXED_AT_ONCE: Final = 5000

_NOTHING = b""
_COMPLETE = b"\0"
_log = logging.getLogger(__name__)
Changes = Mapping[str, Run | None]
"""Rows to write by id, None to delete."""


class RunLedger:
    """Implements `croncord.ports.Ledger`. Called on the event loop's thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[str, Run | None] = {}
        self._in_flight: Changes = {}
        self._writer = GroupWriter(
            "ledger-write",
            collect=self._collect,
            commit=self._commit,
            settle=self._settle,
            relieve=self._relief,
        )
        self.lacks_rows = asyncio.Event()
        """Set when rows are known to be missing here: another node has them."""
        self.added: Counter[str] = Counter()
        """Rows by job since somebody emptied it."""
        self.added_bytes: Counter[str] = Counter()
        """Bytes of output of these rows."""
        self._day_counts: dict[str, tuple[int, int]] = {}
        """What `days` found, of days that have not changed since."""
        self._day_changes: Counter[str] = Counter()

    @classmethod
    async def start(cls, path: Path) -> "RunLedger":
        """Open the directory; a file that is broken is set aside first. Raises StoreError."""

        def prepare() -> Store:
            set_aside_if_cut_short(path)
            store = Store(path, [ROWS, *INDEXED, PAIR])
            _complete_pairs(store)
            return store

        return cls(await asyncio.to_thread(prepare))

    async def stop(self) -> None:
        """Write what waits and let go of the disk."""
        await self._writer.close()
        self._store.close()

    async def flush(self) -> None:
        """Return when everything put so far is on disk. Raises StoreError when it never will be."""
        await self._writer.flush()

    def put(self, rows: Sequence[Run]) -> None:
        """Write rows; a row of the same id is replaced. Durable within the commit window."""
        for run in rows:
            self._waiting[run.id] = run
            self.added[run.job_id] += 1
            self.added_bytes[run.job_id] += stored_bytes(run)
        self._changed(run.id for run in rows)
        self._writer.kick()
        if len(self._waiting) > WAITING_MAX and self._writer.failure is not None:
            excess = list(islice(self._waiting, len(self._waiting) - WAITING_MAX))
            for run_id in excess:
                del self._waiting[run_id]
            _log.error("%d rows of the ledger are let go of: the disk refuses them", len(excess))
            self.lacks_rows.set()

    async def delete(self, run_ids: Sequence[str]) -> None:
        """Forget rows; returns when that is on disk, which works on a full disk too."""
        self._waiting |= dict.fromkeys(run_ids)
        self._changed(run_ids)
        await self._writer.flush_relief()

    def get(self, run_id: str) -> Run | None:
        """Return a row."""
        for changes in (self._waiting, self._in_flight):
            if run_id in changes:
                return changes[run_id]
        if not run_id:
            return None
        with self._store.read() as reading:
            value = reading.get(ROWS, run_id.encode())
        return None if value is None else self._sound(value)

    def _sound(self, value: bytes) -> Run | None:
        """Return a stored row; a damaged one counts as missing and is fetched from elsewhere."""
        try:
            return unpack_run(value)
        except DamagedError as error:
            _log.error("%s", error)
            self.lacks_rows.set()
            return None

    def page(self, where: RunFilter, *, limit: int, before: str = "") -> list[Run]:
        """Return at most `limit` rows, newest nominal time first, with ids below `before`.

        `since` is inclusive, `until` exclusive. Gives up after `STEPS_MAX` steps, which takes two
        filters that each match very many rows but never the same one.
        """
        low, high = bounds(where, before)
        recent = {**self._in_flight, **self._waiting}
        found = [
            run
            for run in recent.values()
            if run is not None and run.id.encode() < high and matches(run, where)
        ]
        with self._store.read() as reading:
            stored = 0
            for run_id in _in_reach(reading, where, low, high):
                if stored >= limit:
                    break
                value = reading.get(ROWS, run_id)
                if value is None or run_id.decode() in recent:
                    continue
                run = self._sound(value)
                if run is not None:
                    found.append(run)
                    stored += 1
        found.sort(key=lambda run: run.id, reverse=True)
        return found[:limit]

    async def days(self) -> dict[str, tuple[int, int]]:
        """Return the number of rows of each UTC day and their checksum; see `day_ids`."""
        found: dict[str, tuple[int, int]] = {}
        while (day := self._next_day(max(found, default=""))) is not None:
            known, changes = self._day_counts.get(day), self._day_changes[day]
            if known is None:
                known = await asyncio.to_thread(self._count, day)
                if changes == self._day_changes[day]:
                    self._day_counts[day] = known
            found[day] = known
        return found

    def _next_day(self, after: str) -> str | None:
        with self._store.read() as reading:
            start = day_ids(after)[1].encode() if after else b""
            first = next(reading.from_key(ROWS, start), None)
            return None if first is None else day_of_id(first[0].decode())

    def _count(self, day: str) -> tuple[int, int]:
        first, last = (each.encode() for each in day_ids(day))
        count = check = 0
        with self._store.read() as reading:
            for key, value in reading.from_key(ROWS, first):
                if key >= last:
                    break
                count += 1
                check ^= zlib.crc32(value)
        return count, check

    def _changed(self, run_ids: Iterable[str]) -> None:
        """Forget what was counted of the days of these rows."""
        for day in {day_of_id(run_id) for run_id in run_ids}:
            self._day_counts.pop(day, None)
            self._day_changes[day] += 1

    async def rows_from(self, first: str, last: str) -> list[Run]:
        """Return rows on disk from the id `first` to below `last`, oldest first: some hundred."""
        rows = await asyncio.to_thread(self.rows, first.encode(), last.encode(), PAGE_ROWS)
        return [run for _, value in rows if (run := self._sound(value)) is not None]

    def rows(self, first: bytes, last: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Return keys and packed rows on disk, oldest first, from `first` to below `last`."""
        with self._store.read() as reading:
            found = islice(reading.from_key(ROWS, first), limit)
            return [(key, value) for key, value in found if key < last]

    def job_ids(self) -> list[str]:
        """Return the jobs that have rows on disk."""
        found: list[str] = []
        key = b""
        with self._store.read() as reading:
            while True:
                item = next(reading.from_key("job_id", key), None)
                if item is None:
                    return found
                prefix = item[0].partition(b"\0")[0]
                found.append(prefix.decode())
                key = prefix + b"\1"

    def _collect(self) -> Changes | None:
        if not self._waiting:
            return None
        self._in_flight, self._waiting = self._waiting, {}
        return self._in_flight

    def _commit(self, batch: Changes) -> None:
        with self._store.write() as writing:
            for run_id, run in batch.items():
                _replace(writing, run_id, run)

    def _settle(self, batch: Changes) -> None:
        self._in_flight = {}
        self._changed(batch)

    def _relief(self) -> Callable[[], None] | None:
        changes = {**self._in_flight, **self._waiting}
        deleted = {run_id: None for run_id, run in changes.items() if run is None}
        return (lambda: self._commit(deleted)) if deleted else None


def _complete_pairs(store: Store) -> None:
    """Make the index of job and state for rows of a version that had none."""
    with store.read() as reading:
        if reading.get(PAIR, _COMPLETE) is not None:
            return
    first = b""
    while True:
        with store.read() as reading:
            rows = list(islice(reading.from_key(ROWS, first), INDEXED_AT_ONCE))
        with store.write() as writing:
            for _key, value in rows:
                with suppress(DamagedError):  # it is fetched from elsewhere, and indexed then
                    writing.put(*pair_key(unpack_run(value)), _NOTHING)
            if not rows:
                writing.put(PAIR, _COMPLETE, _NOTHING)
                return
        first = rows[-1][0] + b"\0"


def _replace(writing: Writing, run_id: str, run: Run | None) -> None:
    key = run_id.encode()
    value = writing.get(ROWS, key)
    old = _index_keys(value) if value is not None else set()
    new = set(index_keys(run)) if run is not None else set()
    for field, entry in old - new:
        writing.delete(field, entry)
    for field, entry in new - old:
        writing.put(field, entry, _NOTHING)
    if run is not None:
        writing.put(ROWS, key, pack_run(run))
    else:
        writing.delete(ROWS, key)


def _index_keys(value: bytes) -> set[tuple[str, bytes]]:
    try:
        return set(index_keys(unpack_run(value)))
    except DamagedError:
        return set()  # its entries stay behind; a page passes over what has no row


def _in_reach(reading: Reading, where: RunFilter, low: bytes, high: bytes) -> Iterator[bytes]:
    """Yield matching run ids from the newest down, of the jobs asked for."""
    if where.job_ids is None or where.job_id:
        asked_for = where.job_ids is None or where.job_id in where.job_ids
        return _matching(reading, where, low, high) if asked_for else iter(())
    one_each = (msgspec.structs.replace(where, job_id=job_id) for job_id in where.job_ids)
    return heapq.merge(*(_matching(reading, one, low, high) for one in one_each), reverse=True)


def _matching(reading: Reading, where: RunFilter, low: bytes, high: bytes) -> Iterator[bytes]:
    """Yield run ids from below `high` down to `low` that are in all wanted indexes."""
    lists = wanted_prefixes(where) or [(ROWS, b"")]
    limit = high
    agreed = 0
    for table, prefix in islice(cycle(lists), STEPS_MAX):
        item = reading.below(table, prefix + limit)
        if item is None or not item[0].startswith(prefix):
            return
        found = item[0][len(prefix) :]
        if found < low:
            return
        agreed = agreed + 1 if limit == found + b"\0" else 1
        limit = found + b"\0"
        if agreed == len(lists):
            yield found
            limit, agreed = found, 0
