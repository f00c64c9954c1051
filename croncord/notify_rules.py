"""When something is told about a job, when a delivery is tried again. Pure decisions."""

from datetime import datetime, timedelta

import msgspec

from croncord.lifecycle import RunState, Trigger
from croncord.model import Job, Run
from croncord.notification import JobKind, NotifySettings, Watch
from croncord.policy import lane

KEPT_FOR = timedelta(hours=24)
"""A delivery that nobody took for so long is dropped."""
_FIRST_DELAY_SECONDS = 15.0
_DELAY_SECONDS_MAX = {False: 120.0, True: 900.0}
"""For channels that cannot be reached, and for those that answer and refuse."""

_KIND_OF: dict[RunState, JobKind] = {
    RunState.FAILED: "failure",
    RunState.TIMED_OUT: "failure",
    RunState.LOST: "lost",
    RunState.MISSED: "missed",
}


class Judgement(msgspec.Struct, frozen=True):
    """What a final row leads to."""

    kinds: tuple[JobKind, ...]
    watch: Watch


def kinds_of(job: Job, settings: NotifySettings) -> tuple[JobKind, ...]:
    """Return which kinds of notices are made of a job."""
    return () if job.spec.notify.muted else job.spec.notify.on or settings.on


def channels_of(job: Job, settings: NotifySettings) -> tuple[str, ...]:
    """Return the names of the channels that a job's notices go to, each once."""
    return tuple(dict.fromkeys(job.spec.notify.channels or settings.channels))


def judge(row: Run, before: Watch, job: Job, settings: NotifySettings) -> Judgement:
    """Decide what is told of a row that became final, and what is remembered after it.

    Every failure is told; a success only after trouble of a kind that is told. A run that somebody
    killed, or that a rule skipped, is neither trouble nor its end. Backfilled runs are about the
    past: their success does not answer for the present.
    """
    wanted = kinds_of(job, settings)
    place = lane(job.spec.target, row.target)
    trouble = dict(before.trouble)
    kinds: list[JobKind] = []
    since, is_late = before.since, before.is_late
    if kind := _KIND_OF.get(row.state):
        trouble[place] = kind
        kinds.append(kind)
    elif row.state is RunState.SUCCEEDED:
        was = trouble.pop(place, "")
        is_fresh = row.trigger is not Trigger.BACKFILL
        if was in wanted or (is_fresh and is_late and "late" in wanted):
            kinds.append("recovery")
        if is_fresh:
            is_late = False
            if job.spec.expect_within_seconds is not None:
                ended = row.finished_at or row.decided_at
                since = max(since or ended, ended)
    watch = Watch(
        trouble=trouble,
        long_runs=tuple(run_id for run_id in before.long_runs if run_id != row.id),
        since=since,
        is_late=is_late,
    )
    return Judgement(tuple(kind for kind in kinds if kind in wanted), watch)


def is_overdue(job: Job, watch: Watch, now: datetime) -> bool:
    """Whether a job has had no success for longer than it says, and that was not told yet.

    Nothing is expected of a paused job. A pause of the whole cluster is no excuse: a forgotten one is
    just what this is to find.
    """
    limit = job.spec.expect_within_seconds
    if limit is None or watch.since is None or watch.is_late or job.spec.paused:
        return False
    return now - watch.since > timedelta(seconds=limit)


def takes_too_long(job: Job, run: Run, watch: Watch, now: datetime) -> bool:
    """Whether a run goes on for longer than its job says, and that was not told yet."""
    limit = job.spec.notify.too_long_seconds
    if limit is None or run.state is not RunState.RUNNING or run.claimed_at is None:
        return False
    return run.id not in watch.long_runs and now - run.claimed_at > timedelta(seconds=limit)


def with_long_run(job: Job, run: Run, watch: Watch) -> Watch:
    """Remember that a run was told of as taking too long; its success ends that."""
    return msgspec.structs.replace(
        watch,
        long_runs=(*watch.long_runs, run.id),
        trouble={lane(job.spec.target, run.target): "too_long"} | watch.trouble,
    )


def started_anew(job: Job, watch: Watch, at: datetime, *, resumed: bool) -> Watch:
    """Return the watch of a job that was saved, paused or resumed."""
    trouble = {
        place: kind
        for place, kind in watch.trouble.items()
        if lane(job.spec.target, place) == place
    }
    if job.spec.expect_within_seconds is None:
        return msgspec.structs.replace(watch, trouble=trouble, since=None, is_late=False)
    if watch.since is None or resumed:
        return msgspec.structs.replace(watch, trouble=trouble, since=at, is_late=False)
    return msgspec.structs.replace(watch, trouble=trouble)


def next_try(at: datetime, tries: int, *, reached: bool) -> datetime:
    """Return when a delivery is tried again after `tries` failures: 15 s, twice that, and so on."""
    doublings = min(max(tries - 1, 0), 10)
    seconds = min(_FIRST_DELAY_SECONDS * 2**doublings, _DELAY_SECONDS_MAX[reached])
    return at + timedelta(seconds=seconds)
