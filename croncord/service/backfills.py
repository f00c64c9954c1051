"""Backfills: running a job for ticks that lie in the past."""

import hashlib
import secrets
from datetime import datetime, timedelta
from itertools import islice, takewhile

import msgspec

from croncord.errors import FieldError, Invalid, NotFound
from croncord.fields import utc_milliseconds
from croncord.lifecycle import RunState
from croncord.preview import iso_utc
from croncord.raft.backfill_apply import TICKS_MAX
from croncord.raft.commands import Backfill, CancelBackfill
from croncord.service.agreement import Agreement
from croncord.service.lookup import find_job
from croncord.service.views import Json, Rows, Time, View
from croncord.service.who import Who
from croncord.ticks import ticks_after

PARALLEL_MAX = 100


class BackfillView(View, frozen=True, kw_only=True):
    """What is left of a backfill."""

    id: str
    job: str
    waiting: int
    running: int
    since: Time | None
    """Nominal time of the first run that has not ended."""
    until: Time | None
    """Nominal time of the last one."""


class BackfillService:
    """What people do with backfills."""

    def __init__(self, agreement: Agreement) -> None:
        self._agreement = agreement

    async def start(
        self,
        who: Who,
        ref: str,
        *,
        since: datetime,
        until: datetime,
        max_parallel: int = 1,
        fire_dependents: bool = False,
        idempotency_key: str = "",
    ) -> Json:
        """Make a run for each tick of [`since`, `until`) that the schedule has, as it is now.

        They run oldest first, `max_parallel` at once, beside what the schedule launches: overlap,
        misfire and calendars do not apply to them. Raises Invalid when there are none or too many.
        """
        job = find_job(await self._agreement.read(), who, ref, "run")
        since, until = utc_milliseconds(since), utc_milliseconds(until)
        errors = []
        if until > self._agreement.now():
            errors.append(
                FieldError("until", "lies in the future; those ticks will run by themselves")
            )
        if since >= until:
            errors.append(FieldError("since", "must be before until"))
        if not 1 <= max_parallel <= PARALLEL_MAX:
            message = f"must be a whole number from 1 to {PARALLEL_MAX}"
            errors.append(FieldError("max_parallel", message))
        if errors:
            raise Invalid(errors)
        before = since - timedelta(milliseconds=1)
        ticks = takewhile(
            lambda tick: tick < until, ticks_after(job.spec, job.id, job.anchor, before)
        )
        found = tuple(islice(ticks, TICKS_MAX + 1))
        if not found:
            raise Invalid([FieldError("since", "the schedule has no tick in this time")])
        if len(found) > TICKS_MAX:
            message = f"there are more than {TICKS_MAX} ticks until then; do it in parts"
            raise Invalid([FieldError("until", message)])
        token = secrets.token_hex(8)
        if idempotency_key:
            token = hashlib.blake2b(idempotency_key.encode(), digest_size=8).hexdigest()
        await self._agreement.change(
            lambda at: Backfill(
                at=at,
                by=who.name,
                job_id=job.id,
                backfill_id=token,
                ticks=found,
                max_parallel=max_parallel,
                fire_dependents=fire_dependents,
            )
        )
        return self._find(job.id, token) or _view(job.name, token, 0, 0)

    async def list(self, who: Who, ref: str, *, stale: bool = False) -> Rows:
        """Return the backfills of a job that are not over."""
        agreed = await self._agreement.read(stale=stale)
        job = find_job(agreed, who, ref)
        names = sorted({run.backfill for run in agreed.runs_of_job(job.id) if run.backfill})
        return [found for name in names if (found := self._find(job.id, name))]

    async def cancel(self, who: Who, ref: str, backfill_id: str, *, kill: bool = False) -> Json:
        """End what waits of a backfill, with `kill` also what runs. Raises NotFound when it is over."""
        job = find_job(await self._agreement.read(), who, ref, "run")
        if self._find(job.id, backfill_id) is None:
            raise NotFound(f"no backfill {backfill_id[:64]!r} is under way", hint="It may be over.")
        await self._agreement.change(
            lambda at: CancelBackfill(
                at=at, by=who.name, job_id=job.id, backfill_id=backfill_id, kill=kill
            )
        )
        return self._find(job.id, backfill_id) or _view(job.name, backfill_id, 0, 0)

    def _find(self, job_id: str, backfill_id: str) -> Json | None:
        state = self._agreement.state
        runs = [run for run in state.runs_of_job(job_id) if run.backfill == backfill_id]
        if not runs:
            return None
        times = sorted(run.nominal_time for run in runs)
        running = sum(run.state is RunState.RUNNING for run in runs)
        ends = (iso_utc(times[0]), iso_utc(times[-1]))
        return _view(runs[0].job, backfill_id, len(runs) - running, running, ends)


def _view(
    job: str,
    backfill_id: str,
    waiting: int,
    running: int,
    ends: tuple[str | None, str | None] = (None, None),
) -> Json:
    view = BackfillView(
        id=backfill_id,
        job=job,
        waiting=waiting,
        running=running,
        since=ends[0],
        until=ends[1],
    )
    fields: Json = msgspec.to_builtins(view)
    return fields
