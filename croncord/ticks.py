"""The ticks of a job: its schedules, bounded by `start_at` and `end_at`."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from croncord.model import Job, JobSpec, milliseconds
from croncord.policy import jitter_seconds
from croncord.schedule import Schedule, compile_all


def job_schedule(spec: JobSpec, job_id: str, anchor: datetime) -> Schedule:
    """Compile all expressions of a job; `H` is drawn from its id. Raises ScheduleError."""
    return compile_all(spec.schedule, spec.timezone, spec.dst, anchor=anchor, hash_key=job_id)


def ticks_after(
    spec: JobSpec, job_id: str, anchor: datetime, after: datetime
) -> Iterator[datetime]:
    """Yield the nominal times strictly after `after`, in order, while the job lasts."""
    if spec.start_at is not None:
        after = max(after, spec.start_at - timedelta(milliseconds=1))
    for tick in job_schedule(spec, job_id, anchor).iterate(after):
        if spec.end_at is not None and tick >= spec.end_at:
            return
        yield tick


def first_tick(spec: JobSpec, job_id: str, anchor: datetime, after: datetime) -> datetime | None:
    """Return the first nominal time strictly after `after`, None when there is none."""
    return next(ticks_after(spec, job_id, anchor, after), None)


def first_undecided(spec: JobSpec, old: Job | None, job_id: str, at: datetime) -> datetime | None:
    """Return the first tick of a job that gets a new schedule at `at`.

    Ticks are decided a little ahead of their time; one that is decided is not due again.
    """
    decided = old.decided_until if old is not None else None
    return first_tick(spec, job_id, at, at if decided is None else max(at, decided))


def due_at(job: Job, nominal_time: datetime) -> datetime:
    """When the tick may start: its nominal time plus the job's jitter, the same on every node."""
    delay = jitter_seconds(job.spec.jitter_seconds, job.id, milliseconds(nominal_time))
    return nominal_time + timedelta(seconds=delay)
