"""What the commands about jobs do to the state."""

import msgspec

from croncord.lifecycle import Reason, RunState, Trigger
from croncord.model import Job, JobSpec, Kill, Run
from croncord.raft.commands import Command, DeleteJob, PauseJob, PutJob
from croncord.raft.state import ClusterState, Outcome, refuse

TIMING_FIELDS = ("schedule", "timezone", "dst", "start_at", "end_at")


def put_job(state: ClusterState, command: PutJob) -> Outcome:
    """Create or replace. Timing may not change while a tick that was due is undecided."""
    old = state.jobs.get(command.job_id)
    taken = state.job_named(command.spec.name)
    if taken is not None and taken.id != command.job_id:
        return refuse("conflict", f"a job named {command.spec.name!r} exists already", "name")
    if command.expect_version is not None:
        version = old.version if old else 0
        if version != command.expect_version:
            return refuse(
                "version",
                f"the job is at version {version}, the change was made to {command.expect_version}",
            )
    retimed = old is None or timing(old.spec) != timing(command.spec)
    if old is not None and retimed and old.next_due is not None and old.next_due <= command.at:
        return refuse("behind", "ticks that were due are still being decided; try again")
    job = Job(
        id=command.job_id,
        version=old.version + 1 if old else 1,
        spec=command.spec,
        created_at=old.created_at if old else command.at,
        updated_at=command.at,
        updated_by=command.by,
        anchor=command.at if old is None or retimed else old.anchor,
        next_due=command.next_due if old is None or retimed else old.next_due,
    )
    state.put_job(job)
    state.put_version(job)
    return Outcome(job, rows=_skip_when_paused(state, job, command))


def timing(spec: JobSpec) -> tuple[object, ...]:
    """Return the part of a spec that decides when its ticks are."""
    return tuple(getattr(spec, field) for field in TIMING_FIELDS)


def pause_job(state: ClusterState, command: PauseJob) -> Outcome:
    """Pause or resume. Pausing skips what was decided but not claimed yet."""
    job = state.jobs.get(command.job_id)
    if job is None:
        return refuse("not_found", "no such job")
    if job.spec.paused != command.paused:
        spec = msgspec.structs.replace(job.spec, paused=command.paused)
        job = msgspec.structs.replace(job, spec=spec, updated_at=command.at, updated_by=command.by)
        state.put_job(job)
    return Outcome(job, rows=_skip_when_paused(state, job, command))


def _skip_when_paused(state: ClusterState, job: Job, command: Command) -> tuple[Run, ...]:
    if not job.spec.paused:
        return ()
    waiting = [run for run in state.runs_of_job(job.id) if run.trigger != Trigger.MANUAL]
    return skip_pending(state, waiting, Reason.PAUSED, command)


def delete_job(state: ClusterState, command: DeleteJob) -> Outcome:
    """Remove a job; its waiting runs are skipped as deleted."""
    job = state.jobs.get(command.job_id)
    if job is None:
        return refuse("not_found", "no such job")
    if command.expect_version is not None and job.version != command.expect_version:
        return refuse("version", f"the job is at version {job.version}")
    if job.next_due is not None and job.next_due <= command.at:
        return refuse("behind", "ticks that were due are still being decided; try again")
    rows = skip_pending(state, state.runs_of_job(job.id), Reason.DELETED, command)
    if command.kill:
        for run in state.runs_of_job(job.id):
            if run.kill is None:
                kill = Kill(
                    requested_at=command.at,
                    by=command.by,
                    grace_seconds=job.spec.kill_grace_seconds,
                    reason=Reason.DELETED,
                )
                state.put_run(msgspec.structs.replace(run, kill=kill))
    state.remove_job(job)
    return Outcome(job, rows=rows)


def skip_pending(
    state: ClusterState, runs: list[Run], reason: Reason, command: Command
) -> tuple[Run, ...]:
    """Close as skipped those of the runs that no node has claimed."""
    rows = []
    for run in runs:
        if run.state is RunState.PENDING:
            row = msgspec.structs.replace(
                run, state=RunState.SKIPPED, reason=reason, finished_at=command.at
            )
            state.close_run(row)
            rows.append(row)
    return tuple(rows)
