"""What is deleted when: by age, by number and bytes per job, and by room on this node's disk.

Age, number and bytes are functions of the ledger, which is the same on every node: each node applies
them to what it holds, so a deletion reaches every copy without a message, and a node that was away
catches up by doing the same. A disk with too little room is a node's own affair: it gives up its
oldest days, and the other nodes keep theirs.

Everything is done in small bites between which writers go on; whole days are removed as files.
"""

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from croncord.clock import Clock
from croncord.errors import StoreError
from croncord.logs.keys import day_of, day_start
from croncord.logs.ledger import RunLedger
from croncord.logs.ledger_rows import first_id, stored_bytes
from croncord.logs.local import DELETED_AT_ONCE, LocalLogs
from croncord.model import Run
from croncord.ports import LogKey, RunFilter

PASS_SECONDS: Final = 600.0
_AT_ONCE = DELETED_AT_ONCE
_log = logging.getLogger(__name__)


class Keep(msgspec.Struct, frozen=True, kw_only=True):
    """How much is kept."""

    days: int = 90
    runs_per_job: int = 1000
    bytes_per_job: int = 10 * 1024**3
    """Of output, before compression."""
    disk_fraction: float = 0.5
    """Of the file system that the store is on; this much is for output."""


class Retention:
    """Deletes what is not to be kept. One of these per node."""

    def __init__(
        self, local: LocalLogs, ledger: RunLedger, clock: Clock, keep: Keep | None = None
    ) -> None:
        self._local = local
        self._ledger = ledger
        self._clock = clock
        self._keep = keep or Keep()
        self._kept: dict[str, tuple[int, int]] = {}
        """Rows and bytes of each job, as counted last."""

    async def run(self) -> None:
        """Look again and again; cancel to stop."""
        while True:
            try:
                await self.apply()
            except StoreError as error:
                # What was not deleted now is deleted by the next pass.
                _log.warning("retention broke off: %s", error)
            await self._clock.sleep(PASS_SECONDS)

    async def apply(self) -> None:
        """Delete all that is not to be kept. Raises StoreError."""
        await self._by_age()
        await self._by_job()
        await self._by_room()

    async def _by_age(self) -> None:
        oldest = oldest_kept(self._clock.now(), self._keep.days)
        first = f"blocks-{oldest:%Y%m%d}"
        for day in await self._days():
            if day < first:
                count = await self._local.drop_day(day)
                _log.info("%s is too old: %d outputs dropped", day, count)
        limit = first_id(oldest)
        while rows := await self._local.in_thread(lambda: self._ledger.rows(b"", limit, _AT_ONCE)):
            await self._ledger.delete([run_id.decode() for run_id, _ in rows])

    async def _days(self) -> list[str]:
        """Days on disk, and those before them that the index still knows, oldest first."""
        disk = self._local.disk
        days = set(disk.days.names())
        rows = await self._local.in_thread(lambda: disk.outputs(b"", 1))
        days |= {day_of(raw_key) for raw_key, _ in rows}
        return sorted(days)

    async def _by_job(self) -> None:
        added, self._ledger.added = self._ledger.added, Counter()
        sizes, self._ledger.added_bytes = self._ledger.added_bytes, Counter()
        jobs: Iterable[str] = added
        if not self._kept:
            jobs = await self._local.in_thread(self._ledger.job_ids)
        for job_id in jobs:
            rows, size = self._kept.get(job_id, (0, 0))
            rows, size = rows + added[job_id], size + sizes[job_id]
            is_over = rows > self._keep.runs_per_job or size > self._keep.bytes_per_job
            if is_over or job_id not in self._kept:
                rows, size = await self._trim(job_id)
            self._kept[job_id] = rows, size

    async def _trim(self, job_id: str) -> tuple[int, int]:
        """Delete what a job has too much; returns the rows and bytes that stay."""
        count = size = 0
        before = ""
        where = RunFilter(job_id=job_id)
        while rows := self._ledger.page(where, limit=_AT_ONCE, before=before):
            excess = []
            for run in rows:
                would_be = size + stored_bytes(run)
                if count < self._keep.runs_per_job and (
                    would_be <= self._keep.bytes_per_job or not count
                ):
                    count, size = count + 1, would_be
                else:
                    # What is older than the first one over the limit goes too, however small.
                    count = self._keep.runs_per_job
                    excess.append(run)
            before = rows[-1].id
            await self._delete(excess)
            await asyncio.sleep(0)
        return count, size

    async def _delete(self, runs: list[Run]) -> None:
        keys = [LogKey(run.id, number) for run in runs for number in range(1, run.attempt + 1)]
        held = [key for key in keys if self._local.row(key) is not None]
        if held:
            await self._local.delete(held)
        if runs:
            await self._ledger.delete([run.id for run in runs])

    async def _by_room(self) -> None:
        disk = self._local.disk
        room = os.statvfs(disk.root)
        budget = int(room.f_frsize * room.f_blocks * self._keep.disk_fraction)
        sizes = await self._local.in_thread(disk.days.disk_bytes)
        used = sum(sizes.values())
        *older, _newest = sorted(sizes) or [""]
        for day in older:
            if used <= budget:
                return
            self._local.give_up_before(day_start(day, days_later=1))
            count = await self._local.drop_day(day)
            used -= sizes[day]
            _log.warning("no room for %s: %d outputs are given up on this node", day, count)


def oldest_kept(now: datetime, days: int) -> datetime:
    """Return the first instant of what is kept: the beginning of a UTC day, as days are dropped whole."""
    day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day - timedelta(days=days)
