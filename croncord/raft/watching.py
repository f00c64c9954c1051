"""What is told of jobs: from a final row, or from time that passed, to deliveries in the state.

Decided where the row becomes final, by the rules of `croncord.notify_rules`: a change of leader can
neither lose nor double it.
"""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from croncord.model import Job, Run, run_id
from croncord.notification import Delivery, JobKind, Notice, Watch
from croncord.notify_rules import channels_of, judge, kinds_of, started_anew
from croncord.raft.state import ClusterState

PENDING_MAX = 5000
"""Deliveries that wait; one more and the oldest is dropped."""
FINISHED_KEPT = 500
EXCERPT_CHARACTERS = 1000
_DETAIL_CHARACTERS = 500
_NOTHING = Watch()


def tell_of_end(state: ClusterState, row: Run, at: datetime) -> None:
    """Make the notices that a row which became final calls for."""
    job = state.jobs.get(row.job_id)
    if job is None:
        return
    before = state.watches.get(job.id, _NOTHING)
    judged = judge(row, before, job, state.notify_rule)
    keep_watch(state, job.id, before, judged.watch)
    for kind in judged.kinds:
        tell(state, job, _of_row(row, job, at, kind=kind), at)


def _of_row(row: Run, job: Job, at: datetime, *, kind: JobKind) -> Notice:
    return Notice(
        kind=kind,
        at=at,
        job_id=job.id,
        job=job.name,
        run_id=row.id,
        state=str(row.state),
        reason=str(row.reason or ""),
        node=row.node or "",
        attempt=row.attempt,
        nominal_time=row.nominal_time,
        exit_code=row.exit_code,
        signal=row.signal,
        failures=job.failures,
        detail=row.detail[:_DETAIL_CHARACTERS],
        excerpt=row.excerpt[-EXCERPT_CHARACTERS:],
    )


def tell_of_alarm(state: ClusterState, job: Job, at: datetime, run: Run | None) -> None:
    """Make the notices of a run that takes too long, or else of a job that is late."""
    if run is not None:
        notice = _of_row(run, job, at, kind="too_long")
    else:
        watch = state.watches.get(job.id, _NOTHING)
        notice = Notice(
            kind="late",
            at=at,
            job_id=job.id,
            job=job.name,
            failures=job.failures,
            since=watch.since,
        )
    if notice.kind in kinds_of(job, state.notify_rule):
        tell(state, job, notice, at)


def keep_watch(state: ClusterState, job_id: str, before: Watch, after: Watch) -> None:
    """Remember what changed; a job without anything to remember takes no room."""
    if after == before:
        return
    if after == _NOTHING:
        state.watches.pop(job_id, None)
    else:
        state.watches[job_id] = after


def watch_anew(state: ClusterState, job: Job, old: Job | None, at: datetime) -> None:
    """Begin, go on or stop to expect successes, after a job was saved, paused or resumed."""
    before = state.watches.get(job.id, _NOTHING)
    resumed = old is not None and old.spec.paused and not job.spec.paused
    keep_watch(state, job.id, before, started_anew(job, before, at, resumed=resumed))


def begin_anew(state: ClusterState, at: datetime) -> None:
    """Make a backup's state one to begin with: what waited is old news, silence counts from now."""
    for delivery in [*state.deliveries.values()]:
        finish(state, delivery, at, dropped="the cluster began anew with a backup")
    for job_id, watch in [*state.watches.items()]:
        since = at if watch.since is not None else None
        fresh = msgspec.structs.replace(watch, since=since, long_runs=())
        keep_watch(state, job_id, watch, fresh)


def unknown_channel(state: ClusterState, names: Iterable[str]) -> str | None:
    """Return the first name that is no channel's."""
    return next((name for name in names if name not in state.channels), None)


def tell(state: ClusterState, job: Job, notice: Notice, at: datetime) -> None:
    """Put a notice on its way to each of the job's channels.

    Ticks of one minute that were missed share a delivery as long as nobody tried to deliver it.
    """
    for channel in channels_of(job, state.notify_rule):
        if channel not in state.channels:
            continue
        key = f"{notice.kind}:{notice.run_id}:{notice.attempt}"
        if notice.kind == "missed":
            shared = run_id(job.id, at.replace(second=0, microsecond=0), "missed", channel)
            known = state.deliveries.get(shared)
            if known is not None and known.tries == 0:
                grown = msgspec.structs.replace(known.notice, more=known.notice.more + 1)
                state.deliveries[shared] = msgspec.structs.replace(known, notice=grown)
                continue
            if known is None and shared not in state.delivered:
                post(state, shared, channel, notice, at)
                continue
        post(state, run_id(job.id, at, key, channel), channel, notice, at)


def post(state: ClusterState, key: str, channel: str, notice: Notice, at: datetime) -> Delivery:
    """Add a delivery; the same one twice is one. The oldest is dropped when too many wait."""
    known = state.deliveries.get(key) or state.delivered.get(key)
    if known is not None:
        return known
    delivery = Delivery(id=key, channel=channel, notice=notice, created_at=at, next_at=at)
    state.deliveries[key] = delivery
    while len(state.deliveries) > PENDING_MAX:
        oldest = state.deliveries[next(iter(state.deliveries))]
        finish(state, oldest, at, dropped=f"more than {PENDING_MAX} notices were waiting")
    return delivery


def finish(state: ClusterState, delivery: Delivery, at: datetime, *, dropped: str = "") -> None:
    """Take a delivery off the waiting ones, and keep it for a while to be looked at."""
    state.deliveries.pop(delivery.id, None)
    state.delivered[delivery.id] = msgspec.structs.replace(
        delivery, state="dropped" if dropped else "delivered", finished_at=at, detail=dropped
    )
    while len(state.delivered) > FINISHED_KEPT:
        del state.delivered[next(iter(state.delivered))]
