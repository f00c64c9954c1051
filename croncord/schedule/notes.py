"""Remarks on a schedule that a person should see before saving it."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from types import MappingProxyType

from croncord.schedule.changes import clock_changes
from croncord.schedule.compile import compile_schedule, is_spread, normalise
from croncord.schedule.cron import LONGEST, CronTable, DayRule, cron_table
from croncord.schedule.dialect import DAY, FIELDS, HOUR, MINUTE, MONTH, SECOND, WEEKDAY, Field, top

_RAPID_SECONDS = 10
_EACH_IS_KEPT = "each run is recorded and its output kept"
_SPREAD = "H stands for a number drawn for each job, so another job gets other times than these."
_APPROXIMATE = (
    "H stands for a number drawn for each job when it is created: its own times will differ from "
    "these, and come as often."
)
_STARTS_AGAIN = MappingProxyType(
    {
        SECOND: "at 0 every minute",
        MINUTE: "at 0 every hour",
        HOUR: "at 0 every day",
        DAY: "on the 1st of every month",
        MONTH: "every January",
        WEEKDAY: "every Sunday",
    }
)


def clock_change_notes(
    expr: str,
    tz: str,
    after: datetime,
    dst: str = "cron",
    until_days: int = 400,
    *,
    hash_key: str = "",
) -> list[str]:
    """Say for each clock change within `until_days` after `after` what becomes of the runs.

    Empty if none touches the schedule. Raises ScheduleError as `compile_schedule` does.
    """
    schedule = compile_schedule(expr, tz, dst, anchor=after, hash_key=hash_key)
    changes = clock_changes(schedule, after, after + timedelta(days=until_days))
    return [change.sentence() for change in changes]


def reading_notes(expr: str, hash_key: str = "") -> list[str]:
    """Say what in a valid expression is easily read otherwise than cron reads it.

    Without the `hash_key` of a job the times of one that uses `H` are only an example, and told so.
    """
    text = normalise(expr, hash_key)
    if text.startswith("@"):
        rapid = text.startswith("@every") and int(text[7:-1]) < _RAPID_SECONDS
        return [f"Runs every {text[7:-1]} seconds; {_EACH_IS_KEPT}."] if rapid else []
    table = cron_table(text)
    columns = text.split()
    by_field = dict(zip(FIELDS[-len(columns) :], columns, strict=True))
    notes = [_SPREAD if hash_key else _APPROXIMATE] if is_spread(expr) else []
    notes += _day_notes(table.rule, by_field)
    notes += [note for field, column in by_field.items() for note in _step_notes(field, column)]
    notes += _frequency_notes(table, by_field)
    return notes


def _day_notes(rule: DayRule, columns: dict[Field, str]) -> Iterator[str]:
    day, weekday = columns[DAY], columns[WEEKDAY]
    if day != "*" and weekday != "*":
        if rule.both:
            starred = DAY if day.startswith("*") else WEEKDAY
            yield (
                "Runs on days that match both the day of month and the weekday, "
                f"because the {starred.name} field begins with *."
            )
        else:
            yield "Runs on days that match either the day of month or the weekday."
    if weekday != "*" and not rule.both:
        return
    shortest = (rule.days & -rule.days).bit_length() - 1
    if rule.last_day or rule.nearest or shortest < 29:
        return
    short = [m for m in range(1, 13) if rule.months >> m & 1 and LONGEST[m - 1] < shortest]
    if rule.months == 1 << 2:
        yield "Runs only on 29 February, that is in leap years."
    elif short:
        nth = f"{shortest}{'st' if shortest == 31 else 'th'}"
        yield f"Months without a {nth} are left out; L is the last day of every month."
    elif shortest == 29 and rule.months >> 2 & 1:
        yield "In February it runs in leap years only; L is the last day of every month."


def _step_notes(field: Field, column: str) -> Iterator[str]:
    if not re.fullmatch(r"\*/\d+", column):
        return
    step = int(column[2:])
    values = range(field.low, top(field) + 1)
    if step >= len(values):
        yield f"{column} in the {field.name} field means only {field.low}."
    elif len(values) % step or field is DAY:
        yield (
            f"{column} in the {field.name} field is not even: "
            f"counting starts again {_STARTS_AGAIN[field]}."
        )


def _frequency_notes(table: CronTable, columns: dict[Field, str]) -> Iterator[str]:
    a_minute = len(table.seconds)
    if a_minute > 60 // _RAPID_SECONDS:
        yield f"Runs {a_minute} times in a minute; {_EACH_IS_KEPT}."
    if columns[MINUTE] == "*" and a_minute == 1 and not columns[HOUR].startswith("*"):
        yield "Runs in every minute of these hours; write 0 in the minute field for once an hour."
