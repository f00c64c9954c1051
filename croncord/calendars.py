"""Which times a calendar names, and whether a job's calendars let a tick run. Pure.

A calendar names days (dates, yearly dates, ranges, weekdays), times of day, or both: then the times
count on those days only. Periods, as an imported file has them, count besides. `blackout` keeps jobs
from running in the times it names, `allowed` outside of them. A job with several must pass them all.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

from croncord.errors import FieldError, Invalid
from croncord.fields import read_fields, utc_milliseconds
from croncord.model import Calendar, CalendarSpec, Period
from croncord.schedule import zone_info, zone_names

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = timedelta(days=1)


def closed_by(calendars: Iterable[Calendar], instant: datetime) -> str:
    """Return the name of the first calendar that does not let a tick run then, empty if all do."""
    for calendar in calendars:
        if names(calendar.spec, instant) is (calendar.spec.kind == "blackout"):
            return calendar.spec.name
    return ""


def names(spec: CalendarSpec, instant: datetime) -> bool:
    """Whether the instant is among the times that the calendar names."""
    if any(period.start <= instant < period.end for period in spec.periods):
        return True
    local = instant.astimezone(zone_info(spec.timezone))
    if not spec.times:
        return _names_day(spec, local.date())
    any_day = not spec.dates and not spec.weekdays
    days = (_day_of(text, local) for text in spec.times)
    return any(day is not None and (any_day or _names_day(spec, day)) for day in days)


def _day_of(times: str, local: datetime) -> date | None:
    """Return the day on which the span of times began that holds the moment, None if none does."""
    start, end = (_time(text) for text in times.split("-"))
    now = local.time().replace(tzinfo=None)
    if start < end:
        return local.date() if start <= now < end else None
    if now >= start:
        return local.date()
    # A span such as 22:00-02:00 belongs to the day on which it begins; 09:00-24:00 ends with it.
    return local.date() - _DAY if now < end else None


def _time(text: str) -> time:
    return time(0) if text == "24:00" else time.fromisoformat(text)


def _names_day(spec: CalendarSpec, day: date) -> bool:
    if WEEKDAYS[day.weekday()] in spec.weekdays:
        return True
    full, yearly = day.isoformat(), f"{day:%m-%d}"
    for text in spec.dates:
        first, _, last = text.partition("/")
        if first == yearly or first <= full <= (last or first):
            return True
    return False


def read_calendar(fields: Mapping[str, Any]) -> CalendarSpec:
    """Build a calendar from its JSON object; raises Invalid naming every wrong field."""
    spec = read_fields(CalendarSpec, fields)
    errors = []
    if spec.timezone not in zone_names():
        errors.append(FieldError("timezone", f"{spec.timezone!r} is not a time zone"))
    errors += [FieldError("dates", f"{d!r}: {why}") for d in spec.dates if (why := _wrong_date(d))]
    for text in spec.times:
        start, end = text.split("-")
        if start == end:
            errors.append(FieldError("times", f"{text!r} is not a span of time"))
    if any(period.start >= period.end for period in spec.periods):
        errors.append(FieldError("periods", "must end after they start"))
    if not (spec.dates or spec.weekdays or spec.times or spec.periods):
        errors.append(FieldError("", "a calendar names dates, weekdays, times or periods"))
    if errors:
        raise Invalid(errors)
    periods = tuple(
        Period(start=utc_milliseconds(p.start), end=utc_milliseconds(p.end)) for p in spec.periods
    )
    return CalendarSpec(
        name=spec.name,
        kind=spec.kind,
        description=spec.description,
        timezone=spec.timezone,
        dates=spec.dates,
        weekdays=tuple(day for day in WEEKDAYS if day in spec.weekdays),
        times=spec.times,
        periods=periods,
    )


def _wrong_date(text: str) -> str:
    first, slash, last = text.partition("/")
    try:
        # 2028 is a leap year: the 29th of February is a yearly date.
        start = date.fromisoformat(first if len(first) > len("12-25") else f"2028-{first}")
        end = date.fromisoformat(last) if slash else start
    except ValueError:
        return "there is no such date"
    return "" if start <= end else "ends before it begins"
