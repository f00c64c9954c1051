"""From crontabs to jobs: what becomes of each line, compared with the jobs there are. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from croncord.cli.crontab_files import Crontab
from croncord.cli.plan import ChangeKind, merged
from croncord.crontab import Assignment, Line, Refusal, describe, job_fields, read_crontab
from croncord.errors import Invalid
from croncord.model import JobSpec
from croncord.validation import read_job

_ORIGIN = "From "
"""Descriptions of imported jobs begin so; other jobs are not touched."""


@dataclass
class ImportedLine:
    """A line of a crontab and what becomes of it."""

    file: str
    line: Line
    spec: JobSpec | None = None
    """The job that does the same; None for settings and refused lines."""
    change: ChangeKind | None = None
    """What importing it does to the cluster, once that was compared."""
    version: int | None = None
    """Of the job that is updated."""
    refusal: str = ""
    """Why it is not imported."""

    @property
    def number(self) -> int:
        """Which line of its file, from 1."""
        return self.line.line

    @property
    def sentence(self) -> str:
        """What was understood."""
        return describe(self.line)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What differs a little from what cron would do."""
        return () if isinstance(self.line, Refusal) else self.line.notes

    @property
    def is_setting(self) -> bool:
        """Whether it only sets something for the lines below it."""
        return isinstance(self.line, Assignment)


def read_lines(crontabs: Iterable[Crontab], *, timezone: str, prefix: str) -> list[ImportedLine]:
    """Return every line that means something, in order, with the job that does the same."""
    found: list[ImportedLine] = []
    taken: set[str] = set()
    for crontab in crontabs:
        lines = read_crontab(crontab.text, system=crontab.system)
        fields = {
            entry.line: fields
            for entry, fields in job_fields(
                lines, file=crontab.path, timezone=timezone, user=crontab.user
            )
        }
        for line in lines:
            item = ImportedLine(crontab.path, line)
            if isinstance(line, Refusal):
                item.refusal = line.reason
            elif line.line in fields:
                _take(item, fields[line.line], prefix, taken)
            found.append(item)
    return found


def _take(item: ImportedLine, fields: dict[str, Any], prefix: str, taken: set[str]) -> None:
    name = prefix + fields["name"]
    if name in taken:  # by another file of the same name elsewhere
        name += "-" + blake2b(item.file.encode(), digest_size=2).hexdigest()
    taken.add(name)
    try:
        item.spec = read_job({**fields, "name": name})
    except Invalid as e:
        item.refusal = e.message


def compare(items: Iterable[ImportedLine], current: Mapping[str, dict[str, Any]]) -> None:
    """Note for each job whether it is created, updated or there already.

    What a person has set on an imported job and a crontab does not say, such as tags or a time
    limit, stays. A job of the same name that was not imported is left alone. `current` holds jobs
    as the API lists them.
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
            said = _said_by_crontab(item.spec)
            item.change, item.spec, item.version = merged(item.spec, said, job)


def _said_by_crontab(spec: JobSpec) -> tuple[str, ...]:
    always = ("description", "schedule", "timezone", "script", "user", "environment", "overlap")
    sometimes = ("working_directory", "jitter_seconds")
    return (*always, *(name for name in sometimes if getattr(spec, name)))
