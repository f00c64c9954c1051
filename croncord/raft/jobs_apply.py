"""What the commands about jobs do to the state."""

import msgspec

from croncord.lifecycle import Reason
from croncord.model import Job, JobSpec, Kill
from croncord.raft.commands import DeleteJob, PauseJob, PutJob
from croncord.raft.dependents import circle
from croncord.raft.endings import set_paused, skip_pending, skip_when_paused
from croncord.raft.sharing import share_defaults
from croncord.raft.state import ClusterState, Outcome, few, refuse
from croncord.raft.watching import unknown_channel, watch_anew

TIMING_FIELDS = ("schedule", "timezone", "dst", "start_at", "end_at")


def put_job(state: ClusterState, command: PutJob) -> Outcome:
    """Create or replace. Timing may not change while a tick that was due is undecided."""
    old = state.jobs.get(command.job_id)
    if old is None and command.must_exist:
        return refuse("not_found", "the job was deleted meanwhile")
    retimed = old is None or timing(old.spec) != timing(command.spec)
    if refusal := _refused_names(state, command, old):
        return refusal
    if command.expect_version is not None:
        version = old.version if old else 0
        if version != command.expect_version:
            return refuse(
                "version",
                f"the job is at version {version}, the change was made to {command.expect_version}",
            )
    if old is not None and retimed and _is_behind(old, command):
        return refuse("behind", "ticks of this moment are still being decided; try again")
    job = Job(
        id=command.job_id,
        version=old.version + 1 if old else 1,
        spec=share_defaults(command.spec),
        created_at=old.created_at if old else command.at,
        updated_at=command.at,
        updated_by=command.by,
        anchor=command.at if old is None or retimed else old.anchor,
        next_due=command.next_due if old is None or retimed else old.next_due,
        decided_until=old.decided_until if old else None,
        failures=old.failures if old else 0,
        paused_at=old.paused_at if old else None,
        paused_by=old.paused_by if old else "",
    )
    if job.spec.paused != (old is not None and old.spec.paused):
        job = set_paused(job, command, paused=job.spec.paused, by=command.by)
    state.put_job(job)
    state.put_version(job)
    watch_anew(state, job, old, command.at)
    return Outcome(job, rows=tuple(skip_when_paused(state, job, command)))


def _is_behind(old: Job, command: PutJob) -> bool:
    """Whether a due tick is undecided, or one decided ahead of its time would be due once more."""
    if old.next_due is not None and old.next_due <= command.at:
        return True
    decided, due = old.decided_until, command.next_due
    return decided is not None and due is not None and due <= decided


def _refused_names(state: ClusterState, command: PutJob, old: Job | None) -> Outcome | None:
    """Refuse a name that is taken or that others hold on to, and names of what is not there."""
    spec = command.spec
    taken = state.job_named(spec.name)
    if taken is not None and taken.id != command.job_id:
        return refuse("conflict", f"a job named {spec.name!r} exists already", "name")
    if unknown := _unknown_name(state, spec):
        return refuse("invalid", unknown[1], unknown[0])
    if wrong := _wrong_secret(state, spec):
        return refuse("invalid", wrong, "secrets")
    if found := circle(state, command.job_id, spec):
        return refuse(
            "invalid", f"jobs would wait for each other: {' after '.join(found)}", "after"
        )
    if old is not None and old.name != spec.name and (names := _users(state, old)):
        return refuse("conflict", f"{names} after {old.name!r}; change them before its name")
    return None


def _unknown_name(state: ClusterState, spec: JobSpec) -> tuple[str, str] | None:
    """Return the field that names what is not there, and what to say of it."""
    if name := next((name for name in spec.calendars if name not in state.calendars), None):
        return "calendars", f"no calendar is named {name!r}"
    if name := unknown_channel(state, spec.notify.channels):
        return "notify.channels", f"no channel is named {name!r}"
    return None


def _wrong_secret(state: ClusterState, spec: JobSpec) -> str:
    """Return what is wrong with the secrets that a job names, empty if nothing is."""
    for name in spec.secrets:
        secret = state.secrets.get(name)
        if secret is None:
            return f"no secret is named {name!r}"
        if not secret.is_for(spec.tags):
            return f"{name} is only for jobs with the tags {', '.join(secret.tags)}"
    return ""


def _users(state: ClusterState, job: Job) -> str:
    """Return who runs after the job, as the beginning of a sentence; empty if nobody does."""
    names = [user.name for user in state.jobs_after(job.name)]
    if not names:
        return ""
    return f"{few(names)} {'runs' if len(names) == 1 else 'run'}"


def timing(spec: JobSpec) -> tuple[object, ...]:
    """Return the part of a spec that decides when its ticks are."""
    return tuple(getattr(spec, field) for field in TIMING_FIELDS)


def pause_job(state: ClusterState, command: PauseJob) -> Outcome:
    """Pause or resume. Pausing skips what was decided but not claimed yet."""
    job = state.jobs.get(command.job_id)
    if job is None:
        return refuse("not_found", "no such job")
    if job.spec.paused != command.paused:
        was, job = job, set_paused(job, command, paused=command.paused, by=command.by)
        state.put_job(job)
        watch_anew(state, job, was, command.at)
    return Outcome(job, rows=tuple(skip_when_paused(state, job, command)))


def delete_job(state: ClusterState, command: DeleteJob) -> Outcome:
    """Remove a job; its waiting runs are skipped as deleted."""
    job = state.jobs.get(command.job_id)
    if job is None:
        return refuse("not_found", "no such job")
    if command.expect_version is not None and job.version != command.expect_version:
        return refuse("version", f"the job is at version {job.version}")
    if names := _users(state, job):
        return refuse("conflict", f"{names} after {job.name!r}; change or delete them first")
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
    return Outcome(job, rows=tuple(rows))
