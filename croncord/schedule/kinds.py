"""The kinds of schedule, each a function from an instant to the next one.

    Schedule
    ├── CronSchedule    five or six fields, or an alias such as @daily
    ├── EverySchedule   @every 90s: anchor + k * period in elapsed time, blind to clock changes
    ├── AtSchedule      @at 2027-01-01T00:00:00Z: one instant
    ├── ManualSchedule  @manual: never by itself
    └── UnionSchedule   several of them, one run per instant

Instants at this interface are aware datetimes; answers are UTC with whole seconds, between 1970
and the end of 2199.
"""

import heapq
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from croncord.errors import ScheduleError
from croncord.schedule.cron import END_YEAR, CronTable
from croncord.schedule.rules import ClockRule, next_instant
from croncord.schedule.zones import Zone

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_END = (datetime(END_YEAR, 1, 1, tzinfo=UTC) - _EPOCH) // _SECOND


def to_seconds(instant: datetime) -> int:
    """Return whole seconds since 1970 UTC, rounded down; raise ScheduleError without an offset."""
    if instant.tzinfo is None:
        raise ScheduleError(
            "a time without UTC offset cannot be placed", field="after", hint="Add Z or +01:00."
        )
    return (instant - _EPOCH) // _SECOND


def to_datetime(seconds: int) -> datetime:
    """Inverse of `to_seconds`."""
    return _EPOCH + timedelta(seconds=seconds)


class Schedule:
    """When a job is due. Equal schedules are due at the same instants, so jobs can share one.

    `key` is what equality and hash go by: the kind and its normalised text, zone and policy.
    """

    __slots__ = ("_hash", "key")

    fires_by_itself: ClassVar[bool] = True

    def __init__(self, key: tuple[object, ...]) -> None:
        self.key = (type(self).__name__, *key)
        self._hash = hash(self.key)

    def next(self, after: datetime) -> datetime | None:
        """Return the first due instant strictly after `after`, or None if there is none.

        None also means "not within 40 years". Raises ScheduleError if `after` is naive.
        """
        found = self.next_second(max(to_seconds(after), -1))
        return None if found is None else to_datetime(found)

    def between(self, after: datetime, until: datetime, limit: int) -> list[datetime]:
        """Return due instants in (`after`, `until`], the earliest `limit` of them."""
        found: list[datetime] = []
        last = min(to_seconds(until), _END - 1)
        at: int | None = max(to_seconds(after), -1)
        while len(found) < limit and at is not None and at < last:
            at = self.next_second(at)
            if at is not None and at <= last:
                found.append(to_datetime(at))
        return found

    def iterate(self, after: datetime) -> Iterator[datetime]:
        """Yield the due instants strictly after `after`, one by one, as they are asked for."""
        at = self.next(after)
        while at is not None:
            yield at
            at = self.next(at)

    def next_second(self, after: int) -> int | None:
        """Like `next`, in whole seconds since 1970 UTC."""
        found = self._search(after) if after < _END else None
        return found if found is not None and found < _END else None

    def _search(self, after: int) -> int | None:
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Schedule) and self.key == other.key)

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"<{' '.join(str(part) for part in self.key)}>"


class CronSchedule(Schedule):
    """Cron fields on the wall clock of a zone, with a rule for clock changes."""

    __slots__ = ("rule", "table", "zone")

    def __init__(
        self, key: tuple[object, ...], table: CronTable, zone: Zone, rule: ClockRule
    ) -> None:
        super().__init__(key)
        self.table = table
        self.zone = zone
        self.rule = rule

    def _search(self, after: int) -> int | None:
        return next_instant(self.table, self.zone, self.rule, after)


class EverySchedule(Schedule):
    """At `anchor` and every `period` seconds from then on; never before the anchor."""

    __slots__ = ("anchor", "period")

    def __init__(self, period: int, anchor: int) -> None:
        super().__init__((period, anchor))
        self.period = period
        self.anchor = anchor

    def _search(self, after: int) -> int | None:
        if after < self.anchor:
            return self.anchor
        return self.anchor + ((after - self.anchor) // self.period + 1) * self.period


class AtSchedule(Schedule):
    """Once."""

    __slots__ = ("instant",)

    def __init__(self, instant: int) -> None:
        super().__init__((instant,))
        self.instant = instant

    def _search(self, after: int) -> int | None:
        return self.instant if after < self.instant else None


class ManualSchedule(Schedule):
    """Never by itself; only by hand or after another job."""

    __slots__ = ()

    fires_by_itself = False

    def __init__(self) -> None:
        super().__init__(())

    def _search(self, after: int) -> int | None:
        del after
        return None


class UnionSchedule(Schedule):
    """Several schedules at once; where two are due at one instant it is one run."""

    __slots__ = ("members",)

    def __init__(self, members: frozenset[Schedule]) -> None:
        super().__init__((members,))
        self.members = members

    def _search(self, after: int) -> int | None:
        found = (m.next_second(after) for m in self.members)
        return min((f for f in found if f is not None), default=None)

    def between(self, after: datetime, until: datetime, limit: int) -> list[datetime]:
        """Return due instants of any member in (`after`, `until`], the earliest `limit` of them."""
        streams = [m.between(after, until, limit) for m in self.members]
        return list(dict.fromkeys(heapq.merge(*streams)))[:limit]
