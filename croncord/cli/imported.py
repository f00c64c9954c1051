"""From jobs of another scheduler to jobs of ours. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from croncord.cli.imports import Imported
from croncord.errors import Invalid
from croncord.importing import Found
from croncord.ticks import ticks_after
from croncord.validation import read_job


@dataclass
class ImportedJob(Imported):
    """A job as the old scheduler calls it, and what becomes of it."""

    label: str
    remarks: Sequence[str]
    said: Sequence[str] = ()
    """The fields that the old scheduler says something about."""
    old: list[datetime] | None = None
    """Its next runs by the old rules; None when nobody can know them."""
    new: list[datetime] = field(default_factory=list)
    """Its next runs by ours."""

    @property
    def told(self) -> Sequence[str]:
        """What the old scheduler says, but for whether it is paused.

        That was decided here since: by hand, or by --paused.
        """
        return [name for name in self.said if name != "paused"]


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
