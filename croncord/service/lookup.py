"""Finding what a person named, within their reach; or saying what they may have meant.

Every job, and through it every run, calendar use and output, is found here: what a caller's grants do
not cover is not found, just as what does not exist.
"""

import difflib
from collections.abc import Iterator
from typing import Literal, overload

from croncord.credentials import Scope, Secret
from croncord.errors import FieldError, Invalid, NotFound
from croncord.model import Job, JobSpec
from croncord.raft.state import ClusterState
from croncord.service.who import Who


@overload
def find_job(
    state: ClusterState,
    who: Who,
    ref: str,
    act: Scope = "read",
    *,
    missing_ok: Literal[False] = False,
) -> Job: ...


@overload
def find_job(
    state: ClusterState, who: Who, ref: str, act: Scope = "read", *, missing_ok: Literal[True]
) -> Job | None: ...


def find_job(
    state: ClusterState, who: Who, ref: str, act: Scope = "read", *, missing_ok: bool = False
) -> Job | None:
    """Return the job of that id or name, to which the caller may do `act`.

    Raises NotFound when there is none that the caller sees, Forbidden when it may only be seen.
    """
    who.require_some_job(act)
    job = state.jobs.get(ref) or state.job_named(ref)
    if job is None or not sees(who, job):
        if missing_ok:
            return None
        raise NotFound(f"no job is named {ref[:128]!r}", hint=_meant(state, who, ref))
    who.require_job(act, job.spec.tags)
    return job


def sees(who: Who, job: Job) -> bool:
    """Whether the job exists for the caller."""
    return who.may_job("read", job.spec.tags)


def seen_jobs(state: ClusterState, who: Who) -> Iterator[Job]:
    """Yield the jobs that exist for the caller."""
    jobs = state.jobs.copy_entries().values()
    return (job for job in jobs if not who.is_limited or sees(who, job))


def sees_job_id(state: ClusterState, who: Who, job_id: str) -> bool:
    """Whether what belongs to that job exists for the caller; of a deleted job only unlimited ones see it."""
    if not who.is_limited:
        return True
    job = state.jobs.get(job_id)
    return job is not None and sees(who, job)


def job_ids_in_reach(state: ClusterState, who: Who) -> frozenset[str] | None:
    """Return the ids of all jobs that the caller sees; None for no limit."""
    return frozenset(job.id for job in seen_jobs(state, who)) if who.is_limited else None


def require_definition(state: ClusterState, who: Who, spec: JobSpec, old: Job | None) -> None:
    """Raise Forbidden or Invalid when the caller may not save that definition.

    The job must stay within the caller's grants, and may not reach for what lies outside of them.
    """
    who.require_job("edit", spec.tags)
    known = old.spec.secrets if old is not None else ()
    for name in spec.secrets:
        secret = state.secrets.get(name)
        if name not in known and secret is not None and not may_use_secret(who, secret):
            raise Invalid([FieldError("secrets", f"no secret is named {name!r}")])
    if not who.is_limited:
        return
    kept = {entry.job for entry in old.spec.after} if old is not None else set()
    for entry in spec.after:
        upstream = state.job_named(entry.job)
        if (
            entry.job not in kept
            and entry.job != spec.name
            and (upstream is None or not sees(who, upstream))
        ):
            message = f"no job is named {entry.job!r} that you may see"
            raise Invalid([FieldError("after", message)])


def may_use_secret(who: Who, secret: Secret) -> bool:
    """Whether the caller may name the secret in jobs: all that it is for are theirs to edit."""
    if not secret.tags:
        return who.may_some_job("edit")
    return all(who.may_job("edit", [tag]) for tag in secret.tags)


def _meant(state: ClusterState, who: Who, ref: str) -> str:
    names = [job.name for job in seen_jobs(state, who)][:1000]
    close = difflib.get_close_matches(ref[:64], names, n=3)
    return f"Did you mean {' or '.join(close)}?" if close else "See the list of jobs."
