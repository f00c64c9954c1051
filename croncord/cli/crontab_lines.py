"""From crontabs to jobs: what becomes of each line. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from croncord.cli.crontab_files import Crontab
from croncord.cli.imports import Imported
from croncord.crontab import Assignment, Line, Refusal, describe, job_fields, read_crontab
from croncord.errors import Invalid
from croncord.validation import read_job

_ALWAYS = ("description", "schedule", "timezone", "script", "user", "environment", "overlap")
_SOMETIMES = ("working_directory", "jitter_seconds")


@dataclass
class ImportedLine(Imported):
    """A line of a crontab and what becomes of it; settings and refused lines are no jobs."""

    file: str
    line: Line

    @property
    def told(self) -> Sequence[str]:
        """What a crontab says about a job."""
        return (*_ALWAYS, *(name for name in _SOMETIMES if getattr(self.spec, name)))

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
