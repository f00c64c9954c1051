"""Schedules of Dkron: six fields, the second first, and its words.

It reads them with robfig/cron 3 (documented in Dkron's "Cron Specification"). There a field counts as a
star only when it is `*` or `?`, also as `*/1`; with both days restricted one of them is enough. In Vixie
cron, and here, also `*/2` counts as a star; such an expression is refused where that makes a difference.
"""

import re
from datetime import UTC, datetime
from typing import NamedTuple

from croncord.errors import ScheduleError
from croncord.importing.found import OldTimes, Refused
from croncord.importing.timing import Once, WallTimes
from croncord.schedule import zone_info

_WORDS = {
    "@yearly": "0 0 0 1 1 *",
    "@annually": "0 0 0 1 1 *",
    "@monthly": "0 0 0 1 * *",
    "@weekly": "0 0 0 * * 0",
    "@daily": "0 0 0 * * *",
    "@midnight": "0 0 0 * * *",
    "@hourly": "0 0 * * * *",
    "@minutely": "0 * * * * *",
}
_ZONE = re.compile(r"(?:CRON_)?TZ=(\S+)\s+(.*)")
_FIELDS = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_ITEM = re.compile(r"(\*|\?|[a-z0-9]+)(?:-([a-z0-9]+))?(?:/([0-9]+))?")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_DURATION = re.compile(r"(\d+\.?\d*|\.\d+)(h|ms|us|µs|ns|m|s)")
_DAY, _WEEKDAY = 3, 5


class Kept(NamedTuple):
    """A schedule as a job of ours has it."""

    expression: str
    timezone: str
    times: OldTimes | None
    remark: str = ""


def read_schedule(text: str, timezone: str) -> Kept:
    """Return what keeps a schedule of Dkron. Raises Refused."""
    text = text.strip()
    if match := _ZONE.fullmatch(text):
        timezone, text = match[1], match[2].strip()
    if text in ("", "@manually"):
        return Kept("@manual", timezone, None)
    word, _, rest = text.partition(" ")
    if word == "@every":
        seconds = go_seconds(rest)
        if seconds < 1 or seconds != int(seconds):
            raise Refused(f"@every {rest}: only whole seconds are kept")
        remark = "@every counts from the import, not from the start of the old scheduler"
        return Kept(f"@every {int(seconds)}s", timezone, None, remark)
    if word in ("@at", "@after"):
        return _once(word, rest, timezone)
    if text.startswith("@"):
        if text not in _WORDS:
            raise Refused(f"the schedule {text} is not known")
        text = _WORDS[text]
    return _cron(text, timezone)


def _once(word: str, rest: str, timezone: str) -> Kept:
    moment, _, grace = rest.strip().partition(" ")
    try:
        at = datetime.fromisoformat(moment)
        if at.tzinfo is None:
            raise ValueError  # noqa: TRY301 - told below like any other wrong time
    except ValueError:
        raise Refused(f"{word} {rest}: {moment!r} is not a time with its zone") from None
    told = at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    remark = f"the grace {grace.lstrip('<')} is left to the misfire policy" if grace else ""
    return Kept(f"@at {told}", timezone, Once(at), remark)


def go_seconds(text: str) -> float:
    """Return the seconds of a Go duration such as `1h30m10s`. Raises Refused."""
    text = text.strip()
    parts = list(_DURATION.finditer(text))
    if not parts or "".join(part[0] for part in parts) != text:
        raise Refused(f"{text!r} is not a duration such as 1h30m")
    return sum(float(part[1]) * _UNITS[part[2]] for part in parts)


def _cron(text: str, timezone: str) -> Kept:
    columns = text.lower().split()
    if len(columns) == 5:
        columns = ["0", *columns]
    if len(columns) != 6:
        raise Refused(f"the schedule {text!r} has {len(columns)} fields, not 6")
    try:
        zone = zone_info(timezone)
    except ScheduleError as error:
        raise Refused(f"its timezone: {error.message}") from None
    if any("~" in column for column in columns):
        return _spread(columns, timezone)
    sets, stars = [], []
    for column, (low, high) in zip(columns, _FIELDS, strict=True):
        numbers, is_star = _numbers(column, low, high)
        sets.append(numbers)
        stars.append(is_star)
    either = not (stars[_DAY] or stars[_WEEKDAY])
    if either and any(columns[i].startswith(("*", "?")) for i in (_DAY, _WEEKDAY)):
        raise Refused(
            f"in {text!r} a day of the month or a weekday is enough; here a field that begins with "
            "* makes both necessary. Write its numbers out"
        )
    if columns[0] == "0":
        columns = columns[1:]
    times = WallTimes(
        zone=zone,
        seconds=sets[0],
        minutes=sets[1],
        hours=sets[2],
        days=sets[3],
        months=sets[4],
        weekdays=sets[5],
        either_day=either,
    )
    return Kept(" ".join(columns), timezone, times)


def _spread(columns: list[str], timezone: str) -> Kept:
    """Dkron draws `~` from the job's name; we draw `H` from the job too, another number."""
    spread = [column.replace("~", "h").upper() if "~" in column else column for column in columns]
    if any(
        len(column) > 1 and not re.fullmatch(r"H(/\d+)?", column)
        for column in spread
        if "H" in column
    ):
        raise Refused(f"{' '.join(columns)!r}: only ~ and ~/N are kept")
    if spread[0] == "0":
        spread = spread[1:]
    return Kept(" ".join(spread), timezone, None, "~ becomes H: spread as well, at other times")


def _numbers(column: str, low: int, high: int) -> tuple[frozenset[int], bool]:
    found: set[int] = set()
    is_star = False
    for item in column.split(","):
        match = _ITEM.fullmatch(item)
        if not match:
            raise Refused(f"{item!r} in its schedule is not understood")
        step = int(match[3] or 1)
        if match[1] in ("*", "?"):
            first, last = low, high
            is_star = is_star or step == 1
        else:
            first = _number(match[1], high)
            last = _number(match[2], high) if match[2] else (high if match[3] else first)
        if step < 1 or not low <= first <= last <= high:
            raise Refused(f"{item!r} in its schedule is not within {low} to {high}")
        found.update(range(first, last + 1, step))
    return frozenset(found), is_star


def _number(text: str, high: int) -> int:
    if text.isdecimal():
        return int(text)
    names = {12: _MONTHS, 6: _WEEKDAYS}.get(high, ())
    if text not in names:
        raise Refused(f"{text!r} in its schedule is no number")
    return names.index(text) + (high == 12)
