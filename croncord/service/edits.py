"""What an edit changes: fields, lines of the script, and ticks of the next day."""

import difflib
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import islice, takewhile

import msgspec

from croncord.model import Job, JobSpec
from croncord.preview import iso_utc
from croncord.raft.jobs_apply import timing
from croncord.service.views import Json, Rows, Time, View, spec_json
from croncord.ticks import ticks_after

_DAY = timedelta(days=1)
_TICKS_MAX = 2000
_SHOWN_MAX = 50
_LINES_MAX = 1000


class TickChanges(View, frozen=True, kw_only=True):
    """Which ticks appear and vanish when a definition is saved."""

    until: Time
    """The comparison ends here: a day ahead, earlier for jobs that run very often."""
    added: list[Time]
    """The first 50 that the job has only once it is saved."""
    removed: list[Time]
    """The first 50 that it has now and then no more."""
    added_count: int
    removed_count: int


def tick_changes(spec: JobSpec, old: Job | None, now: datetime) -> Json:
    """Compare the ticks of a job as it is with those it would have, were it saved now."""
    job_id = old.id if old else ""
    kept = old is not None and timing(old.spec) == timing(spec)
    anchor = old.anchor if old is not None and kept else now
    new_ticks = _ticks(spec, job_id, anchor, now)
    old_ticks = _ticks(old.spec, old.id, old.anchor, now) if old else []
    until = now + _DAY
    for ticks in (new_ticks, old_ticks):
        if len(ticks) == _TICKS_MAX:
            until = min(until, ticks[-1])
    added = sorted(tick for tick in set(new_ticks) - set(old_ticks) if tick <= until)
    removed = sorted(tick for tick in set(old_ticks) - set(new_ticks) if tick <= until)
    view = TickChanges(
        until=iso_utc(until),
        added=[iso_utc(tick) for tick in added[:_SHOWN_MAX]],
        removed=[iso_utc(tick) for tick in removed[:_SHOWN_MAX]],
        added_count=len(added),
        removed_count=len(removed),
    )
    fields: Json = msgspec.to_builtins(view)
    return fields


def _ticks(spec: JobSpec, job_id: str, anchor: datetime, now: datetime) -> list[datetime]:
    ticks = takewhile(lambda tick: tick <= now + _DAY, ticks_after(spec, job_id, anchor, now))
    return list(islice(ticks, _TICKS_MAX))


def version_rows(kept: Sequence[Job]) -> Rows:
    """Return definitions, newest first, each with what it changed of the one before."""
    told: Rows = []
    before: Json | None = None
    for job in kept:
        definition = spec_json(job.spec)
        diff = [] if before is None else _diff(before, definition)
        told.append(
            {
                "version": job.version,
                "updated_at": iso_utc(job.updated_at),
                "updated_by": job.updated_by,
                "changed": [change["field"] for change in diff],
                "diff": diff,
                "definition": definition,
            }
        )
        before = definition
    return told[::-1]


def _diff(before: Json, after: Json) -> Rows:
    return [
        {"field": name, "before": before[name], "after": value, "lines": None}
        if name != "script"
        else {"field": name, "before": None, "after": None, "lines": _lines(before[name], value)}
        for name, value in after.items()
        if before[name] != value
    ]


def _lines(before: str, after: str) -> list[str]:
    diff = difflib.unified_diff(
        before.splitlines(), after.splitlines(), "before", "after", lineterm=""
    )
    return list(islice(diff, _LINES_MAX))
