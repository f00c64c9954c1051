"""What becomes of wall times that a clock change skips or repeats.

A *fixed* schedule names its minute and hour; a *wildcard* one has a minute or an hour field that
begins with `*` (so says Vixie cron, and Debian's after it; the text decides, not the set).

| policy | wall time skipped by the change       | wall time that comes twice            |
|--------|---------------------------------------|---------------------------------------|
| cron   | fixed: one run at the change's end;   | fixed: the first time only;           |
|        | wildcard: no run                      | wildcard: both times                  |
| once   | one run at the change's end           | the first time only                   |
| skip   | no run                                | the first time only                   |
| every  | no run                                | both times                            |

`cron` treats a change of three hours and more (a country that crosses the date line) as a clock
that was set: nothing is caught up, everything that matches again runs again. The other policies
know no such limit. Several skipped wall times of one schedule make one run, and so does a
skipped one together with a match at the change's end: a schedule runs once per instant.
With `once` and `skip` a schedule such as `* * * * *` is silent while the hour repeats.

`@every` counts elapsed time and `@at` is one instant; no policy touches them.
"""

from types import MappingProxyType
from typing import NamedTuple

from croncord.errors import ScheduleError
from croncord.schedule.cron import CronTable
from croncord.schedule.zones import Zone

_NEVER, _ALWAYS = 0, 1 << 40
_CLOCK_SET = 3 * 3600


class ClockRule(NamedTuple):
    """Sizes of clock changes, in seconds, from which on a rule no longer holds."""

    catch_up_below: int
    """A forward change smaller than this runs what it skips, once, at its end."""
    first_only_upto: int
    """A backward change up to this size does not run again what has run."""


_CRON_FIXED = ClockRule(_CLOCK_SET, _CLOCK_SET)
_RULES = MappingProxyType(
    {
        "once": ClockRule(_ALWAYS, _ALWAYS),
        "skip": ClockRule(_NEVER, _ALWAYS),
        "every": ClockRule(_NEVER, _NEVER),
    }
)
POLICIES = ("cron", *_RULES)


def clock_rule(policy: str, *, wildcard: bool) -> ClockRule:
    """Return the rule of a policy for a kind of schedule; raise ScheduleError on field `dst`."""
    if policy == "cron":
        return _RULES["every"] if wildcard else _CRON_FIXED
    try:
        return _RULES[policy]
    except KeyError:
        raise ScheduleError(
            f"{policy!r} is not one of {', '.join(POLICIES)}", field="dst"
        ) from None


def next_instant(table: CronTable, zone: Zone, rule: ClockRule, after: int) -> int | None:
    """Return the first run > `after` in seconds since 1970 UTC, or None within the horizon.

    Walks the zone's stretches of constant offset. Inside one it is plain arithmetic; only at the
    seam between two does the rule speak.
    """
    if zone.fixed:
        return table.next_wall(after)
    here = zone.stretch(after)
    wall = after + here.offset
    back = here.before - here.offset
    if 0 < back <= rule.first_only_upto:
        # The second pass: what the first pass covered has run already.
        wall = max(wall, here.start + here.before - 1)
    found = table.next_wall(wall)
    while found is not None:
        if found - here.offset < here.end:
            return found - here.offset
        there = zone.stretch(here.end)
        change = there.offset - here.offset
        opens = here.end + there.offset
        if change > 0 and found < opens:
            if change < rule.catch_up_below:
                return here.end
            found = table.next_wall(opens - 1)
        elif change < 0 and -change > rule.first_only_upto:
            found = table.next_wall(opens - 1)
        here = there
    return None
