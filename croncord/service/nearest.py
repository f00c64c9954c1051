"""Which tick somebody means by a time: the nearest one that the ledger or the schedule knows."""

from datetime import datetime, timedelta

import msgspec

from croncord.model import Job, Run
from croncord.ports import Ledger, RunFilter
from croncord.raft.state import ClusterState
from croncord.ticks import first_tick, job_schedule

_SPANS = (60, 3600, 86400, 32 * 86400, 400 * 86400)
_ROWS_MAX = 1000
_TICKS_MAX = 100_000
_MILLISECOND = timedelta(milliseconds=1)


class Nearest(msgspec.Struct, frozen=True, kw_only=True):
    """What lies around a time."""

    rows: tuple[Run, ...]
    """Those of the nearest nominal time that has any, one per node of an every-node job."""
    before: datetime | None
    """The schedule's last tick not after the time asked for, as the job was defined then."""
    after: datetime | None


def nearest(state: ClusterState, ledger: Ledger, job: Job, at: datetime) -> Nearest:
    """Look in the open rows, in the ledger and in the schedule."""
    rows = {run.id: run for run in _ledger_rows(ledger, job.id, at)}
    rows |= {run.id: run for run in state.recent.get(job.id, ())}
    rows |= {run.id: run for run in state.runs_of_job(job.id)}
    found = min((r.nominal_time for r in rows.values()), key=lambda t: abs(t - at), default=None)
    chosen: dict[str, Run] = {}
    if found is not None:
        where = RunFilter(job_id=job.id, since=found, until=found + _MILLISECOND)
        chosen = {run.id: run for run in ledger.page(where, limit=_ROWS_MAX)}
        chosen |= {run.id: run for run in rows.values() if run.nominal_time == found}
    then = definition_at(state, job, at)
    return Nearest(
        rows=tuple(sorted(chosen.values(), key=lambda run: (run.target, run.id))),
        before=_last_tick(then, at),
        after=first_tick(then.spec, then.id, then.anchor, at),
    )


def definition_at(state: ClusterState, job: Job, at: datetime) -> Job:
    """Return the definition that held at a time, or the oldest that is kept."""
    kept = state.versions.get(job.id, (job,))
    return next((old for old in reversed(kept) if old.updated_at <= at), kept[0])


def _ledger_rows(ledger: Ledger, job_id: str, at: datetime) -> list[Run]:
    rows = ledger.page(RunFilter(job_id=job_id, until=at + _MILLISECOND), limit=1)
    for seconds in _SPANS:
        until = at + timedelta(seconds=seconds)
        later = ledger.page(RunFilter(job_id=job_id, since=at, until=until), limit=_ROWS_MAX)
        if later:
            return rows + later
    return rows


def _last_tick(job: Job, at: datetime) -> datetime | None:
    spec = job.spec
    schedule = job_schedule(spec, job.id, job.anchor)
    latest = at if spec.end_at is None else min(at, spec.end_at - _MILLISECOND)
    for seconds in _SPANS:
        ticks = schedule.between(latest - timedelta(seconds=seconds), latest, _TICKS_MAX)
        if ticks:
            early = spec.start_at is not None and ticks[-1] < spec.start_at
            return None if early else ticks[-1]
    return None
