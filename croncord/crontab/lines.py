"""What a crontab holds, line by line."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Assignment:
    """`NAME = value`: holds for the entries below it."""

    line: int
    name: str
    value: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One job: when, who, what, and the settings that hold at its place in the file."""

    line: int
    text: str
    """The line as it stands in the file."""
    schedule: str
    user: str
    """The user column of a system crontab; empty in a user's own."""
    command: str
    """What cron hands to the shell, its percent signs already undone."""
    stdin: str = ""
    """What cron writes to the command's standard input: the part after the first `%`."""
    shell: str = "/bin/sh"
    environment: Mapping[str, str] = field(default_factory=dict)
    home: str = ""
    """Where it runs if the file sets HOME; otherwise the user's home directory."""
    timezone: str = ""
    """The zone that CRON_TZ names; otherwise that of the machine."""
    jitter_seconds: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """A line that cannot be imported with its meaning, and why."""

    line: int
    text: str
    reason: str


Line = Assignment | Entry | Refusal
