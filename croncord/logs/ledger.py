"""The launch ledger on this node's disk: the port `Ledger`.

    run       run id                 -> the row
    job_id, state, reason, node, trigger:
              value, zero, run id    -> empty

A page walks the indexes of all filters at once, from the newest down: whichever stands highest is
moved to the others' position, so the cost is that of the rarest value (a leapfrog join, Veldhuizen
2014). Rows that wait for the writer are seen by every read.
"""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Final

from croncord.logs.ledger_rows import (
    INDEXED,
    bounds,
    index_keys,
    matches,
    pack_run,
    unpack_run,
    wanted_prefixes,
)
from croncord.logs.store import Reading, Store, Writing
from croncord.logs.writer import GroupWriter
from croncord.model import Run
from croncord.ports import RunFilter

ROWS: Final = "run"
STEPS_MAX: Final = 50_000
"""A page gives up after so many index steps, about a tenth of a second, with what it has."""

_NOTHING = b""


class RunLedger:
    """Implements `croncord.ports.Ledger`. Called on the event loop's thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[str, Run] = {}
        self._in_flight: dict[str, Run] = {}
        self._writer = GroupWriter(
            "ledger-write", collect=self._collect, commit=self._commit, settle=self._settle
        )

    @classmethod
    async def start(cls, path: Path) -> "RunLedger":
        """Open the directory. Raises StoreError."""
        return cls(await asyncio.to_thread(lambda: Store(path, [ROWS, *INDEXED])))

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
        self._writer.kick()

    def get(self, run_id: str) -> Run | None:
        """Return a row."""
        waiting = self._waiting.get(run_id) or self._in_flight.get(run_id)
        if waiting is not None or not run_id:
            return waiting
        with self._store.read() as reading:
            value = reading.get(ROWS, run_id.encode())
        return None if value is None else unpack_run(value)

    def page(self, where: RunFilter, *, limit: int, before: str = "") -> list[Run]:
        """Return at most `limit` rows, newest nominal time first, with ids below `before`.

        `since` is inclusive, `until` exclusive. Gives up after `STEPS_MAX` steps, which takes two
        filters that each match very many rows but never the same one.
        """
        low, high = bounds(where, before)
        recent = self._in_flight | self._waiting
        found = [run for run in recent.values() if run.id.encode() < high and matches(run, where)]
        with self._store.read() as reading:
            stored = 0
            for run_id in _matching(reading, where, low, high):
                if stored >= limit:
                    break
                value = reading.get(ROWS, run_id)
                if value is None or run_id.decode() in recent:
                    continue
                found.append(unpack_run(value))
                stored += 1
        found.sort(key=lambda run: run.id, reverse=True)
        return found[:limit]

    def _collect(self) -> dict[str, Run] | None:
        if not self._waiting:
            return None
        self._in_flight, self._waiting = self._waiting, {}
        return self._in_flight

    def _commit(self, batch: dict[str, Run]) -> None:
        with self._store.write() as writing:
            for run in batch.values():
                _replace(writing, run)

    def _settle(self, _batch: dict[str, Run]) -> None:
        self._in_flight = {}


def _replace(writing: Writing, run: Run) -> None:
    key = run.id.encode()
    value = writing.get(ROWS, key)
    old = set(index_keys(unpack_run(value))) if value is not None else set()
    new = set(index_keys(run))
    for field, entry in old - new:
        writing.delete(field, entry)
    for field, entry in new - old:
        writing.put(field, entry, _NOTHING)
    writing.put(ROWS, key, pack_run(run))


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
