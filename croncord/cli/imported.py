"""From jobs of another scheduler to jobs of ours, compared with the jobs there are. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec

from croncord.cli.plan import ChangeKind, merged
from croncord.errors import Invalid
from croncord.importing import Found
from croncord.model import JobSpec
from croncord.ticks import ticks_after
from croncord.validation import read_job

_ORIGIN = "From "
"""Descriptions of imported jobs begin so; other jobs are not touched."""


@dataclass
class ImportedJob:
    """A job as the old scheduler calls it, and what becomes of it."""

    label: str
    remarks: Sequence[str]
    spec: JobSpec | None = None
    said: Sequence[str] = ()
    """The fields that the old scheduler says something about."""
    old: list[datetime] | None = None
    """Its next runs by the old rules; None when nobody can know them."""
    new: list[datetime] = field(default_factory=list)
    """Its next runs by ours."""
    change: ChangeKind | None = None
    version: int | None = None
    refusal: str = ""


def read_found(
    found: Iterable[Found], *, prefix: str, paused: bool, now: datetime, count: int
) -> list[ImportedJob]:
    """Return what becomes of each, with `count` next runs."""
    return [_read(each, prefix, paused, now, count) for each in found]


def _read(each: Found, prefix: str, paused: bool, now: datetime, count: int) -> ImportedJob:  # noqa: FBT001 - a field of the job
    item = ImportedJob(each.label, each.remarks, refusal=each.refusal)
    if each.refusal:
        return item
    fields = {**each.fields, "name": prefix + each.fields["name"]}
    if "after" in fields:
        fields["after"] = [{**entry, "job": prefix + entry["job"]} for entry in fields["after"]]
    if paused:
        fields["paused"] = True
    try:
        item.spec = read_job(fields)
    except Invalid as error:
        item.refusal = error.message
        return item
    item.said = tuple(fields)
    item.new = list(islice(ticks_after(item.spec, item.spec.name, now, now), count))
    if each.times is not None:
        item.old = list(islice(each.times.after(now), count))
    return item


def compare(items: Iterable[ImportedJob], current: Mapping[str, dict[str, Any]]) -> None:
    """Note for each job whether it is created, updated or there already.

    What a person has set on an imported job and the old scheduler does not say stays. A job of the
    same name that was not imported is left alone. `current` holds jobs as the API lists them.
    """
    for item in items:
        if item.spec is None:
            continue
        job = current.get(item.spec.name)
        if job is None:
            item.change = "create"
        elif not str(job["description"]).startswith(_ORIGIN):
            item.refusal = f"a job named {item.spec.name} exists that was not imported"
            item.spec = None
        else:
            # Whether it is paused was decided here since: by hand, or by --paused.
            said = [name for name in item.said if name != "paused"]
            item.change, item.spec, item.version = merged(item.spec, said, job)


def in_order(items: Sequence[ImportedJob]) -> Iterator[ImportedJob]:
    """Yield jobs after those that they run after, which must be there first."""
    waiting = {item.spec.name: item for item in items if item.spec is not None}
    while waiting:
        ready = [
            name
            for name, item in waiting.items()
            if item.spec is not None and not any(entry.job in waiting for entry in item.spec.after)
        ]
        for name in ready or list(waiting):  # a circle: the node refuses it with its reason
            yield waiting.pop(name)


def saved_fields(spec: JobSpec) -> dict[str, Any]:
    """Return the body that saves a job."""
    fields: dict[str, Any] = msgspec.to_builtins(spec)
    return fields
