"""Periods of an iCalendar file (RFC 5545): VEVENT with DTSTART, DTEND or DURATION, and RRULE.

Recurring events are unrolled over a window; EXDATE and RDATE are honoured, everything else of an
event (alarms, attendees, texts) is passed over. A date without a time is a whole day in the zone.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from dateutil.rrule import (  # type: ignore[import-untyped]  # it ships no types
    DAILY,
    rruleset,
    rrulestr,
)

from croncord.errors import FieldError, Invalid, ScheduleError
from croncord.model import PERIODS_MAX, Period
from croncord.schedule import zone_info

BYTES_MAX = 1024 * 1024
_DURATION = re.compile(r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")
_LINE = re.compile(r'((?:[^":]|"[^"]*")*):(.*)')
"""A quoted parameter may hold a colon."""
Property = tuple[str, dict[str, str], str]


def read_periods(text: str, timezone: str, after: datetime, until: datetime) -> tuple[Period, ...]:
    """Return the periods in (`after`, `until`), in order; raises Invalid naming the line's fault.

    `timezone` is where times without a zone are, and days begin.
    """
    lines = _unfold(text.removeprefix("\ufeff"))
    if not lines or lines[0].strip().upper() != "BEGIN:VCALENDAR":
        raise _wrong("does not begin with BEGIN:VCALENDAR")
    found: list[Period] = []
    for event in _events(lines):
        for period in _periods(event, timezone, after, until):
            found.append(period)
            if len(found) > PERIODS_MAX:
                raise _wrong(f"has more than {PERIODS_MAX} periods within five years")
    return tuple(sorted(set(found), key=lambda period: (period.start, period.end)))


def _unfold(text: str) -> list[str]:
    return re.sub(r"\r?\n[ \t]", "", text).splitlines()


def _events(lines: list[str]) -> Iterator[list[Property]]:
    event: list[Property] | None = None
    nested = 0
    for line in lines:
        name, parameters, value = _property(line)
        if name == "BEGIN" and value.upper() == "VEVENT":
            event, nested = [], 0
        elif name == "END" and value.upper() == "VEVENT" and event is not None:
            yield event
            event = None
        elif name in ("BEGIN", "END"):
            nested += 1 if name == "BEGIN" else -1
        elif event is not None and nested == 0:
            event.append((name, parameters, value))


def _property(line: str) -> Property:
    found = _LINE.fullmatch(line)
    head, value = found.groups() if found else ("", "")
    name, *parts = head.split(";")
    pairs = (part.partition("=") for part in parts)
    return name.upper(), {key.upper(): text.strip('"') for key, _, text in pairs}, value.strip()


def _periods(
    event: list[Property], timezone: str, after: datetime, until: datetime
) -> Iterator[Period]:
    one = {name: (parameters, value) for name, parameters, value in event}
    if "DTSTART" not in one or one.get("STATUS", ({}, ""))[1].upper() == "CANCELLED":
        return
    start, zone = _moment(*one["DTSTART"], timezone)
    length = _length(one, start, timezone)
    rules = rruleset()
    rules.rdate(start)
    for name, parameters, value in event:
        if name == "RRULE":
            rules.rrule(_rule(value, start, until))
        elif name in ("RDATE", "EXDATE"):
            for text in value.split(","):
                moment, _ = _moment(parameters, text, timezone)
                (rules.rdate if name == "RDATE" else rules.exdate)(moment)
    for wall in rules:
        begins = wall.replace(tzinfo=zone_info(zone)).astimezone(UTC)
        ends = (wall + length).replace(tzinfo=zone_info(zone)).astimezone(UTC)
        if begins >= until:
            return
        if ends > after and ends > begins:
            yield Period(start=begins, end=ends)


def _rule(text: str, start: datetime, until: datetime) -> object:
    """Read an RRULE on the wall clock, ended at the window's end: it could go on for ever."""
    plain = re.sub(r"(UNTIL=\d{8}(?:T\d{6})?)Z", r"\1", text, flags=re.IGNORECASE)
    try:
        rule = rrulestr(plain, dtstart=start)
        too_often = rule._freq > DAILY  # noqa: SLF001  # dateutil has no public name for it
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, IndexError) as error:
        raise _wrong(f"RRULE {text[:64]!r} cannot be read: {error}") from None
    if too_often:
        raise _wrong(f"RRULE {text[:64]!r}: an event may recur daily at most")
    end = until.replace(tzinfo=None) + timedelta(days=1)
    own_end = rule._until  # noqa: SLF001  # likewise
    if rule._count is not None:  # noqa: SLF001  # likewise; a count ends by itself
        return rule
    return rule.replace(until=end if own_end is None else min(end, own_end))


def _length(
    one: dict[str, tuple[dict[str, str], str]], start: datetime, timezone: str
) -> timedelta:
    if "DTEND" in one:
        end, _ = _moment(*one["DTEND"], timezone)
        return end - start
    if "DURATION" in one:
        found = _DURATION.fullmatch(one["DURATION"][1].upper())
        if found is None:
            raise _wrong(f"DURATION {one['DURATION'][1][:64]!r} cannot be read")
        weeks, days, hours, minutes, seconds = (int((n or "0")[:6]) for n in found.groups())
        return timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    return timedelta(days=1) if len(one["DTSTART"][1]) == len("20270101") else timedelta(0)


def _moment(parameters: dict[str, str], text: str, timezone: str) -> tuple[datetime, str]:
    """Return a wall time and the zone in which it is one."""
    zone = "UTC" if text.upper().endswith("Z") else parameters.get("TZID", timezone)
    plain = text.upper().removesuffix("Z")
    try:
        zone_info(zone)
        shape = "%Y%m%dT%H%M%S" if "T" in plain else "%Y%m%d"
        moment = datetime.strptime(plain, shape)  # noqa: DTZ007  # a wall time; its zone is beside it
    except (ScheduleError, ValueError, KeyError):
        raise _wrong(f"{text[:64]!r} in the zone {zone[:64]!r} cannot be placed") from None
    if not 1971 <= moment.year < 2199:
        raise _wrong(f"{text[:64]!r}: the year must be from 1971 to 2198")
    return moment, zone


def _wrong(message: str) -> Invalid:
    return Invalid([FieldError("text", message)])
