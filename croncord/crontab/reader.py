"""Reads a crontab as Debian's cron does, line by line; every line is understood or refused.

A comment is a line whose first visible character is `#`; later ones belong to the command.
Assignments hold for the lines below them and are not expanded. A system crontab (/etc/crontab,
/etc/cron.d) has a user column. Lines after an assignment that could not be carried over are
refused too, because what they would do is no longer known.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from croncord.crontab.command import cannot_script, split_percent
from croncord.crontab.lines import Assignment, Entry, Line, Refusal
from croncord.crontab.times import NotCron, column_schedule, word_schedule
from croncord.errors import ScheduleError
from croncord.schedule import check_schedule, zone_info

_ASSIGNMENT = re.compile(
    r"""(?:(["'])(?P<quoted>[^=]*?)\1|(?P<bare>[^\s=]+))[ \t]*=(?P<value>.*)"""
)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}\$?")
_SHELL = re.compile(r"/[^\s]+")
_MAIL = frozenset({"MAILTO", "MAILFROM", "CONTENT_TYPE", "CONTENT_TRANSFER_ENCODING"})
_LONGEST_COMMAND = 999


@dataclass(slots=True)
class _Settings:
    """What the assignments so far amount to."""

    environment: dict[str, str] = field(default_factory=dict)
    mail: dict[str, str] = field(default_factory=dict)
    shell: str = "/bin/sh"
    home: str = ""
    timezone: str = ""
    jitter_seconds: int = 0
    lost: int = 0
    """Line of an assignment that could not be carried over."""


class _Refused(ValueError):
    """Why the line at hand is not imported."""


def read_crontab(text: str, *, system: bool) -> list[Line]:
    """Return what each line of a crontab means, except blank lines and comments.

    `system` says that there is a user column. `text` is the whole file; bytes that were no UTF-8
    should have been decoded with `surrogateescape`, their lines are refused. Never raises.
    """
    settings = _Settings()
    found: list[Line] = []
    lines = text.split("\n")
    for number, raw in enumerate(lines, 1):
        line = raw.lstrip(" \t")
        if not line.strip(" \t\r") or line.startswith("#"):
            continue
        try:
            item = _read(line, raw, number, settings, system=system)
        except _Refused as refused:
            item = Refusal(number, raw, str(refused))
        if number == len(lines) and not isinstance(item, Refusal):
            note = "the last line does not end with a newline; cron would not load this file"
            item = replace(item, notes=(*item.notes, note))
        found.append(item)
    return found


def _read(line: str, raw: str, number: int, settings: _Settings, *, system: bool) -> Line:
    notes: list[str] = []
    if line.endswith("\r"):
        line = line[:-1]
        notes.append("the carriage return at the end was removed; cron would pass it on")
    if not _is_text(line):
        raise _Refused("it holds bytes that are no UTF-8 text, or control characters")
    if m := _ASSIGNMENT.fullmatch(line):
        name = m["quoted"] if m["quoted"] is not None else m["bare"]
        try:
            notes += _assign(name, value := _unquoted(m["value"]), settings)
        except _Refused:
            settings.lost = number
            raise
        return Assignment(number, name, value, tuple(notes))
    if settings.lost:
        raise _Refused(f"line {settings.lost}, which could not be imported, applies to it")
    entry = _entry(line, raw, number, settings, system=system)
    return replace(entry, notes=(*notes, *entry.notes))


def _is_text(line: str) -> bool:
    return all(
        c == "\t" or (c >= " " and c != "\x7f" and not "\ud800" <= c < "\ue000") for c in line
    )


def _unquoted(value: str) -> str:
    value = value.strip(" \t")
    if value[:1] not in {"'", '"'} or not value:
        return value
    inner, closed, rest = value[1:].partition(value[0])
    if not closed:
        raise _Refused("the quote in the value is not closed")
    if rest:
        raise _Refused(f"{rest!r} stands after the closing quote")
    return inner


def _assign(name: str, value: str, settings: _Settings) -> list[str]:
    """Take an assignment in; returns notes. Raises _Refused if it cannot be carried over."""
    if not _VARIABLE.fullmatch(name):
        raise _Refused(f"{name!r} is not the name of an environment variable")
    if name in _MAIL:
        settings.mail[name] = value
        return ["CronCord sends no mail of its own; the output is kept with each run"]
    if name in {"LOGNAME", "USER"}:
        return [f"cron sets {name} itself; ignored, as cron does"]
    if name == "CRON_TZ":
        settings.timezone = _zone(value)
        return [f"the times below are those of {settings.timezone}, as in cronie"]
    if name == "RANDOM_DELAY":
        settings.jitter_seconds = _minutes(value) * 60
        return ["the runs below start up to that many minutes late, as in cronie"]
    return _set_variable(name, value, settings)


def _set_variable(name: str, value: str, settings: _Settings) -> list[str]:
    if name == "SHELL":
        if not _SHELL.fullmatch(value):
            raise _Refused("SHELL must be the absolute path of a program")
        settings.shell = value
    elif name == "HOME":
        if not value.startswith("/"):
            raise _Refused("HOME must be an absolute path")
        settings.home = value
    settings.environment[name] = value
    if name == "TZ":
        return ["TZ is the zone of the command only; the times are not read in it"]
    return ["cron does not expand $ here, and neither does CronCord"] if "$" in value else []


def _zone(name: str) -> str:
    try:
        return zone_info(name).key
    except ScheduleError as wrong:
        raise _Refused("; ".join(e.message for e in wrong.errors)) from None


def _minutes(value: str) -> int:
    if not re.fullmatch(r"\d{1,4}", value) or int(value) > 1440:
        raise _Refused("RANDOM_DELAY must be a number of minutes up to 1440")
    return int(value)


def _entry(line: str, raw: str, number: int, settings: _Settings, *, system: bool) -> Entry:
    notes: list[str] = []
    if line.startswith("-"):
        line = line[1:].lstrip(" \t")
        notes.append("the leading - only keeps cron from logging the start")
    schedule, rest = _schedule(line, settings.timezone or "UTC", notes)
    user = ""
    if system:
        user, rest = _word(rest)
        if not _USER.fullmatch(user):
            raise _Refused(
                f"{user!r} stands where a system crontab has the user; "
                "a user's own crontab has no such column"
            )
    if not rest:
        raise _Refused("there is no command" + (" after the user" if user else ""))
    command, stdin = split_percent(rest)
    if not command.strip():
        raise _Refused("there is no command before the %")
    if why := cannot_script(command, stdin, settings.shell):
        raise _Refused(why)
    if len(rest) > _LONGEST_COMMAND:
        notes.append(f"longer than cron's own limit of {_LONGEST_COMMAND} characters")
    if "\\\\" in rest:
        notes.append("\\\\ is one backslash, as in Debian's cron; cronie would keep both")
    return Entry(
        line=number,
        text=raw,
        schedule=schedule,
        user=user,
        command=command,
        stdin=stdin or "",
        shell=settings.shell,
        environment=_environment(settings, rest),
        home=settings.home,
        timezone=settings.timezone,
        jitter_seconds=settings.jitter_seconds,
        notes=tuple(notes),
    )


def _environment(settings: _Settings, command: str) -> Mapping[str, str]:
    """Return the variables for a command; those about cron's mail only if it mentions them."""
    mail = {name: value for name, value in settings.mail.items() if name in command}
    return {**settings.environment, **mail}


def _schedule(line: str, zone: str, notes: list[str]) -> tuple[str, str]:
    """Return the schedule and the rest of the line; raise _Refused with the reason."""
    try:
        if line.startswith("@"):
            word, rest = _word(line)
            return word_schedule(word), rest
        columns = []
        rest = line
        for _ in range(5):
            column, rest = _word(rest)
            columns.append(column)
        if not columns[-1]:
            raise _Refused("it has fewer than five time columns")
        schedule, remarks = column_schedule(columns)
        notes += remarks
        check_schedule(schedule, zone)
    except NotCron as wrong:
        raise _Refused(str(wrong)) from None
    except ScheduleError as wrong:
        raise _Refused("; ".join(e.message for e in wrong.errors)) from None
    return schedule, rest


def _word(text: str) -> tuple[str, str]:
    """Return the first word of `text` and what follows the blanks after it."""
    m = re.match(r"([^ \t]*)[ \t]*(.*)", text, re.DOTALL)
    return (m[1], m[2]) if m else ("", "")
