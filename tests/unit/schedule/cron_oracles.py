"""Other ways to know when a cron expression is due, slow and simple, and expressions to try.

`vixie_minutes` walks minute by minute as the wake-up loop of Vixie cron does: each minute it
compares the clock on the wall with the minute it believes in ("virtual time").
"""

from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import NamedTuple

from hypothesis import strategies as st

from croncord.schedule import zone_info

MINUTE = timedelta(minutes=1)


class Column(NamedTuple):
    text: str
    values: frozenset[int]


class Expression(NamedTuple):
    minute: Column
    hour: Column
    day: Column
    month: Column
    weekday: Column

    @property
    def text(self):
        return " ".join(column.text for column in self)

    @property
    def wildcard(self):
        return self.minute.text.startswith("*") or self.hour.text.startswith("*")

    def matches_day(self, date):
        if date.month not in self.month.values:
            return False
        day = date.day in self.day.values
        weekday = date.isoweekday() % 7 in self.weekday.values
        if self.day.text.startswith("*") or self.weekday.text.startswith("*"):
            return day and weekday
        return day or weekday


def _values(low, high, step):
    return frozenset(range(low, high + 1, step))


def items(low, high):
    """One entry of a field, in the forms that every cron knows."""
    number = st.integers(low, high)
    step = st.integers(1, high + 3)
    span = st.tuples(number, number).map(sorted)
    return st.one_of(
        number.map(lambda n: Column(str(n), frozenset({n}))),
        st.tuples(span, st.integers(1, 8)).map(
            lambda p: Column(f"{p[0][0]}-{p[0][1]}/{p[1]}", _values(*p[0], p[1]))
        ),
        span.map(lambda p: Column(f"{p[0]}-{p[1]}", _values(*p, 1))),
        st.tuples(number, step).map(lambda p: Column(f"{p[0]}/{p[1]}", _values(p[0], high, p[1]))),
        step.map(lambda n: Column(f"*/{n}", _values(low, high, n))),
    )


def columns(low, high, *, stars=3):
    """Return a strategy for a field: often `*`, else one entry or a short list of entries."""
    star = Column("*", _values(low, high, 1))
    entries = st.lists(items(low, high), min_size=1, max_size=3).map(
        lambda parts: Column(
            ",".join(p.text for p in parts), frozenset().union(*(p.values for p in parts))
        )
    )
    return st.one_of(*[st.just(star)] * stars, entries, entries)


@st.composite
def changes_and_expressions(draw):
    """Return a change and an expression with matches close to it, most days of the year."""
    change = draw(st.sampled_from(CHANGES))
    walls = [wall for _, wall in minutes_around(*change)]
    hours = sorted({wall // 60 % 24 for wall in walls[700:1100:10]})
    near = st.sampled_from(hours).map(lambda h: Column(str(h), frozenset({h})))
    some = st.lists(st.sampled_from(hours), min_size=2, max_size=4, unique=True).map(
        lambda hs: Column(",".join(map(str, hs)), frozenset(hs))
    )
    hour = draw(st.one_of(near, some, columns(0, 23, stars=2)))
    if draw(st.integers(0, 2)):
        whole = [Column("*", _values(*bounds, 1)) for bounds in ((1, 31), (1, 12), (0, 6))]
        return change, Expression(draw(columns(0, 59, stars=1)), hour, *whole)
    return change, draw(expressions())._replace(hour=hour)


def expressions():
    return st.builds(
        Expression,
        minute=columns(0, 59, stars=1),
        hour=columns(0, 23, stars=2),
        day=columns(1, 31),
        month=columns(1, 12, stars=6),
        weekday=columns(0, 6),
    )


# Hard changes of the clock: zone, an instant shortly before, and what is special.
CHANGES = (
    ("America/New_York", "2026-03-08T00:00Z"),
    ("America/New_York", "2026-11-01T00:00Z"),
    ("Europe/London", "2026-03-28T18:00Z"),
    ("Europe/London", "2026-10-24T18:00Z"),
    ("Europe/Dublin", "2026-10-24T18:00Z"),  # winter is its summer time, backwards
    ("Australia/Lord_Howe", "2026-10-03T12:00Z"),  # half an hour
    ("Australia/Lord_Howe", "2026-04-04T12:00Z"),
    ("America/Sao_Paulo", "2018-11-03T20:00Z"),  # midnight is missing
    ("America/Sao_Paulo", "2019-02-16T20:00Z"),  # midnight comes twice
    ("Pacific/Apia", "2011-12-30T00:00Z"),  # a whole day is missing
    ("Kwajalein", "1993-08-21T00:00Z"),
    ("Africa/Casablanca", "2024-03-09T20:00Z"),
    ("Africa/Casablanca", "2024-04-13T20:00Z"),
    ("Asia/Tehran", "2022-03-21T12:00Z"),
    ("Asia/Tehran", "2022-09-21T12:00Z"),
    ("Antarctica/Troll", "2024-03-30T18:00Z"),  # two hours
    ("Antarctica/Troll", "2024-10-26T18:00Z"),
    ("Africa/Cairo", "2024-04-25T12:00Z"),
    ("America/Havana", "2026-03-08T00:00Z"),
    ("America/Havana", "2024-11-03T00:00Z"),
    ("Asia/Beirut", "2026-03-28T12:00Z"),
    ("America/Santiago", "2026-09-05T20:00Z"),
    ("Asia/Pyongyang", "2015-08-14T06:00Z"),  # half an hour, without any summer time
    ("Asia/Pyongyang", "2018-05-04T06:00Z"),
    ("America/Caracas", "2007-12-09T00:00Z"),
    ("America/Caracas", "2016-05-01T00:00Z"),
    ("Asia/Kathmandu", "1985-12-31T12:00Z"),  # a quarter of an hour
    ("Antarctica/Casey", "2010-03-04T06:00Z"),  # three hours back
    ("Antarctica/Casey", "2011-10-27T12:00Z"),  # and forth
)


@cache
def minutes_around(zone, about):
    """Return each minute of 30 hours around a change with its wall time, both as minutes."""
    place = zone_info(zone)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    begin = datetime.fromisoformat(about).astimezone(UTC)
    offset = begin.astimezone(place).utcoffset()
    change = next(
        begin + i * MINUTE
        for i in range(36 * 60)
        if (begin + i * MINUTE).astimezone(place).utcoffset() != offset
    )
    instants = [change + i * MINUTE for i in range(-15 * 60, 15 * 60)]
    return [(i, (i - epoch + i.astimezone(place).utcoffset()) // MINUTE) for i in instants]


def _matcher(expression, walk):
    """Return the minutes of the days of the walk, on the wall, that match the expression."""
    walls = [wall for _, wall in walk]
    days = range(min(walls) // 1440, max(walls) // 1440 + 1)
    times = [h * 60 + m for h in expression.hour.values for m in expression.minute.values]
    epoch = date(1970, 1, 1)
    matching = [d for d in days if expression.matches_day(epoch + timedelta(days=d))]
    return {d * 1440 + t for d in matching for t in times}


def vixie_minutes(expression, walk):
    """Return the instants at which Vixie cron's loop, woken every minute, starts the job."""
    due = []
    matches = _matcher(expression, walk)
    virtual = walk[0][1]
    for instant, wall in walk[1:]:
        jump = wall - virtual
        if jump == 1 or 0 < jump <= 5 or jump >= 180 or jump < -180:
            fixed = [wall] if jump >= 180 or jump < -180 else range(virtual + 1, wall + 1)
            hits = any(m in matches for m in fixed)
            virtual = wall
        elif jump > 5:
            candidates = [wall] if expression.wildcard else range(virtual + 1, wall + 1)
            hits = any(m in matches for m in candidates)
            virtual = wall
        else:
            hits = expression.wildcard and wall in matches
        if hits:
            due.append(instant)
    return due


def policy_minutes(policy, expression, walk):
    """Return the instants that the policies other than `cron` promise, from their definitions."""
    due = []
    matches = _matcher(expression, walk)
    latest = walk[0][1]
    for instant, wall in walk[1:]:
        now = [wall]
        if policy == "once":
            now = range(latest + 1, wall + 1)
        elif policy == "skip" and wall <= latest:
            now = []
        if any(m in matches for m in now):
            due.append(instant)
        latest = max(latest, wall)
    return due
