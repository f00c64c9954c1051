"""What is about to be caught up: ticks that were due and are not decided, and runs that wait to start."""

from datetime import datetime, timedelta
from itertools import islice

from croncord.lifecycle import RunState, Trigger
from croncord.model import Job
from croncord.raft.state import ClusterState
from croncord.service.views import Time, View, iso
from croncord.ticks import ticks_after

LATE_SECONDS = 30
"""From then on a tick that is not decided is a misfire, as the planner's own limit says."""
_JOBS_MAX = 100
_TICKS_MAX = 1000


class CatchUp(View, frozen=True, kw_only=True):
    """A job with ticks that were missed, or with caught-up runs that have not started."""

    job: str
    job_id: str
    oldest: Time | None
    """The first tick that is not decided; None when all are."""
    undecided: int
    """Ticks that were due and are not decided; counted up to 1000."""
    launches: int
    """How many of those the misfire policy will launch, as it stands now."""
    waiting: int
    """Caught-up runs that are decided and wait for their turn."""


def backlog(state: ClusterState, now: datetime) -> list[CatchUp]:
    """Return the jobs behind, those longest behind first, at most 100."""
    behind, _ = state.due_jobs(now - timedelta(seconds=LATE_SECONDS), _JOBS_MAX)
    waiting: dict[str, int] = {}
    for run in state.open_runs.values():
        if run.trigger is Trigger.CATCH_UP and run.state is RunState.PENDING:
            waiting[run.job_id] = waiting.get(run.job_id, 0) + 1
    jobs = {job.id: job for job in behind}
    jobs |= {key: state.jobs[key] for key in waiting if key in state.jobs}
    found = [_behind(job, now, waiting.get(job.id, 0)) for job in jobs.values()]
    return found[:_JOBS_MAX]


def _behind(job: Job, now: datetime, waiting: int) -> CatchUp:
    ticks: list[datetime] = []
    late = now - timedelta(seconds=LATE_SECONDS)
    if job.next_due is not None and job.next_due < late:
        just_before = job.next_due - timedelta(milliseconds=1)
        for tick in islice(ticks_after(job.spec, job.id, job.anchor, just_before), _TICKS_MAX):
            if tick >= late:
                break
            ticks.append(tick)
    return CatchUp(
        job=job.name,
        job_id=job.id,
        oldest=iso(ticks[0]) if ticks else None,
        undecided=len(ticks),
        launches=_launches(job, ticks, now),
        waiting=waiting,
    )


def _launches(job: Job, ticks: list[datetime], now: datetime) -> int:
    misfire = job.spec.misfire
    if job.spec.paused or misfire.policy == "skip":
        return 0
    window = timedelta(seconds=misfire.window_seconds)
    inside = sum(now - tick <= window for tick in ticks)
    most = 1 if misfire.policy == "run_once" else misfire.max_runs
    return inside if most is None else min(inside, most)
