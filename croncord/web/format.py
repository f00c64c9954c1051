"""Numbers, times and states as a person reads them. Pure: "now" is always an argument.

Times are shown with the letters of their zone; nothing here knows a default zone but UTC.
"""

import signal
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import NamedTuple

from croncord.schedule import zone_info

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


class Look(NamedTuple):
    """How a state is shown: a word, the name of an icon, and a tone of the style sheet."""

    word: str
    icon: str
    tone: str


LOOKS = MappingProxyType(
    {
        "succeeded": Look("Succeeded", "succeeded", "ok"),
        "failed": Look("Failed", "failed", "bad"),
        "timed_out": Look("Timed out", "timed-out", "bad"),
        "killed": Look("Killed", "killed", "warn"),
        "running": Look("Running", "running", "run"),
        "pending": Look("Pending", "pending", "run"),
        "waiting": Look("Waiting", "waiting", "mute"),
        "paused": Look("Paused", "paused", "warn"),
        "skipped": Look("Skipped", "skipped", "mute"),
        "missed": Look("Missed", "missed", "warn"),
        "lost": Look("Lost", "lost", "lost"),
        "up": Look("Up", "up", "ok"),
        "down": Look("Down", "failed", "bad"),
        "draining": Look("Draining", "draining", "warn"),
        "joining": Look("Joining", "waiting", "run"),
        "left": Look("Left", "skipped", "mute"),
    }
)

NOTICES = MappingProxyType(
    {
        "failure": "Failures",
        "recovery": "Success after trouble",
        "missed": "Missed ticks",
        "lost": "Lost runs",
        "late": "Silence: no success in time",
        "too_long": "Runs that take too long",
    }
)

REASONS = MappingProxyType(
    {
        "overlap": "the run before it had not ended",
        "paused": "the job was paused",
        "cluster_paused": "the whole cluster was paused",
        "calendar": "a calendar excluded that day",
        "dst_gap": "the clocks went forward over that time",
        "dst_repeat": "the clocks went back and it had run before",
        "lock_held": "another run held its lock",
        "no_quorum": "there was no majority to decide it",
        "dependency_failed": "the job before it did not succeed",
        "limit_memory": "it used more memory than allowed",
        "limit_processes": "it had more processes than allowed",
        "restored": "the cluster was restored from a backup",
        "runner_killed": "the process that watched over it was killed",
        "queue_full": "too many runs were already waiting",
        "replaced": "a newer run took its place",
        "late": "it could not start inside its window",
        "no_target": "no node matched the job's target",
        "no_capacity": "every matching node was full",
        "node_down": "its node stopped answering",
        "node_restarted": "its node restarted and lost track of it",
        "start_failed": "the script could not be started",
        "limit_log": "it wrote more output than allowed",
        "limit_unsupported": "no matching node can limit its CPU",
        "requested": "somebody asked for it",
        "timeout": "it reached its time limit",
        "expired": "nobody could run it in time",
        "deleted": "the job was deleted",
    }
)

TRIGGERS = MappingProxyType(
    {
        "schedule": "on schedule",
        "manual": "by hand",
        "catch_up": "caught up later",
        "backfill": "back-filled",
        "retry": "as a retry",
        "after": "after another job",
        "every_node": "on every node",
    }
)

_EXITS = MappingProxyType(
    {
        0: "success",
        1: "general error",
        2: "wrong usage, or the shell could not parse the script",
        126: "found, but not executable",
        127: "command not found",
    }
)


def look(state: str) -> Look:
    """Return how a state is shown; an unknown one is shown by its own name."""
    return LOOKS.get(state) or Look(state.replace("_", " ").capitalize(), "info", "mute")


def reason_words(reason: str | None) -> str:
    """Say a reason as half a sentence; empty for none."""
    return REASONS.get(reason, reason.replace("_", " ")) if reason else ""


def instant(text: str | datetime | None) -> datetime | None:
    """Read a time as the API writes it; None stays None. Raises ValueError."""
    if text is None or text == "":
        return None
    if isinstance(text, datetime):
        return text
    read = datetime.fromisoformat(text)
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)


def stamp(when: str | datetime | None, zone: str = "UTC", *, seconds: bool = False) -> str:
    """Write a time with weekday and zone letters: `Tue 24 Nov 02:30 CET`, the year when asked."""
    at = instant(when)
    if at is None:
        return "–"
    local = at.astimezone(zone_info(zone or "UTC"))
    clock = f"{local:%H:%M:%S}" if seconds else f"{local:%H:%M}"
    return f"{local:%a} {local.day} {local:%b} {clock} {letters(local)}"


def full_stamp(when: str | datetime | None, zone: str = "UTC") -> str:
    """Write a time to the second, with its year."""
    at = instant(when)
    if at is None:
        return "–"
    local = at.astimezone(zone_info(zone or "UTC"))
    return f"{local.day} {local:%b %Y %H:%M:%S} {letters(local)}"


def both_clocks(when: str | datetime | None, zone: str = "UTC") -> str:
    """Write a time on a zone's clock and in UTC: `Tue 24 Nov 02:30:00 CET · 01:30 UTC`, its day where it differs."""
    at = instant(when)
    if at is None or zone in ("", "UTC"):
        return full_stamp(when)
    utc = at.astimezone(UTC)
    day = "" if utc.date() == at.astimezone(zone_info(zone)).date() else f"{utc.day} {utc:%b} "
    return f"{stamp(at, zone, seconds=True)} · {day}{utc:%H:%M} UTC"


def clock_time(when: str | datetime | None, zone: str = "UTC") -> str:
    """Write only the time of day: `02:30:00`, for lists whose date is known."""
    at = instant(when)
    return "–" if at is None else f"{at.astimezone(zone_info(zone or 'UTC')):%H:%M:%S}"


def letters(local: datetime) -> str:
    """Return the zone's letters, or its offset where the zone has none."""
    name = local.tzname() or ""
    return name if name[:1].isalpha() else f"UTC{local:%z}"


def duration(seconds: float | None) -> str:
    """Write a length of time with at most two units: `0.4 s`, `3 min 12 s`, `1 d 8 h`."""
    if seconds is None:
        return "–"
    if seconds < 1:
        return f"{seconds:.1f} s" if seconds >= 0.05 else f"{seconds * 1000:.0f} ms"
    whole = round(seconds)
    if whole < 10:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    if whole < _MINUTE:
        return f"{whole} s"
    for size, name, small, small_name in (
        (_DAY, "d", _HOUR, "h"),
        (_HOUR, "h", _MINUTE, "min"),
        (_MINUTE, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // small
            return f"{whole // size} {name}" + (f" {rest} {small_name}" if rest else "")
    raise AssertionError(whole)


def relative(when: str | datetime | None, now: datetime) -> str:
    """Write a time as seen from now: `in 8 h 5 min`, `3 min ago`, `now`. The past needs one unit."""
    at = instant(when)
    if at is None:
        return "–"
    seconds = (at - now).total_seconds()
    size = abs(seconds)
    if size < 1:
        return "now"
    if seconds < 0:
        return f"{_largest_unit(size)} ago"
    if size < _HOUR:
        return f"in {_largest_unit(size)}"
    unit = _MINUTE if size < _DAY else _HOUR
    return f"in {duration(size // unit * unit)}"


def _largest_unit(seconds: float) -> str:
    for size, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {name}"
    return f"{seconds:.0f} s"


def later(when: str, minutes: int) -> str:
    """Return the time so many minutes after, as the API writes times."""
    at = instant(when)
    return "" if at is None else f"{at + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}"


def seconds_between(start: str | datetime | None, end: str | datetime | None) -> float | None:
    """Return the seconds from start to end, None when either is unknown."""
    first, last = instant(start), instant(end)
    return None if first is None or last is None else (last - first).total_seconds()


def byte_size(count: float | None) -> str:
    """Write a number of bytes in decimal units: `312 kB`, `1.2 MB`."""
    if count is None:
        return "–"
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB", "TB"):
        count /= 1000
        if count < 1000 or unit == "TB":
            return f"{count:.1f} {unit}" if count < 10 else f"{count:.0f} {unit}"
    raise AssertionError(count)


def count(number: int, one: str, many: str = "") -> str:
    """Write a number with its noun: `1 job`, `1,234 jobs`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def exit_words(exit_code: int | None, signal_number: int | None = None) -> str:
    """Say what an exit status usually means; empty when there is none."""
    if signal_number:
        return f"ended by {_signal_name(signal_number)}"
    if exit_code is None:
        return ""
    if 128 < exit_code < 160:
        memory = ", often out of memory" if exit_code - 128 == signal.SIGKILL else ""
        return f"ended by {_signal_name(exit_code - 128)}{memory}"
    return _EXITS.get(exit_code, "")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def offset_words(milliseconds: float | None) -> str:
    """Write a clock difference with its sign: `+12 ms`, `−1.3 s`."""
    if milliseconds is None:
        return "–"
    size = abs(milliseconds)
    sign = "−" if milliseconds < 0 else "+" if size >= 0.5 else ""
    return f"{sign}{size / 1000:.1f} s" if size >= 1000 else f"{sign}{size:.0f} ms"


def sentence(text: str) -> str:
    """Write an error's message as a sentence."""
    text = text.strip()
    return (
        f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"
        if text
        else ""
    )


def notice_kind(kind: str) -> str:
    """Say what a kind of notice is about."""
    return NOTICES.get(kind, kind)


def person(name: str) -> str:
    """Write who did something: `ada` for a user, `token deploy` for a program, as agreed else."""
    kind, colon, rest = name.partition(":")
    if not colon:
        return name
    if kind == "link":
        return "a sign-in link" if rest == "signin" else "the set-up link"
    return rest if kind == "user" else f"{kind} {rest}"
