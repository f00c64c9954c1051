"""Which clock changes touch a schedule, and what becomes of the runs, in plain sentences."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from croncord.schedule.kinds import CronSchedule, Schedule, UnionSchedule, to_datetime, to_seconds
from croncord.schedule.zones import Zone

_HOUR = 3600


class ClockChange(NamedTuple):
    """A change of the clocks at which `schedule` has matching wall times."""

    instant: datetime
    """When the clocks change, UTC."""
    reason: Literal["dst_gap", "dst_repeat"]
    """Whether the wall times are skipped or happen twice; the ledger's word for it."""
    zone: Zone
    walls: tuple[datetime, ...]
    """The wall times concerned, naive, in order."""
    runs: int
    """How often each runs: 0 or 1 if skipped (together, at `instant`), 1 or 2 if repeated."""

    def sentence(self) -> str:
        """Say what happens, for a person."""
        first, last = self.walls[0], self.walls[-1]
        many = len(self.walls) > 1
        span = _clock(first)
        if many:
            other_day = last.date() != first.date()
            span += f" to {f'{_day(last)} ' if other_day else ''}{_clock(last)}"
        name = self.zone.info.key
        if self.reason == "dst_gap":
            verb = "do not exist" if many else "does not exist"
            outcome = self._gap_outcome(len(self.walls))
        else:
            verb = "happen twice" if many else "happens twice"
            outcome = self._repeat_outcome(len(self.walls))
        return f"{_day(first)}: {span} {verb} in {name}: {outcome}."

    def _gap_outcome(self, count: int) -> str:
        if self.runs == 0:
            return f"these {count} runs are left out" if count > 1 else "that run is left out"
        at = _clock(self.instant.astimezone(self.zone.info).replace(tzinfo=None))
        if count > 1:
            return f"one run at {at} stands for these {count}"
        return f"that run starts at {at}"

    def _repeat_outcome(self, count: int) -> str:
        before = (self.instant - timedelta(seconds=1)).astimezone(self.zone.info).tzname()
        after = self.instant.astimezone(self.zone.info).tzname()
        who = f"each of these {count} runs starts" if count > 1 else "this job runs"
        if self.runs == 2:
            return f"{who} both times ({before}, then {after})"
        return f"{who} once, the first time ({before})"


def clock_changes(schedule: Schedule, after: datetime, until: datetime) -> list[ClockChange]:
    """Return the clock changes in (`after`, `until`] that touch `schedule`, in order.

    A schedule that keeps its rhythm through a change of whole hours (every five minutes all day
    long) is not touched. Raises ScheduleError if an instant is naive.
    """
    if isinstance(schedule, UnionSchedule):
        found = [c for m in schedule.members for c in clock_changes(m, after, until)]
        return sorted(found, key=lambda c: (c.instant, c.walls))
    if not isinstance(schedule, CronSchedule) or schedule.zone.fixed:
        return []
    return list(_changes(schedule, to_seconds(after), to_seconds(until)))


def _changes(schedule: CronSchedule, after: int, until: int) -> Iterator[ClockChange]:
    rule, zone = schedule.rule, schedule.zone
    here = zone.stretch(after)
    while here.end <= until:
        there = zone.stretch(here.end)
        change = there.offset - here.offset
        ends, opens = here.end + here.offset, here.end + there.offset
        instant = to_datetime(here.end)
        if change > 0:
            runs = int(change < rule.catch_up_below)
            reason: Literal["dst_gap", "dst_repeat"] = "dst_gap"
        else:
            runs = 1 if -change <= rule.first_only_upto else 2
            reason = "dst_repeat"
        here = there
        undisturbed = runs == (0 if change > 0 else 2)
        if undisturbed and change % _HOUR == 0 and _same_every_hour(schedule.table.minutes):
            continue
        walls = tuple(_walls(schedule, min(ends, opens), max(ends, opens)))
        if walls:
            yield ClockChange(instant, reason, zone, walls, runs)


def _same_every_hour(minutes: int) -> bool:
    hour = minutes & ((1 << 60) - 1)
    return minutes == sum(hour << (60 * h) for h in range(24))


def _walls(schedule: CronSchedule, low: int, high: int) -> Iterator[datetime]:
    wall = schedule.table.next_wall(low - 1)
    while wall is not None and wall < high:
        yield to_datetime(wall).replace(tzinfo=None)
        wall = schedule.table.next_wall(wall)


def _day(wall: datetime) -> str:
    return f"{wall:%a} {wall.day} {wall:%b %Y}"


def _clock(wall: datetime) -> str:
    return f"{wall:%H:%M:%S}" if wall.second else f"{wall:%H:%M}"
