"""What has to change so that the cluster's jobs are those of the files. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from croncord.errors import FieldError, Invalid
from croncord.model import JobSpec, script_sha256
from croncord.validation import READ_ONLY, read_job

ChangeKind = Literal["create", "update", "delete", "unchanged"]


@dataclass(frozen=True)
class Difference:
    """One field of a job and its values before and after."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True)
class JobChange:
    """What becomes of one job."""

    kind: ChangeKind
    name: str
    spec: JobSpec | None = None
    """What it is to be; None for a deletion."""
    version: int | None = None
    """The version that was compared with; None when there is none yet."""
    differences: tuple[Difference, ...] = ()


def plan(
    wanted: Sequence[JobSpec], current: Mapping[str, dict[str, Any]], *, prune: bool
) -> list[JobChange]:
    """Return one change per job: the wanted ones in their order, then those to delete by name.

    `current` holds jobs by name as the API lists them. Raises Invalid when a name is wanted twice.
    """
    names = [spec.name for spec in wanted]
    for i, name in enumerate(names):
        if name in names[:i]:
            raise Invalid([FieldError("name", f"{name} is described twice")])
    changes = [_change(spec, current.get(spec.name)) for spec in wanted]
    if prune:
        surplus = sorted(current.keys() - set(names))
        changes += [JobChange("delete", n, version=current[n]["version"]) for n in surplus]
    return changes


def _change(spec: JobSpec, job: dict[str, Any] | None) -> JobChange:
    if job is None:
        return JobChange("create", spec.name, spec)
    differences = tuple(_differences(_leaves(listed_fields(job)), _leaves(_fields(spec))))
    kind: ChangeKind = "update" if differences else "unchanged"
    return JobChange(kind, spec.name, spec, job["version"], differences)


def _differences(before: dict[str, Any], after: dict[str, Any]) -> Iterator[Difference]:
    for field in dict.fromkeys([*before, *after]):
        old, new = before.get(field), after.get(field)
        if old != new:
            yield Difference(field, old, new)


def _fields(spec: JobSpec) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(spec)
    del fields["script"]
    return {**fields, "script": script_sha256(spec.script)}


def merged(
    spec: JobSpec, said: Sequence[str], job: dict[str, Any]
) -> tuple[ChangeKind, JobSpec, int]:
    """Return what importing a job does to one that there is, its new spec, and the old version.

    Only the fields that are `said` change; what a person has set besides stays.
    """
    before = listed_fields(job)
    after = {**before, **msgspec.to_builtins({name: getattr(spec, name) for name in said})}
    after["script"] = script_sha256(spec.script)
    kind: ChangeKind = "unchanged" if after == before else "update"
    return kind, read_job({**after, "script": spec.script}), job["version"]


def listed_fields(job: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that a person says about a job that the API listed.

    They are read as any job is, so that both sides have the same defaults and spellings; the
    script is there as its digest.
    """
    said = {k: v for k, v in job.items() if k not in READ_ONLY}
    fields = _fields(read_job({**said, "script": ":"}))
    fields["script"] = job["script_sha256"]
    return fields


def _leaves(fields: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            leaves |= _leaves(value, f"{path}{name}.")
        else:
            leaves[path + name] = value
    return leaves
