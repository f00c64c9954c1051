"""Runs of another scheduler, found by looking at every day, hour, minute and second in turn.

Slow and plain on purpose: it shares nothing with our own evaluator, whose answers stand beside its.
A wall time that the clocks skip has no run; one that they pass twice has two, as both schedulers that
are imported have it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

DAYS_MAX = 5 * 366
"""So far into the future is looked."""
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class WallTimes:
    """Sets of numbers that a wall time must be in."""

    zone: tzinfo
    minutes: frozenset[int] = frozenset(range(60))
    hours: frozenset[int] = frozenset(range(24))
    days: frozenset[int] = frozenset(range(1, 32))
    months: frozenset[int] = frozenset(range(1, 13))
    weekdays: frozenset[int] = frozenset(range(7))
    """0 is Sunday."""
    seconds: frozenset[int] = frozenset({0})
    years: frozenset[int] | None = None
    either_day: bool = False
    """Whether a day of the month or a weekday is enough; else both must match."""

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the runs after that, in order, in UTC."""
        first = moment.astimezone(self.zone).date() - _DAY
        for offset in range(DAYS_MAX):
            day = first + offset * _DAY
            if self._has(day):
                yield from (run for run in self._runs_of(day) if run > moment)

    def _has(self, day: date) -> bool:
        if day.month not in self.months or (self.years is not None and day.year not in self.years):
            return False
        by_date, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return (by_date or by_weekday) if self.either_day else (by_date and by_weekday)

    def _runs_of(self, day: date) -> Iterator[datetime]:
        """Yield the runs of a day in order; an hour that comes twice is passed twice."""
        walls = (
            datetime.combine(day, time(hour, minute, second))
            for hour in sorted(self.hours)
            for minute in sorted(self.minutes)
            for second in sorted(self.seconds)
        )
        if self._offset(day) == self._offset(day + _DAY):
            for wall in walls:
                yield wall.replace(tzinfo=self.zone).astimezone(UTC)
        else:
            yield from sorted({run for wall in walls for run in self._instants(wall)})

    def _offset(self, day: date) -> timedelta | None:
        """Return how far the zone is from UTC when a day begins."""
        return datetime.combine(day, time(), self.zone).utcoffset()

    def _instants(self, wall: datetime) -> Iterator[datetime]:
        for fold in (0, 1):
            instant = wall.replace(tzinfo=self.zone, fold=fold).astimezone(UTC)
            if instant.astimezone(self.zone).replace(tzinfo=None) == wall:
                yield instant


@dataclass(frozen=True)
class Once:
    """One run."""

    at: datetime

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Yield it, when it is still to come."""
        if self.at > moment:
            yield self.at.astimezone(UTC)


@dataclass(frozen=True)
class Bounded:
    """Runs of which only those from one instant up to another count."""

    times: "WallTimes | Once"
    start: datetime | None = None
    end: datetime | None = None

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the runs after that, in order, in UTC."""
        for run in self.times.after(moment):
            if self.end is not None and run >= self.end:
                return
            if self.start is None or run >= self.start:
                yield run
