"""From the text of a schedule to a Schedule: aliases, @every, @at, @manual and cron fields."""

import difflib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType

from croncord.errors import ScheduleError
from croncord.schedule.cron import cron_table
from croncord.schedule.dialect import canonical_cron
from croncord.schedule.kinds import (
    AtSchedule,
    CronSchedule,
    EverySchedule,
    ManualSchedule,
    Schedule,
    UnionSchedule,
    to_seconds,
)
from croncord.schedule.rules import clock_rule
from croncord.schedule.zones import Zone, zone

MAX_LENGTH = 256
MAX_PERIOD_SECONDS = 40 * 365 * 86400

ALIASES = MappingProxyType(
    {
        "@hourly": "0 * * * *",
        "@daily": "0 0 * * *",
        "@midnight": "0 0 * * *",
        "@weekly": "0 0 * * 0",
        "@monthly": "0 0 1 * *",
        "@yearly": "0 0 1 1 *",
        "@annually": "0 0 1 1 *",
    }
)
_WORDS = (*ALIASES, "@every", "@at", "@manual")
_UNITS = MappingProxyType({"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1})
_DURATION = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_SPREAD = re.compile(r"(?:^|[\s,])h(?:[(/,\s]|$)", re.IGNORECASE)
_AT = re.compile(
    r"(\d{4}-\d\d-\d\d)[t ](\d\d:\d\d)(?::(\d\d)(?:\.0+)?)?\s*(z|[+-]\d\d:\d\d)?", re.IGNORECASE
)


def is_spread(expr: str) -> bool:
    """Whether `expr` uses `H`, so that its times depend on the job's key."""
    return _SPREAD.search(expr) is not None


def normalise(expr: str, hash_key: str = "") -> str:
    """Return the one spelling of `expr`: aliases and `H` resolved, names as numbers.

    Raises ScheduleError if it cannot be understood. A normalised text is its own normal form.
    """
    _check_text(expr)
    # Without H all jobs share one cache entry, whatever their keys.
    return _normalise(expr.strip(), hash_key if is_spread(expr) else "")


@lru_cache(maxsize=65536)
def _normalise(text: str, hash_key: str) -> str:
    if not text.startswith("@"):
        return canonical_cron(text, hash_key)
    word, _, rest = text.partition(" ")
    word, rest = word.lower(), rest.strip()
    if word == "@every":
        return f"@every {_period(rest)}s"
    if word == "@at":
        return f"@at {_instant_text(rest)}"
    if rest or word not in _WORDS:
        raise _unknown_word(word, rest)
    return ALIASES.get(word, word)


def _check_text(expr: str) -> None:
    if not isinstance(expr, str):
        raise ScheduleError("must be text")
    if len(expr) > MAX_LENGTH:
        raise ScheduleError(f"is {len(expr)} characters long; at most {MAX_LENGTH} are allowed")
    strange = next((c for c in expr if not (" " <= c <= "~" or c == "\t")), None)
    if strange is not None:
        raise ScheduleError(
            f"holds the character U+{ord(strange):04X}; only printable ASCII is allowed"
        )
    if not expr.strip():
        raise ScheduleError("is empty", hint="Write `@manual` for a job without a schedule.")


def _unknown_word(word: str, rest: str) -> ScheduleError:
    if word == "@reboot":
        return ScheduleError(
            "@reboot is an event on one machine, not a time, and is not supported",
            hint="Use `@manual` and start the job from the machine's own start-up.",
        )
    if word in _WORDS:
        return ScheduleError(f"{word} stands alone; {rest!r} after it means nothing")
    close = difflib.get_close_matches(word[:32], _WORDS, n=1)
    known = f"did you mean {close[0]}?" if close else f"known are {', '.join(_WORDS)}"
    return ScheduleError(f"{word!r} is not known; {known}")


def _period(text: str) -> int:
    m = _DURATION.fullmatch(text.lower().replace(" ", ""))
    if not m or not any(m.groups()):
        raise ScheduleError(
            f"@every: {text!r} is not a duration; write whole numbers with w, d, h, m, s "
            "in that order, as in 90s, 1h30m or 2d"
        )
    counts = (int(n or 0) for n in m.groups())
    seconds = sum(n * unit for n, unit in zip(counts, _UNITS.values(), strict=True))
    if not 1 <= seconds <= MAX_PERIOD_SECONDS:
        raise ScheduleError("@every: the time between runs must be from 1s to 40 years")
    return seconds


def _instant_text(text: str) -> str:
    m = _AT.fullmatch(text)
    try:
        if m is None:
            raise ValueError(text)  # noqa: TRY301  # one answer for a bad shape and a bad number
        moment = datetime.fromisoformat(f"{m[1]}T{m[2]}:{m[3] or '00'}{(m[4] or '').upper()}")
    except ValueError:
        raise ScheduleError(
            f"@at: {text!r} is not a time such as 2027-01-01T00:00:00Z, "
            "or 2027-01-01T00:00:00 on the clock of the job's zone"
        ) from None
    if not 1970 < moment.year < 2199:
        raise ScheduleError("@at: the year must be between 1971 and 2198")
    if moment.tzinfo is None:
        return moment.isoformat()
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def compile_schedule(
    expr: str, tz: str, dst: str = "cron", *, anchor: datetime, hash_key: str = ""
) -> Schedule:
    """Return the Schedule that `expr` means in zone `tz` under clock-change policy `dst`.

    `anchor` is where `@every` counts from (the job's creation or start_at, rounded down to the
    second); other kinds ignore it. `hash_key` feeds `H`, so it must not change over a job's
    life: its id. Raises ScheduleError; whether it ever fires is `check_schedule`'s question.
    """
    text = normalise(expr, hash_key)
    if text.startswith("@every"):
        zone(tz)
        clock_rule(dst, wildcard=False)
        return EverySchedule(int(text[7:-1]), to_seconds(anchor))
    return _compile(text, tz, dst)


@lru_cache(maxsize=65536)
def _compile(text: str, tz: str, dst: str) -> Schedule:
    place = zone(tz)
    if text == "@manual":
        clock_rule(dst, wildcard=False)
        return ManualSchedule()
    if text.startswith("@at"):
        clock_rule(dst, wildcard=False)
        return AtSchedule(_instant(text[4:], place))
    table = cron_table(text)
    return CronSchedule((text, tz, dst), table, place, clock_rule(dst, wildcard=table.wildcard))


def _instant(text: str, place: Zone) -> int:
    """Place a wall time: one that is skipped at the gap's end, one that comes twice the first."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        return to_seconds(moment)
    wall = to_seconds(moment.replace(tzinfo=UTC))
    here = place.stretch(wall - 86400)
    while wall - here.offset >= here.end:
        here = place.stretch(here.end)
    return max(wall - here.offset, here.start)


def compile_all(
    exprs: Sequence[str],
    tz: str,
    dst: str = "cron",
    *,
    anchor: datetime,
    hash_key: str = "",
) -> Schedule:
    """Return the union of several expressions: due when any is, one run per instant.

    No expression at all is a job that is only started by hand. Arguments and errors are those
    of `compile_schedule`.
    """
    members = {compile_schedule(e, tz, dst, anchor=anchor, hash_key=hash_key) for e in exprs}
    firing = frozenset(m for m in members if m.fires_by_itself)
    if not firing:
        return compile_schedule("@manual", tz, dst, anchor=anchor)
    return UnionSchedule(firing) if len(firing) > 1 else next(iter(firing))


def next_times(expr: str, tz: str, after: datetime, n: int, dst: str = "cron") -> list[datetime]:
    """Return the first `n` due instants strictly after `after`, as aware UTC datetimes.

    Fewer if the schedule ends. `@every` counts from `after`; `H` is drawn for an empty key.
    Raises ScheduleError if the expression, the zone, the policy or a naive `after` is wrong.
    """
    schedule = compile_schedule(expr, tz, dst, anchor=after)
    found: list[datetime] = []
    for at in schedule.iterate(after):
        if len(found) >= n:
            break
        found.append(at)
    return found
