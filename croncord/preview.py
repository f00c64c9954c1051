"""What a schedule will do, for a person: the answer of the preview in API, pages and command line."""

from datetime import UTC, datetime
from typing import TypedDict

from croncord.explain import explain
from croncord.schedule import (
    check_schedule,
    clock_change_notes,
    compile_schedule,
    reading_notes,
    zone_info,
)


class Preview(TypedDict):
    """The next due times of a schedule and what to know about it."""

    times: list[str]
    """UTC, ISO 8601 with milliseconds and Z."""
    local: list[str]
    """The same instants on the clock of the zone, ISO 8601 with its offset."""
    zone_letters: list[str]
    """What the zone calls its clock at each of them, such as CET and CEST."""
    description: str
    notes: list[str]


def preview(
    expr: str,
    tz: str,
    after: datetime,
    n: int,
    dst: str = "cron",
    *,
    hash_key: str = "",
    anchor: datetime | None = None,
) -> Preview:
    """Return the first `n` due times strictly after `after`, English, and notes.

    `hash_key` and `anchor` are those of a known job; without them `H` is drawn for an empty key
    and `@every` counts from `after`. Raises ScheduleError for what a job could not be saved with.
    """
    check_schedule(expr, tz, dst)
    schedule = compile_schedule(expr, tz, dst, anchor=anchor or after, hash_key=hash_key)
    zone = zone_info(tz)
    due = [at for at, _ in zip(schedule.iterate(after), range(n), strict=False)]
    local = [at.astimezone(zone) for at in due]
    return Preview(
        times=[iso_utc(at) for at in due],
        local=[at.isoformat(timespec="seconds") for at in local],
        zone_letters=[at.tzname() or "" for at in local],
        description=explain(expr, hash_key),
        notes=reading_notes(expr, hash_key)
        + clock_change_notes(expr, tz, after, dst, hash_key=hash_key),
    )


def iso_utc(instant: datetime) -> str:
    """Return `instant` as the API writes it: 2026-11-24T10:00:00.000Z."""
    utc = instant.astimezone(UTC).replace(tzinfo=None)
    return utc.isoformat(timespec="milliseconds") + "Z"
