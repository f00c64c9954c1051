"""Time zones: the IANA data of the `tzdata` package, cut into stretches of constant offset.

The machine's own zone files are never read, so every node with the same package computes the
same times. Instants are whole seconds since 1970-01-01T00:00:00Z; "wall" numbers are the same
count read off a local clock (instant + offset).
"""

import difflib
from bisect import bisect_right
from collections.abc import Iterator
from datetime import datetime
from functools import cache, lru_cache
from importlib import resources
from typing import NamedTuple
from zoneinfo import ZoneInfo

from croncord.errors import ScheduleError

DAY = 86400
_REACH = 400 * DAY
_ANY_MACHINE_DIFFERS = {"localtime", "posixrules", "factory"}


@cache
def tzdata_version() -> str:
    """IANA release of the zone data in use, such as `2026f`. Nodes compare it with each other."""
    with (resources.files("tzdata") / "zoneinfo" / "tzdata.zi").open(encoding="ascii") as source:
        return source.readline().removeprefix("# version").strip()


@cache
def zone_names() -> tuple[str, ...]:
    """All zone names that a job may use, sorted."""
    names = (resources.files("tzdata") / "zones").read_text("ascii").split()
    return tuple(sorted(n for n in names if n.lower() not in _ANY_MACHINE_DIFFERS))


@cache
def _known() -> frozenset[str]:
    return frozenset(zone_names())


def zone_info(name: str) -> ZoneInfo:
    """Return the zone called `name`; raise ScheduleError on field `timezone` if there is none."""
    if not isinstance(name, str) or name not in _known():
        raise _unknown(name)
    return _load(name)


@lru_cache(maxsize=1024)
def _load(name: str) -> ZoneInfo:
    with (resources.files("tzdata") / "zoneinfo").joinpath(*name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)


def _unknown(name: object) -> ScheduleError:
    if not isinstance(name, str) or not name:
        return ScheduleError("a time zone is missing", field="timezone", hint=_HINT)
    if name.lower() in _ANY_MACHINE_DIFFERS:
        message = f"{name!r} means something else on every machine; name the place"
        return ScheduleError(message, field="timezone", hint=_HINT)
    close = _closest(name)
    question = f"; did you mean {' or '.join(close)}?" if close else ""
    shown = name if len(name) <= 64 else name[:61] + "…"
    return ScheduleError(
        f"{shown!r} is not a known time zone{question}", field="timezone", hint=_HINT
    )


_HINT = "Use an IANA name such as Europe/Berlin, America/New_York or UTC."


def _closest(name: str) -> list[str]:
    """Up to three zones spelt nearly like `name`, by whole name or by city."""
    wanted = name.strip().lower().replace(" ", "_")[:64]
    by_name = {n.lower(): n for n in zone_names()}
    if wanted in by_name:
        return [by_name[wanted]]
    by_city: dict[str, list[str]] = {}
    for n in zone_names():
        by_city.setdefault(n.rsplit("/", 1)[-1].lower(), []).append(n)
    found = [n for city in _like(wanted.rsplit("/", 1)[-1], by_city) for n in by_city[city]]
    found += [by_name[n] for n in _like(wanted, by_name)]
    found.sort(key=lambda n: -difflib.SequenceMatcher(None, n.lower(), wanted).ratio())
    return list(dict.fromkeys(found))[:3]


def _like(word: str, among: dict[str, str] | dict[str, list[str]]) -> list[str]:
    return difflib.get_close_matches(word, among, n=3, cutoff=0.8)


class Stretch(NamedTuple):
    """A time of constant UTC offset: from `start` up to but not including `end`."""

    start: int
    end: int
    offset: int
    before: int
    """Offset of the stretch before; equal to `offset` where the table begins or is only cut."""


class _Table:
    """What is known of a zone so far: its offset changes from `low` up to `high`."""

    __slots__ = ("changes", "high", "low", "starts", "stretches")

    def __init__(self, low: int, high: int, changes: tuple[tuple[int, int], ...]) -> None:
        # Each change is (instant, offset from then on); the first is `low` itself.
        self.low = low
        self.high = high
        self.changes = changes
        self.starts = tuple(start for start, _ in changes)
        ends = (*self.starts[1:], high)
        offsets = tuple(offset for _, offset in changes)
        befores = (offsets[0], *offsets[:-1])
        self.stretches = tuple(map(Stretch, self.starts, ends, offsets, befores))


class Zone:
    """One zone as a growing table of stretches.

    The table is replaced, never changed in place, so threads may share a Zone without a lock:
    at worst two of them find the same changes.
    """

    __slots__ = ("_table", "fixed", "info")

    def __init__(self, info: ZoneInfo) -> None:
        self.info = info
        self.fixed = info.key in {"UTC", "Etc/UTC"}
        self._table = _Table(0, 0, ((0, self._offset(0)),))

    def stretch(self, instant: int) -> Stretch:
        """Return the stretch that holds `instant`; it may be cut short, never too long."""
        table = self._table
        if not table.low <= instant < table.high:
            table = self._table = self._reaching(table, instant)
        return table.stretches[bisect_right(table.starts, instant) - 1]

    def _offset(self, instant: int) -> int:
        offset = datetime.fromtimestamp(instant, self.info).utcoffset()
        return 0 if offset is None else int(offset.total_seconds())

    def _reaching(self, table: _Table, instant: int) -> _Table:
        """Return a table that goes past `instant` on both sides."""
        if table.low == table.high:
            low = (instant - _REACH) // DAY * DAY
            table = _Table(low, low, ((low, self._offset(low)),))
        if instant < table.low:
            low = (instant - _REACH) // DAY * DAY
            earlier = ((low, self._offset(low)), *self._scan(low, table.low))
            joined = earlier[-1][1] == table.changes[0][1]
            table = _Table(low, table.high, earlier + table.changes[1 if joined else 0 :])
        if instant >= table.high:
            high = instant // DAY * DAY + _REACH
            table = _Table(table.low, high, (*table.changes, *self._scan(table.high, high)))
        return table

    def _scan(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """Yield the changes in (`low`, `high`]: look once a day, then halve to the second.

        No zone has changed its offset twice within one day since 1970 (a test walks them all).
        """
        offset = self._offset(low)
        for day in range(low, high, DAY):
            ahead = self._offset(day + DAY)
            if ahead == offset:
                continue
            same, changed = day, day + DAY
            while changed - same > 1:
                middle = (same + changed) // 2
                if self._offset(middle) == offset:
                    same = middle
                else:
                    changed = middle
            offset = ahead
            yield changed, offset


@lru_cache(maxsize=1024)
def _zone(name: str) -> Zone:
    return Zone(_load(name))


def zone(name: str) -> Zone:
    """Return the shared table of zone `name`; raise ScheduleError as `zone_info` does."""
    zone_info(name)
    return _zone(name)
