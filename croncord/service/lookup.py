"""Finding what a person named, or saying what they may have meant."""

import difflib
from typing import Literal, overload

from croncord.errors import NotFound
from croncord.model import Job
from croncord.raft.state import ClusterState


@overload
def find_job(state: ClusterState, ref: str, *, missing_ok: Literal[False] = False) -> Job: ...


@overload
def find_job(state: ClusterState, ref: str, *, missing_ok: Literal[True]) -> Job | None: ...


def find_job(state: ClusterState, ref: str, *, missing_ok: bool = False) -> Job | None:
    """Return the job of that id or name. Raises NotFound."""
    job = state.jobs.get(ref) or state.job_named(ref)
    if job is None and not missing_ok:
        raise NotFound(f"no job is named {ref[:128]!r}", hint=_meant(state, ref))
    return job


def _meant(state: ClusterState, ref: str) -> str:
    names = [job.name for job in state.jobs.values()][:1000]
    close = difflib.get_close_matches(ref[:64], names, n=3)
    return f"Did you mean {' or '.join(close)}?" if close else "See the list of jobs."
