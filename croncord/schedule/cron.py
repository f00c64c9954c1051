"""A cron expression as bit masks over the wall clock, from croniter's parse.

This is the only file that knows croniter. It parses and validates; the search for the next time
is ours, because croniter's own runs jobs twice or loses them around clock changes and is 20 to
160 times slower. The attributes used here (`expanded`, `expressions`, `nth_weekday_of_month`,
`nearest_weekday`) are not in its documentation, so tests compare every kind of field with it.

Wall seconds are counted from 1970-01-01T00:00:00 on the local clock; days likewise. Searches
look at most 41 calendar years ahead and never beyond 2199.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from functools import lru_cache
from typing import NamedTuple

from croniter import CroniterError, croniter

from croncord.errors import ScheduleError

FIRST_YEAR, END_YEAR = 1969, 2200
LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""Days of each month in a leap year."""
_YEARS_AHEAD = 41
_EPOCH = date(1970, 1, 1).toordinal()
_NEW_YEARS_DAY = [date(y, 1, 1).toordinal() - _EPOCH for y in range(FIRST_YEAR, END_YEAR + 1)]
_ALL_DAYS, _ALL_MONTHS, _ALL_WEEKDAYS = 0xFFFFFFFE, 0x1FFE, 0x7F


class DayRule(NamedTuple):
    """Which dates match; masks have bit n set for day, month or weekday n (Sunday is 0)."""

    days: int
    last_day: bool
    nearest: int
    """Day whose nearest Monday-to-Friday in the same month matches; 0 for none."""
    months: int
    weekdays: int
    nth: frozenset[tuple[int, int]]
    """(weekday, how-manieth in the month); 0 means the last."""
    both: bool
    """The day of month and the weekday must both match (a field begins with `*`), else either."""

    @property
    def days_restricted(self) -> bool:
        """Whether the day-of-month field leaves any day out."""
        return self.days != _ALL_DAYS

    @property
    def weekdays_restricted(self) -> bool:
        """Whether the weekday field leaves any day out."""
        return self.weekdays != _ALL_WEEKDAYS

    @property
    def every_day(self) -> bool:
        """Whether every date matches."""
        free = not self.days_restricted, not self.weekdays_restricted
        return self.months == _ALL_MONTHS and (all(free) if self.both else any(free))


@lru_cache(maxsize=16384)
def year_mask(rule: DayRule, year: int) -> int:
    """Days of `year` that match `rule`: bit 0 is 1 January.

    The cache makes all schedules with the same day fields share one mask per year.
    """
    mask = 0
    first = start = date(year, 1, 1).toordinal()
    for month in range(1, 13):
        end = date(year + month // 12, month % 12 + 1, 1).toordinal()
        if rule.months >> month & 1:
            mask |= _month_mask(rule, start % 7, end - start) >> 1 << (start - first)
        start = end
    return mask


def _month_mask(rule: DayRule, opens_on: int, length: int) -> int:
    """Bit d for each matching day d of a month whose 1st is weekday `opens_on`."""
    by_day = rule.days | rule.last_day << length
    if rule.nearest:
        by_day |= 1 << _working_day(min(rule.nearest, length), opens_on, length)
    by_weekday = 0
    for day in range(1, length + 1):
        weekday = (opens_on + day - 1) % 7
        if (
            rule.weekdays >> weekday & 1
            or (weekday, (day + 6) // 7) in rule.nth
            or (day + 7 > length and (weekday, 0) in rule.nth)
        ):
            by_weekday |= 1 << day
    matching = by_day & by_weekday if rule.both else by_day | by_weekday
    return matching & ((2 << length) - 2)


def _working_day(day: int, opens_on: int, length: int) -> int:
    """Return the Monday to Friday nearest `day` without leaving the month."""
    weekday = (opens_on + day - 1) % 7
    if weekday == 6:
        return day - 1 if day > 1 else 3
    if weekday == 0:
        return day + 1 if day < length else day - 2
    return day


class CronTable(NamedTuple):
    """What a cron expression says about the wall clock, ready for searching."""

    rule: DayRule
    minutes: int
    """Minutes of the day that match, as 1,440 bits."""
    seconds: tuple[int, ...]
    wildcard: bool
    """The minute or the hour field begins with `*`, which decides the clock-change rule."""
    every_day: bool
    first: int
    """Second of the day of the first matching time."""

    def next_day(self, day: int) -> int | None:
        """Return the first matching day number >= `day`, or None within the horizon."""
        year = 1970 + day * 400 // 146097
        if year + 1 < END_YEAR and _NEW_YEARS_DAY[year + 1 - FIRST_YEAR] <= day:
            year += 1
        elif _NEW_YEARS_DAY[year - FIRST_YEAR] > day:
            year -= 1
        for y in range(year, min(year + _YEARS_AHEAD, END_YEAR)):
            start = _NEW_YEARS_DAY[y - FIRST_YEAR]
            mask = year_mask(self.rule, y)
            if day > start:
                mask >>= day - start
                start = day
            if mask:
                return start + (mask & -mask).bit_length() - 1
        return None

    def next_wall(self, wall: int) -> int | None:
        """Return the first matching wall second > `wall`, or None within the horizon."""
        seconds = self.seconds
        minute, second = divmod(wall + 1, 60)
        if second > seconds[-1]:
            minute, second = minute + 1, 0
        day, of_day = divmod(minute, 1440)
        every_day = self.every_day
        if every_day or self.next_day(day) == day:
            left = self.minutes >> of_day
            if left & 1:
                return minute * 60 + next(s for s in seconds if s >= second)
            if left:
                return (minute + (left & -left).bit_length() - 1) * 60 + seconds[0]
        found = day + 1 if every_day else self.next_day(day + 1)
        return None if found is None else found * 86400 + self.first


@lru_cache(maxsize=65536)
def cron_table(canonical: str) -> CronTable:
    """Compile a canonical cron expression; raise ScheduleError if croniter refuses it."""
    try:
        parsed = croniter(canonical, 0, second_at_beginning=True)
    except CroniterError as refused:
        raise ScheduleError(f"not a cron expression: {refused}") from refused
    columns: Sequence[Sequence[int | str]] = parsed.expanded
    minute, hour, day, month, weekday = columns[:5]
    texts = parsed.expressions
    nearest = next(iter(parsed.nearest_weekday), 0)
    nth: dict[int, set[int | str]] = {int(k): {*n} for k, n in parsed.nth_weekday_of_month.items()}
    hour_bits = _mask(minute, range(60))
    minutes = 0
    for h in _numbers(hour, range(24)):
        minutes |= hour_bits << (60 * h)
    rule = DayRule(
        days=_mask((d for d in day if d != nearest), range(1, 32)),
        last_day="l" in day,
        nearest=nearest,
        months=_mask(month, range(1, 13)),
        weekdays=_mask((d for d in weekday if d not in nth), range(7)),
        nth=frozenset((k, n if isinstance(n, int) else 0) for k, ns in nth.items() for n in ns),
        both=texts[2].startswith("*") or texts[4].startswith("*"),
    )
    seconds = _numbers(columns[5], range(60)) if len(columns) > 5 else [0]
    return CronTable(
        rule,
        minutes,
        seconds=tuple(sorted(seconds)),
        wildcard=texts[0].startswith("*") or texts[1].startswith("*"),
        every_day=rule.every_day,
        first=((minutes & -minutes).bit_length() - 1) * 60 + min(seconds),
    )


def _numbers(column: Iterable[int | str], everything: range) -> list[int]:
    """Return the numbers of an expanded field, which may hold `'*'` beside numbers, and `'l'`."""
    values = list(column)
    if "*" in values:
        return list(everything)
    return [v for v in values if isinstance(v, int)]


def _mask(column: Iterable[int | str], everything: range) -> int:
    return sum(1 << v for v in set(_numbers(column, everything)))
