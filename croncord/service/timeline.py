"""The half-days around now: how runs ended, and which launches are planned.

Both are counted at most once a minute, when somebody looks; the ticks of a schedule are worked out
once an hour. Who looks while they are counted anew gets the counts of before.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from itertools import islice, takewhile
from typing import Any, Generic, TypeVar

from croncord.calendars import closed_by
from croncord.credentials import Grant
from croncord.model import Job
from croncord.ports import Ledger, RunFilter
from croncord.preview import iso_utc
from croncord.raft.state import ClusterState
from croncord.service.agreement import Agreement
from croncord.service.lookup import job_ids_in_reach, seen_jobs
from croncord.service.views import Json
from croncord.service.who import Who
from croncord.ticks import ticks_after

FRESH_SECONDS = 60.0
PAST_HOURS, AHEAD_HOURS = 12, 25
STEP_MINUTES = 30
_TICKS_MAX = 1440
_ROWS_MAX, _ROWS_AT_ONCE = 20_000, 250
_JOBS_AT_ONCE = 20
_COLLISIONS = 10
_RANKED = 400
_COLLISION_JOBS = 3
_REACHES_MAX = 50

T = TypeVar("T")
Reach = tuple[Grant, ...]


class Remembered(Generic[T]):
    """A value that is worked out again in the background once it is a minute old."""

    def __init__(self, agreement: Agreement, work_out: Callable[[], Awaitable[T]]) -> None:
        self._monotonic = agreement.clock.monotonic
        self._work_out = work_out
        self._value: T | None = None
        self._at = 0.0
        self._task: asyncio.Task[None] | None = None

    async def get(self) -> T:
        """Return the value; only the first time this waits."""
        is_old = self._value is None or self._monotonic() - self._at >= FRESH_SECONDS
        if is_old and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._renew())
        while self._value is None and self._task is not None:
            await asyncio.shield(self._task)
        assert self._value is not None
        return self._value

    def forget(self) -> None:
        """Work it out anew for the next who asks."""
        self._value = None

    async def _renew(self) -> None:
        self._value = await self._work_out()
        self._at = self._monotonic()


class TimelineService:
    """Counts for pictures of the time around now."""

    def __init__(self, agreement: Agreement, ledger: Ledger) -> None:
        self._agreement = agreement
        self._ledger = ledger
        self._seen: OrderedDict[Reach, tuple[Remembered[Json], Remembered[Json]]] = OrderedDict()
        """Counts by who may see what, those asked for last at the end."""
        self._hour: datetime | None = None
        self._ticks: dict[Any, tuple[datetime, ...] | None] = {}

    async def past(self, who: Who) -> Json:
        """Return `{since, step_minutes, steps, is_partial}`: final rows of twelve hours by state.

        Each of `steps` is `{at, states: {state: count}}`. Partial when there were more than 20,000.
        """
        who.require("viewer")
        return await self._of(who)[0].get()

    async def ahead(self, who: Who) -> Json:
        """Return `{since, minutes, often, collisions}`: planned launches of the next 25 hours.

        `minutes` counts launches minute by minute from `since`, a full hour. `often` jobs run more
        than once a minute and are left out. `collisions` are the fullest minutes, as
        `{at, times, launches, jobs: [{id, name, schedule}]}`; the same jobs at several `times` are told
        once. Paused jobs and closed calendars count not.
        """
        who.require("viewer")
        return await self._of(who)[1].get()

    def forget_plan(self) -> None:
        """Count what is ahead anew: somebody on this node changed schedules and wants to see it."""
        for _, ahead in self._seen.values():
            ahead.forget()

    def _of(self, who: Who) -> tuple[Remembered[Json], Remembered[Json]]:
        reach = who.grants if who.is_limited else ()
        if reach not in self._seen:
            self._seen[reach] = (
                Remembered(self._agreement, partial(self._count_past, who)),
                Remembered(self._agreement, partial(self._count_ahead, who)),
            )
            if len(self._seen) > _REACHES_MAX:
                self._seen.popitem(last=False)
        self._seen.move_to_end(reach)
        return self._seen[reach]

    async def _count_past(self, who: Who) -> Json:
        step = timedelta(minutes=STEP_MINUTES)
        now = self._agreement.now()
        end = _floor(now, STEP_MINUTES) + step
        since = end - timedelta(hours=PAST_HOURS)
        counts: list[Counter[str]] = [Counter() for _ in range(PAST_HOURS * 60 // STEP_MINUTES)]
        before, seen = "", 0
        job_ids = job_ids_in_reach(self._agreement.state, who)
        while seen < _ROWS_MAX:
            where = RunFilter(since=since, until=end, job_ids=job_ids)
            rows = self._ledger.page(where, limit=_ROWS_AT_ONCE, before=before)
            for row in rows:
                counts[(row.nominal_time - since) // step][str(row.state)] += 1
            seen += len(rows)
            if len(rows) < _ROWS_AT_ONCE:
                break
            before = rows[-1].id
            await asyncio.sleep(0)
        steps = [
            {"at": iso_utc(since + index * step), "states": dict(count)}
            for index, count in enumerate(counts)
        ]
        is_partial = seen >= _ROWS_MAX
        return {
            "since": iso_utc(since),
            "step_minutes": STEP_MINUTES,
            "steps": steps,
            "is_partial": is_partial,
        }

    async def _count_ahead(self, who: Who) -> Json:
        hour = _floor(self._agreement.now(), 60)
        if hour != self._hour:
            self._hour, self._ticks = hour, {}
        state = self._agreement.state
        minutes = [0] * (AHEAD_HOURS * 60)
        jobs_at: dict[int, list[Job]] = {}
        often = 0
        for index, job in enumerate(list(seen_jobs(state, who))):
            if index % _JOBS_AT_ONCE == 0:
                await asyncio.sleep(0)
            if job.spec.paused:
                continue
            ticks = self._ticks_of(job, hour)
            if ticks is None:
                often += 1
                continue
            for tick in _open_ticks(state, job, ticks):
                minute = int((tick - hour).total_seconds()) // 60
                minutes[minute] += 1
                jobs_at.setdefault(minute, []).append(job)
        first = int((self._agreement.now() - hour).total_seconds()) // 60
        coming = {minute: jobs for minute, jobs in jobs_at.items() if minute >= first}
        collisions = [
            {
                "at": iso_utc(hour + timedelta(minutes=times[0])),
                "times": len(times),
                "launches": len(coming[times[0]]),
                "jobs": [_short(job) for job in coming[times[0]]],
            }
            for times in _fullest(coming)
        ]
        return {
            "since": iso_utc(hour),
            "minutes": minutes,
            "often": often,
            "collisions": collisions,
        }

    def _ticks_of(self, job: Job, hour: datetime) -> tuple[datetime, ...] | None:
        """Return the job's ticks after the hour began, None when there are too many."""
        spec = job.spec
        own = job.id if any("H" in expr for expr in spec.schedule) else ""
        anchor = job.anchor if any("@every" in expr for expr in spec.schedule) else None
        key = (spec.schedule, spec.timezone, spec.dst, spec.start_at, spec.end_at, own, anchor)
        if key not in self._ticks:
            end = hour + timedelta(hours=AHEAD_HOURS)
            just_before = hour - timedelta(milliseconds=1)
            ticks = ticks_after(spec, job.id, job.anchor, just_before)
            found = tuple(islice(takewhile(lambda tick: tick < end, ticks), _TICKS_MAX * 2))
            self._ticks[key] = None if len(found) == _TICKS_MAX * 2 else found
        return self._ticks[key]


def _open_ticks(state: ClusterState, job: Job, ticks: tuple[datetime, ...]) -> tuple[datetime, ...]:
    calendars = state.calendars_of(job)
    if not calendars:
        return ticks
    return tuple(tick for tick in ticks if not closed_by(calendars, tick))


def _fullest(jobs_at: dict[int, list[Job]]) -> list[list[int]]:
    """Return the minutes in which most jobs begin, those of the same jobs together."""
    ranked = sorted(jobs_at, key=lambda minute: (-len(jobs_at[minute]), minute))
    together: dict[tuple[str, ...], list[int]] = {}
    for minute in ranked[:_RANKED]:
        if len(jobs_at[minute]) >= _COLLISION_JOBS:
            together.setdefault(tuple(job.id for job in jobs_at[minute]), []).append(minute)
    return list(together.values())[:_COLLISIONS]


def _floor(at: datetime, minutes: int) -> datetime:
    return at.replace(minute=at.minute // minutes * minutes, second=0, microsecond=0)


def _short(job: Job) -> Json:
    return {"id": job.id, "name": job.name, "schedule": list(job.spec.schedule)}
