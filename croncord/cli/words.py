"""Facts of the API in words for a person: times, durations, sizes, states. Pure."""

import itertools
import unicodedata
from datetime import UTC, datetime
from typing import Any

_STEPS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_COARSE = 3


def parse_instant(text: str | None) -> datetime | None:
    """Read a time of the API; None stays None."""
    return datetime.fromisoformat(text).astimezone(UTC) if text else None


def relative(text: str | None, now: datetime) -> str:
    """Return `3 min ago`, `in 5 h`, `now`, or `-` when there is no time."""
    moment = parse_instant(text)
    if moment is None:
        return "-"
    seconds = (moment - now).total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"in {span(seconds)}" if seconds > 0 else f"{span(-seconds)} ago"


def span(seconds: float) -> str:
    """Return a length of time in one unit, in two where one would be coarse: `1 h 30 min`."""
    whole = round(seconds)
    for (size, unit), (smaller, smaller_unit) in itertools.pairwise(_STEPS):
        if whole >= _COARSE * size:
            count = round(whole / size)
            return f"{count} {unit}"
        if whole >= size:
            count, rest = divmod(round(whole / smaller) * smaller, size)
            return f"{count} {unit}" + (f" {rest // smaller} {smaller_unit}" if rest else "")
    return f"{whole} s"


def took(milliseconds: int | None) -> str:
    """Return how long something took: `740 ms`, `3.2 s`, `2 min 5 s`."""
    if milliseconds is None:
        return "-"
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    if milliseconds < 60_000:
        return f"{milliseconds / 1000:.1f} s"
    return span(milliseconds / 1000)


def absolute(text: str | None, now: datetime) -> str:
    """Return the time in UTC to the second with how far away it is."""
    moment = parse_instant(text)
    if moment is None:
        return "-"
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC ({relative(text, now)})"


def size(count: int | None) -> str:
    """Return a number of bytes: `312 B`, `4.1 kB`, `16.0 MB`; units of 1000."""
    if count is None:
        return "-"
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{count} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def plural(count: int, noun: str) -> str:
    """Return `1 job`, `2 jobs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def cell(value: Any) -> str:
    """Return any value of the API as one printable line.

    Characters that a terminal would obey, and marks that turn text around, are written as escapes.
    """
    if value is None or value in ("", [], {}):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return printable(" ".join(f"{k}={v}" for k, v in value.items()))
    if isinstance(value, list):
        return printable(", ".join(str(v) for v in value))
    return printable(str(value))


def printable(text: str) -> str:
    """Return `text` with everything that is not a printable character escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def width(text: str) -> int:
    """Return how many terminal columns `text` takes; wide characters take two, marks none."""
    if text.isascii():
        return len(text)
    return sum(_columns(c) for c in text)


def clip(text: str, columns: int) -> str:
    """Return `text` cut to that many terminal columns, with `…` where something is missing."""
    if width(text) <= columns:
        return text
    kept, used = "", 0
    for c in text:
        if used + _columns(c) > columns - 1:
            break
        kept, used = kept + c, used + _columns(c)
    return kept + "…" if columns > 0 else ""


def _columns(c: str) -> int:
    if unicodedata.combining(c):
        return 0
    return 2 if unicodedata.east_asian_width(c) in "WF" else 1
