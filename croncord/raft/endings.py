"""What follows when a row of the ledger becomes final.

It is filed, its job may be paused, and jobs that run after it get their rows.

Every handler that ends a run does it through here, so nothing that follows from an end is forgotten.
"""

from collections import deque
from collections.abc import Iterable

import msgspec

from croncord.lifecycle import Reason, RunState, Trigger
from croncord.model import Job, Run
from croncord.raft.command import Command
from croncord.raft.dependents import rows_after
from croncord.raft.state import ClusterState
from croncord.raft.watching import tell_of_end

CASCADE_MAX = 1000
"""Rows that one end may make final; a web of jobs that multiply each other stops there."""
CLUSTER = "cluster"
"""Who paused a job that failed too often."""
_FAILURES = frozenset({RunState.FAILED, RunState.TIMED_OUT, RunState.LOST})
ASKED_FOR = frozenset({Trigger.MANUAL, Trigger.BACKFILL})
"""What somebody asked for goes on through a pause."""


def end_run(state: ClusterState, row: Run, command: Command) -> list[Run]:
    """File a row that is final; returns it and the rows that became final because of it."""
    rows: list[Run] = []
    todo = deque([row])
    while todo:
        row = todo.popleft()
        # The late truth about a lost run corrects its row; what followed from it has happened.
        is_correction = row.id in state.lost
        state.close_run(row)
        rows.append(row)
        todo += _count(state, row, command, is_correction=is_correction)
        tell_of_end(state, row, command.at)
        if not is_correction and len(rows) < CASCADE_MAX:
            for next_row in rows_after(state, row, command):
                if next_row.is_open:
                    state.put_run(next_row)
                else:
                    todo.append(next_row)
    return rows


def skip_pending(
    state: ClusterState, runs: Iterable[Run], reason: Reason, command: Command
) -> list[Run]:
    """End as skipped those of the open runs that no node has claimed."""
    rows: list[Run] = []
    for row in _skipped(runs, reason, command):
        if row.id in state.open_runs:  # else what ended before it has ended it too
            rows += end_run(state, row, command)
    return rows


def _skipped(runs: Iterable[Run], reason: Reason, command: Command) -> list[Run]:
    return [
        not_launched(run, RunState.SKIPPED, reason, command)
        for run in runs
        if run.state is RunState.PENDING
    ]


def not_launched(
    run: Run, state: RunState, reason: Reason, command: Command, detail: str = ""
) -> Run:
    """Return the row of a pending run that is not launched any more.

    One that waited for a further attempt ends as its last attempt did: it has run, so its row must
    not say that it was skipped or missed.
    """
    if not run.attempts:
        return msgspec.structs.replace(
            run,
            state=state,
            reason=reason,
            finished_at=command.at,
            ended_by=command.by,
            detail=detail,
        )
    because = str(reason).replace("_", " ") + (f", {detail}" if detail else "")
    last = last_attempt_again(run)
    return msgspec.structs.replace(
        last,
        finished_at=last.finished_at or command.at,
        ended_by=command.by,
        detail=f"no further attempt was made: {because}",
    )


def last_attempt_again(run: Run) -> Run:
    """Return the row of a run that waits for a further attempt as its last attempt left it."""
    *before, last = run.attempts
    return msgspec.structs.replace(
        run,
        state=last.state,
        reason=last.reason,
        node=last.node or None,
        attempt=last.number,
        attempts=tuple(before),
        replicas=last.replicas,
        due_at=last.due_at or run.nominal_time,
        assigned_at=None,
        assigned_by="",
        assigned_term=0,
        claimed_at=last.claimed_at,
        started_at=last.started_at,
        finished_at=last.finished_at,
        exit_code=last.exit_code,
        signal=last.signal,
        log=last.log,
    )


def may_try_again(state: ClusterState, job: Job, run: Run) -> bool:
    """Whether a run that failed may get a further attempt: not during a pause, unless asked for."""
    return run.trigger in ASKED_FOR or not (job.spec.paused or state.paused)


def skip_when_paused(state: ClusterState, job: Job, command: Command) -> list[Run]:
    """Skip what waits of a job that is paused, but not what somebody asked for."""
    return skip_pending(state, _waiting(state, job), Reason.PAUSED, command)


def _waiting(state: ClusterState, job: Job) -> list[Run]:
    if not job.spec.paused:
        return []
    return [run for run in state.runs_of_job(job.id) if run.trigger not in ASKED_FOR]


def set_paused(job: Job, command: Command, *, paused: bool, by: str) -> Job:
    """Return the job paused or resumed; a resumed one counts its failures anew."""
    return msgspec.structs.replace(
        job,
        spec=msgspec.structs.replace(job.spec, paused=paused),
        updated_at=command.at,
        updated_by=by,
        paused_at=command.at if paused else None,
        paused_by=by if paused else "",
        failures=job.failures if paused else 0,
    )


def _count(state: ClusterState, row: Run, command: Command, *, is_correction: bool) -> list[Run]:
    """Count failures in a row, and return what is skipped because they pause the job."""
    job = state.jobs.get(row.job_id)
    if job is None:
        return []
    failures = job.failures
    if row.state is RunState.SUCCEEDED:
        failures = 0
    elif row.state in _FAILURES and not is_correction:
        failures += 1
    if failures == job.failures:
        return []
    job = msgspec.structs.replace(job, failures=failures)
    limit = job.spec.pause_after_failures
    if limit is None or failures < limit or job.spec.paused:
        state.put_job(job)
        return []
    job = set_paused(job, command, paused=True, by=CLUSTER)
    state.put_job(job)
    return _skipped(_waiting(state, job), Reason.PAUSED, command)
