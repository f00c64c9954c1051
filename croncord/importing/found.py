"""A job of another scheduler and what becomes of it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from croncord.errors import ConfigError

_FORBIDDEN = re.compile(r"[/\x00-\x1f\x7f]+")
NAME_MAX = 128


class OldTimes(Protocol):
    """When the old scheduler runs a job, by its own rules."""

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Yield its runs after that, in order, in UTC."""


@dataclass
class Found:
    """A job as it was found, and the fields of the job that does the same."""

    label: str
    """What the old scheduler calls it."""
    fields: dict[str, Any] = field(default_factory=dict)
    """Named as the API names them; empty when it is refused."""
    remarks: list[str] = field(default_factory=list)
    """What differs, or has to be done by hand."""
    refusal: str = ""
    """Why it cannot be kept."""
    times: OldTimes | None = None
    """None when it never runs by itself, or nobody can know when."""


class Refused(Exception):
    """A job cannot be kept; the text says why."""


def plain_name(text: str) -> str:
    """Return a name that a job may have."""
    return _FORBIDDEN.sub("-", text).strip()[:NAME_MAX] or "job"


def free_name(text: str, taken: set[str], mark: str) -> str:
    """Return a name that no other job has, with a mark where it would."""
    name = plain_name(text)
    if name in taken:
        name = f"{name[: NAME_MAX - len(mark) - 1]}-{mark}"
    taken.add(name)
    return name


def whole(fields: Mapping[str, Any], name: str, default: int = 0) -> int:
    """Return a whole number from 0 on, also one that is written as text. Raises Refused."""
    value = fields.get(name)
    if value in (None, ""):
        return default
    try:
        number = int(value)
    except (TypeError, ValueError):
        raise Refused(f"{name} is {value!r}, not a number") from None
    if number < 0 or number != float(value):
        raise Refused(f"{name} is {value!r}, not a whole number from 0 on")
    return number


def text_of(data: bytes, name: str) -> str:
    """Return the text of a file. Raises ConfigError."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name} is not text in UTF-8: {error}") from None
