"""The ledger of a simulated node: rows on a disk that loses what was not committed.

It has the calls of `croncord.logs.ledger.RunLedger` that the real `LedgerFiller` needs, so filling a
ledger from other nodes is the product's own code.
"""

import asyncio
import zlib

import msgspec

from croncord.logs.ledger_rows import day_of_id
from croncord.model import Run

COMMIT_SECONDS = (0.0, 0.1)
PAGE_ROWS = 300


class SimulatedLedger:
    """One life of a node's ledger over the rows on its disk."""

    def __init__(self, disk: dict[str, Run], life, rng) -> None:
        self._disk = disk
        self._life = life
        self._rng = rng
        self._waiting: dict[str, Run] = {}
        self._flushed: list[asyncio.Future[None]] = []
        self._is_committing = False
        self.lacks_rows = asyncio.Event()

    def put(self, rows) -> None:
        """Write rows; on disk a little later."""
        self._waiting |= {row.id: row for row in rows}
        if self._waiting and not self._is_committing:
            self._is_committing = True
            self._life.call_later(self._rng.uniform(*COMMIT_SECONDS), self._commit)

    def _commit(self) -> None:
        self._disk.update(self._waiting)
        self._waiting.clear()
        self._is_committing = False
        for done in self._flushed:
            done.done() or done.set_result(None)
        self._flushed.clear()

    async def flush(self) -> None:
        """Return when all that was put is on disk."""
        if self._waiting:
            done = asyncio.get_running_loop().create_future()
            self._flushed.append(done)
            await done

    def get(self, run_id: str) -> Run | None:
        """Return a row."""
        return self._waiting.get(run_id) or self._disk.get(run_id)

    async def days(self) -> dict[str, tuple[int, int]]:
        """Return the same as `day_counts`."""
        return self.day_counts()

    def day_counts(self) -> dict[str, tuple[int, int]]:
        """Return how many rows of each day are on disk, and their checksum."""
        found: dict[str, tuple[int, int]] = {}
        for run_id, run in self._disk.items():
            count, check = found.get(day_of_id(run_id), (0, 0))
            mine = zlib.crc32(msgspec.msgpack.encode(run))
            found[day_of_id(run_id)] = count + 1, check ^ mine
        return found

    def rows(self, first: str, last: str) -> list[Run]:
        """Return rows on disk in a range of ids, oldest first."""
        ids = sorted(run_id for run_id in self._disk if first <= run_id < last)
        return [self._disk[run_id] for run_id in ids[:PAGE_ROWS]]
