"""Equal parts of definitions take room once. Changes no value, so it is in no digest and no snapshot.

Decoding makes every part anew: a hundred thousand jobs would each have their own `Limits()`, and after
a restart a job and its newest version would be two. Half of the memory of a large table is saved.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from croncord.model import Job, JobSpec

_DEFAULTS = {
    field.name: field.default
    for field in msgspec.structs.fields(JobSpec)
    if field.default is not msgspec.NODEFAULT
}


def share_defaults(spec: JobSpec) -> JobSpec:
    """Return an equal definition that has what is as usual in common with all others."""
    usual = {name: value for name, value in _DEFAULTS.items() if getattr(spec, name) == value}
    return msgspec.structs.replace(spec, **usual)


def share_entry(jobs: Mapping[str, Job], table: str, key: str, value: Any) -> Any:
    """Return an equal entry of a table that is restored; `jobs` is the table of those already there."""
    if table == "jobs":
        return msgspec.structs.replace(value, spec=share_defaults(value.spec))
    if table == "versions":
        now = jobs.get(key)
        return tuple(_as_now(job, now) for job in value)
    return value


def _as_now(job: Job, now: Job | None) -> Job:
    if job == now:
        return now
    spec = now.spec if now is not None and job.spec == now.spec else share_defaults(job.spec)
    return msgspec.structs.replace(job, spec=spec)
