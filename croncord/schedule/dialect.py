"""The text of a cron expression: which field says what, and one canonical spelling.

The canonical spelling is what croniter 7 understands and what schedules are compared by: lower
case, names as numbers, ranges written out where croniter reads them otherwise than cron does.
It keeps the first character of each field, because in cron a field that *begins* with `*` has a
meaning of its own. Canonical text is its own canonical text.
"""

import re
from hashlib import blake2b
from typing import NamedTuple

from croncord.errors import ScheduleError

MONTH_NAMES = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
WEEKDAY_NAMES = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]


class Field(NamedTuple):
    """One column of a cron expression and the numbers it may hold."""

    name: str
    low: int
    high: int
    spread_high: int
    """Largest number that a bare `H` picks: 28 for days, so that no month is left out."""
    names: tuple[str, ...] = ()
    """Words for the numbers from `low` on."""


SECOND = Field("second", 0, 59, 59)
MINUTE = Field("minute", 0, 59, 59)
HOUR = Field("hour", 0, 23, 23)
DAY = Field("day of month", 1, 31, 28)
MONTH = Field("month", 1, 12, 12, tuple(n[:3].lower() for n in MONTH_NAMES))
WEEKDAY = Field("weekday", 0, 7, 6, tuple(n[:3].lower() for n in WEEKDAY_NAMES))
FIELDS = (SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY)

_RANGE = re.compile(r"(\*|[a-z0-9]+)(?:-([a-z0-9]+))?(?:/([a-z0-9]+))?")
_SPREAD = re.compile(r"h(?:\((\d+)-(\d+)\))?(?:/(\d+))?")
_NEAREST = re.compile(r"(?:(\d+)w|w(\d+))")
_NTH = re.compile(r"([a-z0-9]+)#([a-z0-9]+)")
_LAST = re.compile(r"(?:(sun|mon|tue|wed|thu|fri|sat|\d+)#?l|l(\d+))")


def canonical_cron(text: str, hash_key: str) -> str:
    """Return the canonical form of a 5-field, or 6-field seconds-first, cron expression.

    Each `H` becomes a number drawn from `hash_key`, another one in each field (Jenkins' idea:
    jobs spread over the hour by themselves, and stay where they are). Raises ScheduleError that
    names the field and says what would be right.
    """
    columns = text.lower().split()
    if len(columns) not in {5, 6}:
        raise ScheduleError(_count(len(columns)), hint=_COUNT_HINT)
    fields = FIELDS[-len(columns) :]
    return " ".join(_column(f, c, hash_key) for f, c in zip(fields, columns, strict=True))


_COUNT_HINT = "For example `30 2 * * *` runs at 02:30 every day."


def _count(n: int) -> str:
    if n == 7:
        return "a year field is not supported; use start_at and end_at to bound a job in time"
    words = f"has {n} field" + ("" if n == 1 else "s") if n else "is empty"
    return (
        f"{words}; cron needs 5 (minute, hour, day of month, month, weekday), "
        "or 6 with the second first"
    )


def _column(field: Field, column: str, hash_key: str) -> str:
    if column == "?":
        if field not in (DAY, WEEKDAY):
            raise _wrong(field, "? may stand only for the day of month or the weekday")
        return "*"
    items = [_item(field, item, hash_key) for item in column.split(",")]
    if field is DAY and len(items) > 1 and any("w" in i for i in items):
        raise _wrong(field, "W (nearest weekday) must stand alone, not in a list")
    marked = ["#" in i or "l" in i for i in items]
    if field is WEEKDAY and any(marked) and not all(marked):
        raise _wrong(field, "plain weekdays and those with # or L cannot share one list")
    return ",".join(items)


def _item(field: Field, item: str, hash_key: str) -> str:
    if not item:
        raise _wrong(field, "an entry between commas is empty")
    if m := _SPREAD.fullmatch(item):
        return _spread(field, item, m, hash_key)
    if field is DAY and (special := _special_day(item)):
        return special
    if field is WEEKDAY and (special := _special_weekday(item)):
        return special
    if not (m := _RANGE.fullmatch(item)):
        raise _wrong(field, _complaint(field, item))
    first, last, step_text = m[1], m[2], m[3]
    step = _step(field, step_text)
    if first == "*":
        if last is not None:
            raise _wrong(field, f"{item!r}: * already means the whole range")
        return "*" if step == 1 else f"*/{step}"
    low = _number(field, first)
    if last is not None:
        return _range(field, low, _number(field, last), step)
    return _range(field, low, top(field) if step_text else low, step)


def top(field: Field) -> int:
    """Return the largest number that `*` covers: 6 for weekdays, where 7 is Sunday again."""
    return 6 if field is WEEKDAY else field.high


def _range(field: Field, low: int, high: int, step: int) -> str:
    """Spell a range so that croniter reads it as cron does.

    croniter takes `a-a` for the whole field, and loses count when a range with a step wraps
    around (`23-5/2`), so the former becomes `a` and the latter a list.
    """
    if field is WEEKDAY:
        if high == 7 and low != 7 and step == 1:
            return "0-6" if low == 0 else f"{low}-0"
        size = 7
        if high == 7 and low < 7:
            return ",".join(str(d % 7) for d in range(low, 8, step))
        low, high = low % 7, high % 7
    else:
        size = field.high - field.low + 1
    if low == high:
        return str(low)
    if low < high:
        return f"{low}-{high}" if step == 1 else f"{low}-{high}/{step}"
    if step == 1:
        return f"{low}-{high}"
    span = range(low, high + size + 1, step)
    return ",".join(str((v - field.low) % size + field.low) for v in span)


def _step(field: Field, text: str | None) -> int:
    if text is None:
        return 1
    if not text.isdigit() or int(text) == 0:
        raise _wrong(field, f"the step {text!r} is not a whole number above 0")
    return int(text)


def _number(field: Field, text: str) -> int:
    if text in field.names:
        return field.low + field.names.index(text)
    if not text.isdigit():
        raise _wrong(field, _complaint(field, text))
    value = int(text)
    if not field.low <= value <= field.high:
        raise _wrong(field, f"{value} is not between {field.low} and {field.high}")
    return value


def _spread(field: Field, item: str, m: re.Match[str], hash_key: str) -> str:
    low, high = field.low, field.spread_high
    if m[1] is not None:
        low, high = int(m[1]), int(m[2])
        if not field.low <= low <= high <= top(field):
            bounds = f"{field.low}-{top(field)}"
            raise _wrong(field, f"{item!r}: the range of H must rise within {bounds}")
    step = _step(field, m[3])
    width = high - low + 1
    seed = f"{field.name}:{hash_key}".encode()
    drawn = int.from_bytes(blake2b(seed, digest_size=8).digest(), "big")
    if m[3] is None:
        return str(low + drawn % width)
    return _range(field, low + drawn % min(step, width), high, step)


def _special_day(item: str) -> str | None:
    if item == "l":
        return "l"
    if item == "lw":
        return "31w"  # the evaluator moves a day beyond the month's end back to its last day
    if m := _NEAREST.fullmatch(item):
        return f"{_number(DAY, m[1] or m[2])}w"
    if item.startswith("l-"):
        raise _wrong(DAY, f"{item.upper()!r}: counting back from the last day is not supported")
    if m := re.fullmatch(r"(\d+)-l", item):
        return _range(DAY, _number(DAY, m[1]), 31, 1)
    return None


def _special_weekday(item: str) -> str | None:
    if item == "l":
        raise _wrong(WEEKDAY, "L needs a day, as in 5L for the last Friday of the month")
    if m := _NTH.fullmatch(item):
        day = _number(WEEKDAY, m[1]) % 7
        if m[2] == "l":
            return f"l{day}"
        if m[2] not in {"1", "2", "3", "4", "5"}:
            raise _wrong(WEEKDAY, f"{item!r}: after # stands 1 to 5, the how-manieth in the month")
        return f"{day}#{m[2]}"
    if m := _LAST.fullmatch(item):
        return f"l{_number(WEEKDAY, m[1] or m[2]) % 7}"
    return None


_SHAPES = (
    (re.compile(r"r(\(.*\))?(/\d+)?"), "R is random, but all nodes must compute the same; use H"),
    (re.compile(r".*~.*"), "random ranges are not allowed; use H, as in H(6-15)"),
    (re.compile(r"-.*"), "negative numbers do not exist here"),
    (re.compile(r"h.*"), "H is written H, H/n, H(a-b) or H(a-b)/n"),
    (re.compile(r".*\?.*"), "? must stand alone, for the day of month or the weekday"),
    (re.compile(r"lw?"), "L may stand only for the day of month or with a weekday, as in 5L"),
)


def _complaint(field: Field, text: str) -> str:
    """Say what is wrong with a piece that has no known shape."""
    for shape, why in _SHAPES:
        if shape.fullmatch(text):
            return f"{text!r}: {why}"
    kind = f"{field.low}-{field.high}"
    if field.names:
        kind += f" or {field.names[0].upper()}-{field.names[-1].upper()}"
    return f"{text!r} is not understood; write *, {kind}, a range a-b, a step */n, or a list"


def _wrong(field: Field, message: str) -> ScheduleError:
    return ScheduleError(f"{field.name}: {message}")
