"""The last runs of each job as figures, for so many jobs and no more."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Final, NamedTuple

from croncord.figures import Family, gauge, gauges
from croncord.lifecycle import RunState
from croncord.model import Job, Run
from croncord.ports import Ledger, RunFilter
from croncord.raft.state import ClusterState
from croncord.service.who import Who

JOBS_MAX: Final = 1000
"""Jobs that get series of their own, the oldest first; the others are counted."""
LOOKUPS_MAX: Final = 50
"""How many jobs, per page, the ledger is asked about."""


class _Known(NamedTuple):
    """When a job succeeded last, as of its newest row then."""

    newest: str
    success_at: datetime | None


class JobFigures:
    """Remembers, per job, the last success that its last few rows do not show any more."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._known: dict[str, _Known] = {}
        self._lookups = 0

    def families(self, state: ClusterState, who: Who) -> Iterator[Family]:
        """Yield the figures of the jobs that the caller may know of."""
        self._lookups = LOOKUPS_MAX
        shown = list(islice(_seen(state, who), JOBS_MAX))
        self._known = {job.id: self._known[job.id] for job in shown if job.id in self._known}
        rows = {job.id: state.recent.get(job.id, ()) for job in shown}
        names = [(job, {"job_name": job.name}) for job in shown]
        yield gauges(
            "croncord_job_last_success_timestamp_seconds",
            "When the newest successful run of the job ended; none before the first",
            [(name, _timestamp(self._success(job.id, rows[job.id]))) for job, name in names],
        )
        yield gauges(
            "croncord_job_last_duration_seconds",
            "How long the newest run of the job that has ended took",
            [(name, _duration(rows[job.id])) for job, name in names],
        )
        yield gauges(
            "croncord_job_consecutive_failures",
            "Runs in a row, up to the newest, that did not succeed",
            [(name, job.failures) for job, name in names],
        )
        yield gauges(
            "croncord_job_paused",
            "1 if the job is paused",
            [(name, job.spec.paused) for job, name in names],
        )
        total = sum(1 for _ in _seen(state, who)) if who.is_limited else len(state.jobs)
        yield gauge(
            "croncord_jobs_omitted",
            f"Jobs without series of their own: there are more than {JOBS_MAX}",
            max(0, total - len(shown)),
        )

    def _success(self, job_id: str, rows: Sequence[Run]) -> datetime | None:
        if not rows:
            return None
        known = self._known.get(job_id)
        ends = [row.finished_at for row in rows if row.state is RunState.SUCCEEDED]
        if ends:
            success_at = ends[-1]
        elif known is not None and any(row.id == known.newest for row in rows):
            success_at = known.success_at
        elif self._lookups:
            self._lookups -= 1
            where = RunFilter(job_id=job_id, state=RunState.SUCCEEDED)
            found = self._ledger.page(where, limit=1)
            success_at = found[0].finished_at if found else None
        else:
            return known.success_at if known else None
        self._known[job_id] = _Known(rows[-1].id, success_at)
        return success_at


def _seen(state: ClusterState, who: Who) -> Iterator[Job]:
    return (job for job in state.jobs.values() if who.may_job("read", job.spec.tags))


def _timestamp(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()


def _duration(rows: Sequence[Run]) -> float | None:
    for row in reversed(rows):
        if row.started_at and row.finished_at:
            return (row.finished_at - row.started_at).total_seconds()
    return None
