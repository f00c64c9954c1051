"""A schedule expression in English.

The words are made from the compiled masks, not from the text, so they say what will happen: a
weekday list that covers the whole week is "every day", and the two day fields are joined by
"and also" or by "only if", as cron's own rule for them decides.
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from croncord.schedule import normalise
from croncord.schedule.cron import CronTable, DayRule, cron_table
from croncord.schedule.dialect import MONTH_NAMES, WEEKDAY_NAMES

_LISTED = 5
"""Longer lists with even gaps are cut to their first two and their last."""
_WORKING = [1, 2, 3, 4, 5]


def explain(expr: str, hash_key: str = "") -> str:
    """Return one English sentence for `expr`, without a full stop.

    `H` is drawn from `hash_key` as `compile_schedule` draws it. Raises ScheduleError if `expr`
    cannot be understood.
    """
    text = normalise(expr, hash_key)
    word, _, rest = text.partition(" ")
    if word == "@every":
        return f"Every {_duration(int(rest[:-1]))}, counted from the job's start"
    if word == "@at":
        moment = datetime.fromisoformat(rest)
        zone = "UTC" if moment.tzinfo else "local time"
        return f"Once, on {moment:%a} {moment.day} {moment:%b %Y} at {moment:%H:%M:%S} {zone}"
    if word == "@manual":
        return "Only when started by hand or by another job"
    return _cron(cron_table(text))


def _duration(seconds: int) -> str:
    """Say a time span in its largest units: 5400 is "1 hour 30 minutes"."""
    words = []
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            words.append(f"{count} {unit}{'s' if count > 1 else ''}")
    return words[0].removeprefix("1 ") if len(words) == 1 else " ".join(words)


def _cron(table: CronTable) -> str:
    minutes = [m for m in range(1440) if table.minutes >> m & 1]
    hours = sorted({m // 60 for m in minutes})
    of_hour = sorted({m % 60 for m in minutes})
    when, each_day = _time(table.seconds, of_hour, hours)
    days = _days(table.rule)
    if not days:
        return f"{when} every day" if each_day else when
    return f"{when} {days}"


def _time(seconds: Sequence[int], minutes: Sequence[int], hours: Sequence[int]) -> tuple[str, bool]:
    """Return the time of day in words, and whether "every day" should follow."""
    all_day = len(hours) == 24
    if len(seconds) > 1 and len(seconds) * len(minutes) * len(hours) > _LISTED:
        beats = _rhythm(seconds, 60, "second")
        if beats and all_day and len(minutes) == 60:
            return beats, False
        beats = beats or f"At second {_listed([str(s) for s in seconds], seconds)}"
        within, each_day = _time((0,), minutes, hours)
        return f"{beats} within these minutes: {within[0].lower()}{within[1:]}", each_day
    if all_day:
        return _every_hour(seconds[0], minutes), False
    if len(minutes) == 1 and len(hours) > 3 and (every := _rhythm(hours, 24, "hour")):
        return f"{every} at {_past(seconds[0], minutes)}", False
    count = len(seconds) * len(minutes) * len(hours)
    even = len(_gaps([h * 60 + m for h in hours for m in minutes])) == 1
    if len(minutes) == 1 or count <= _LISTED or (len(minutes) == 2 and even):
        return f"At {_clocks(seconds, minutes, hours)}", True
    return _within_hours(seconds[0], minutes, hours), True


def _every_hour(second: int, minutes: Sequence[int]) -> str:
    if every := _rhythm(minutes, 60, "minute"):
        return every + _tail(second)
    if _unbroken(minutes):
        return f"Every minute from :{minutes[0]:02} to :{minutes[-1]:02} of every hour" + _tail(
            second
        )
    return f"Every hour at {_past(second, minutes)}"


def _within_hours(second: int, minutes: Sequence[int], hours: Sequence[int]) -> str:
    every = _rhythm(minutes, 60, "minute")
    if every and _unbroken(hours):
        return f"{every} from {hours[0]:02}:00 to {hours[-1]:02}:{minutes[-1]:02}" + _tail(second)
    if _unbroken(minutes) and len(hours) == 1:
        span = f"{hours[0]:02}:{minutes[0]:02} to {hours[0]:02}:{minutes[-1]:02}"
        return f"Every minute from {span}" + _tail(second)
    plural = "s" if len(hours) > 1 else ""
    of_hours = f" in the hour{plural} {_listed([f'{h:02}' for h in hours], hours)}"
    if every:
        return every + of_hours + _tail(second)
    if _unbroken(minutes):
        span = f":{minutes[0]:02} to :{minutes[-1]:02}"
        return f"Every minute from {span}" + of_hours + _tail(second)
    return f"At {_past(second, minutes)}" + of_hours


def _unbroken(values: Sequence[int]) -> bool:
    return len(values) > 2 and values[-1] - values[0] == len(values) - 1


def _tail(second: int) -> str:
    return f" at second {second}" if second else ""


def _past(second: int, minutes: Sequence[int]) -> str:
    """Say minutes past the hour: ":15 and :45"."""
    return _listed([f":{m:02}" + (f":{second:02}" if second else "") for m in minutes], minutes)


def _clocks(seconds: Sequence[int], minutes: Sequence[int], hours: Sequence[int]) -> str:
    times = [(h * 60 + m) * 60 + s for h in hours for m in minutes for s in seconds]
    texts = [f"{t // 3600:02}:{t // 60 % 60:02}" for t in times]
    if any(seconds):
        texts = [f"{text}:{t % 60:02}" for text, t in zip(texts, times, strict=True)]
    return _listed(texts, times)


def _rhythm(values: Sequence[int], size: int, unit: str) -> str:
    """Return "Every 5 minutes" if `values` tick evenly from 0 round the clock, else nothing."""
    step = size // len(values)
    if len(values) < 2 or list(values) != list(range(0, size, step)):
        return ""
    return f"Every {unit}" if step == 1 else f"Every {step} {unit}s"


def _days(rule: DayRule) -> str:
    """Return the date part, or nothing if every date matches."""
    if rule.every_day:
        return ""
    months = [m for m in range(1, 13) if rule.months >> m & 1]
    by_day = _by_day(rule) if rule.days_restricted else ""
    by_weekday = _by_weekday(rule) if rule.weekdays_restricted else ""
    if not rule.both and not (by_day and by_weekday):
        by_day = by_weekday = ""  # one of them alone lets every date through
    if by_day and not by_weekday and rule.days and not (rule.last_day or rule.nearest):
        return _dates(rule, months)
    in_months = "" if len(months) == 12 else f"in {_spans(months, MONTH_NAMES, 1)}"
    if by_day and by_weekday:
        if not rule.both:
            days = f"on {by_day} of the month, and also on {by_weekday}"
        else:
            days = f"on {by_day} of the month, but only if it is {_single(rule)}"
        return f"{days}, {in_months}" if in_months else days
    if by_day:
        return f"on {by_day} of {_spans(months, MONTH_NAMES, 1) if in_months else 'the month'}"
    if by_weekday:
        return f"on {by_weekday}" + (f" {in_months}" if in_months else "")
    return f"every day {in_months}"


def _dates(rule: DayRule, months: Sequence[int]) -> str:
    days = [d for d in range(1, 32) if rule.days >> d & 1]
    if len(months) == 12:
        return f"on the {_ordinals(days)} of the month"
    if len(months) == 1:
        return f"on {_listed([str(d) for d in days], days)} {MONTH_NAMES[months[0] - 1]}"
    return f"on the {_ordinals(days)} of {_spans(months, MONTH_NAMES, 1)}"


def _by_day(rule: DayRule) -> str:
    days = [d for d in range(1, 32) if rule.days >> d & 1]
    parts = [f"the {_ordinals(days)}"] if days else []
    if rule.last_day:
        parts.append("the last day")
    if rule.nearest == 31:
        parts.append("the last Monday-to-Friday day")
    elif rule.nearest:
        parts.append(f"the Monday-to-Friday day nearest the {_ordinal(rule.nearest)}")
    return _listed(parts)


def _by_weekday(rule: DayRule) -> str:
    if rule.nth:
        return f"{_nths(rule)} of the month"
    days = [d for d in range(7) if rule.weekdays >> d & 1]
    if days == _WORKING:
        return "weekdays"
    return _joined([f"{WEEKDAY_NAMES[d]}s" for d in _monday_first(days)])


def _single(rule: DayRule) -> str:
    """Return the weekdays as the end of "only if it is …"."""
    if rule.nth:
        return f"{_nths(rule)} of the month"
    days = [d for d in range(7) if rule.weekdays >> d & 1]
    if days == _WORKING:
        return "a weekday"
    return _joined([f"a {WEEKDAY_NAMES[d]}" for d in _monday_first(days)], "or")


def _monday_first(days: Sequence[int]) -> list[int]:
    return sorted(days, key=lambda d: (d - 1) % 7)


def _nths(rule: DayRule) -> str:
    words = ("last", "first", "second", "third", "fourth", "fifth")
    which = sorted(rule.nth, key=lambda pair: (pair[1] or 9, pair[0]))
    return _joined([f"the {words[n]} {WEEKDAY_NAMES[day]}" for day, n in which])


def _spans(values: Sequence[int], names: Sequence[str], first: int) -> str:
    """Name `values`; four and more in a row are "March to September"."""
    if len(values) > 3 and values[-1] - values[0] == len(values) - 1:
        return f"{names[values[0] - first]} to {names[values[-1] - first]}"
    return _joined([names[v - first] for v in values])


def _ordinal(day: int) -> str:
    ending = "th" if 10 < day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"


def _ordinals(days: Sequence[int]) -> str:
    return _listed([_ordinal(d) for d in days], days)


def _listed(words: Sequence[str], values: Sequence[int] = ()) -> str:
    """Join `words`; a long list whose `values` rise evenly is cut: 08:00, 10:00 … 18:00."""
    gaps = _gaps(values)
    if len(words) > 3 and len(gaps) == 1:
        if gaps == {1}:
            return f"{words[0]} to {words[-1]}"
        if len(words) > _LISTED:
            return f"{words[0]}, {words[1]} … {words[-1]}"
    return _joined(words)


def _gaps(values: Sequence[int]) -> set[int]:
    return {b - a for a, b in pairwise(values)}


def _joined(words: Sequence[str], last: str = "and") -> str:
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"
