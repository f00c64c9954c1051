"""What is deleted when: by age, by number and bytes per job, and by room on this node's disk.

Age, number and bytes are functions of the ledger and of what the jobs say, which are the same on every
node: each node applies them to what it holds, so a deletion reaches every copy without a message, and a
node that was away catches up by doing the same. A disk with too little room is a node's own affair: it
gives up its oldest days, and the other nodes keep theirs.

A job may keep fewer or more than the rest. Whole days are removed as files once no job keeps them; of a
day that only some jobs keep, the others' outputs are deleted one by one.

Everything is done in small bites between which writers go on.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

import msgspec

from croncord import model
from croncord.clock import Clock
from croncord.errors import StoreError
from croncord.logs.budget import EARLY
from croncord.logs.keys import day_of, day_start
from croncord.logs.ledger import RunLedger
from croncord.logs.ledger_rows import first_id, stored_bytes
from croncord.logs.local import DELETED_AT_ONCE, LocalLogs
from croncord.model import Job, Run
from croncord.ports import LogKey, RunFilter

PASS_SECONDS: Final = 60.0
_AT_ONCE = DELETED_AT_ONCE
_log = logging.getLogger(__name__)
Wishes = Mapping[str, model.Retention]
"""What the jobs say that say anything, by job id."""


class Keep(msgspec.Struct, frozen=True, kw_only=True):
    """How much is kept of a job that says nothing about it."""

    days: int = 90
    runs_per_job: int = 1000
    bytes_per_job: int = 10 * 1024**3
    """Of output, before compression."""

    def of(self, wish: model.Retention | None) -> "Keep":
        """Return how much is kept of a job that says this."""
        if wish is None:
            return self
        return Keep(
            days=wish.days or self.days,
            runs_per_job=wish.runs or self.runs_per_job,
            bytes_per_job=wish.bytes or self.bytes_per_job,
        )


def wishes(jobs: Iterable[Job]) -> Wishes:
    """Return what those jobs say that say anything about what is kept of them."""
    return {job.id: job.spec.retention for job in jobs if job.spec.retention != model.Retention()}


class Retention:
    """Deletes what is not to be kept. One of these per node."""

    def __init__(
        self,
        local: LocalLogs,
        ledger: RunLedger,
        clock: Clock,
        keep: Keep | None = None,
        wishes: Callable[[], Wishes] = lambda: MappingProxyType({}),
    ) -> None:
        self._local = local
        self._ledger = ledger
        self._clock = clock
        self._keep = keep or Keep()
        self._wishes = wishes
        self._told: Wishes = {}
        """What the jobs said at the last pass."""
        self._kept: dict[str, tuple[int, int]] = {}
        """Rows and bytes of each job, as counted last."""
        self._aged: dict[str, datetime] = {}
        """Up to when each job's rows were deleted for their age."""

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
        told = self._wishes()
        await self._by_age()
        await self._by_age_of_job(told)
        await self._by_job(told)
        self._told = told
        await self._by_room()

    def oldest(self) -> datetime:
        """Return the first instant of what any job keeps."""
        longest = max((wish.days or 0 for wish in self._wishes().values()), default=0)
        return oldest_kept(self._clock.now(), max(self._keep.days, longest))

    async def _by_age(self) -> None:
        oldest = self.oldest()
        first = f"blocks-{oldest:%Y%m%d}"
        for day in await self._days():
            if day < first:
                count = await self._local.drop_day(day)
                _log.info("%s is too old: %d outputs dropped", day, count)
        limit = first_id(oldest)
        while rows := await self._local.in_thread(lambda: self._ledger.rows(b"", limit, _AT_ONCE)):
            await self._ledger.delete([run_id.decode() for run_id, _ in rows])

    async def _by_age_of_job(self, told: Wishes) -> None:
        """Delete what is too old for its own job, though others keep as old ones."""
        now, longest = self._clock.now(), self.oldest()
        jobs: Iterable[str] = told
        if longest < oldest_kept(now, self._keep.days):
            jobs = await self._local.in_thread(self._ledger.job_ids)
        for job_id in jobs:
            oldest = oldest_kept(now, self._keep.of(told.get(job_id)).days)
            if oldest <= longest or self._aged.get(job_id) == oldest:
                continue
            where = RunFilter(job_id=job_id, until=oldest)
            while rows := self._ledger.page(where, limit=_AT_ONCE):
                await self._delete(rows)
                self._kept.pop(job_id, None)
            self._aged[job_id] = oldest
            await asyncio.sleep(0)
        self._aged = {job_id: at for job_id, at in self._aged.items() if job_id in jobs}
        await self._drop_empty_days(oldest_kept(now, self._keep.days))

    async def _drop_empty_days(self, before: datetime) -> None:
        disk = self._local.disk
        for day in disk.days.names():
            if day >= f"blocks-{before:%Y%m%d}":
                return
            first = day_start(day)
            found = await self._local.in_thread(lambda: disk.outputs(first, 1))  # noqa: B023 - awaited
            if not found or day_of(found[0][0]) != day:
                await self._local.drop_day(day)

    async def _days(self) -> list[str]:
        """Days on disk, and those before them that the index still knows, oldest first."""
        disk = self._local.disk
        days = set(disk.days.names())
        rows = await self._local.in_thread(lambda: disk.outputs(b"", 1))
        days |= {day_of(raw_key) for raw_key, _ in rows}
        return sorted(days)

    async def _by_job(self, told: Wishes) -> None:
        added, self._ledger.added = self._ledger.added, Counter()
        sizes, self._ledger.added_bytes = self._ledger.added_bytes, Counter()
        jobs = {*added, *(job_id for job_id in told if told[job_id] != self._told.get(job_id))}
        if not self._kept:
            jobs |= set(await self._local.in_thread(self._ledger.job_ids))
        for job_id in jobs:
            keep = self._keep.of(told.get(job_id))
            rows, size = self._kept.get(job_id, (0, 0))
            rows, size = rows + added[job_id], size + sizes[job_id]
            is_over = rows > keep.runs_per_job or size > keep.bytes_per_job
            if is_over or job_id not in self._kept:
                rows, size = await self._trim(job_id, keep)
            self._kept[job_id] = rows, size

    async def _trim(self, job_id: str, keep: Keep) -> tuple[int, int]:
        """Delete what a job has too much; returns the rows and bytes that stay."""
        count = size = 0
        before = ""
        where = RunFilter(job_id=job_id)
        while rows := self._ledger.page(where, limit=_AT_ONCE, before=before):
            excess = []
            for run in rows:
                would_be = size + stored_bytes(run)
                if count < keep.runs_per_job and (would_be <= keep.bytes_per_job or not count):
                    count, size = count + 1, would_be
                else:
                    # What is older than the first one over the limit goes too, however small.
                    count = keep.runs_per_job
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
        disk, budget = self._local.disk, self._local.budget
        sizes = await self._local.in_thread(disk.days.disk_bytes)
        used = await self._local.in_thread(disk.file_bytes)
        *older, _newest = sorted(sizes) or [""]
        for day in older:
            if used <= budget.bytes_max * EARLY:
                return
            self._local.give_up_before(day_start(day, days_later=1))
            count = await self._local.drop_day(day)
            used -= sizes[day]
            budget.look_again()
            _log.warning("no room for %s: %d outputs are given up on this node", day, count)


def oldest_kept(now: datetime, days: int) -> datetime:
    """Return the first instant of what is kept: the beginning of a UTC day, as days are dropped whole."""
    day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day - timedelta(days=days)
