"""What only the passing of time makes true: jobs without a success, runs that go on. Pure."""

from datetime import datetime

from croncord.notification import Watch
from croncord.notify_rules import is_overdue, takes_too_long
from croncord.raft.notify_commands import RaiseAlarms
from croncord.raft.state import ClusterState

BATCH = 500
_NOTHING = Watch()


def alarms(state: ClusterState, now: datetime, *, term: int, by: str) -> RaiseAlarms | None:
    """Return what is to be told of now, at most `BATCH` of each; None for nothing."""
    late = [
        job_id
        for job_id, watch in state.watches.items()
        if watch.since is not None
        and (job := state.jobs.get(job_id)) is not None
        and is_overdue(job, watch, now)
    ][:BATCH]
    too_long = [
        run.id
        for run in state.open_runs.values()
        if (job := state.jobs.get(run.job_id)) is not None
        and job.spec.notify.too_long_seconds is not None
        and takes_too_long(job, run, state.watches.get(job.id, _NOTHING), now)
    ][:BATCH]
    if not late and not too_long:
        return None
    return RaiseAlarms(at=now, by=by, term=term, late=tuple(late), too_long=tuple(too_long))
