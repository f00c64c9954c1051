"""The job form and the API's fields: what was typed ↔ what is sent. Pure.

The form's names are the API's; nested ones have dots. Everything typed is kept as text, also when
it is wrong, so that the page can be shown again with nothing lost.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from croncord.errors import FieldError
from croncord.validation import tidy_script

TEXTS = (
    "name", "description", "owner", "timezone", "dst", "working_directory", "user", "overlap",
    "delivery", "target.strategy", "misfire.policy",
)  # fmt: skip
SPANS = (
    "timeout_seconds", "kill_grace_seconds", "jitter_seconds", "misfire.window_seconds",
    "retries.delay_seconds", "retries.max_delay_seconds",
)  # fmt: skip
NUMBERS = ("retries.count", "retries.backoff", "limits.log_bytes")
TIMES = ("start_at", "end_at")
TICKS = ("target.every_node", "retries.other_node", "paused")
LISTS = ("tags", "target.nodes")
PAIRS = ("environment", "target.labels")
MAY_BE_NONE = frozenset({"timeout_seconds", "start_at", "end_at"})
NAMES = frozenset(
    (*TEXTS, *SPANS, *NUMBERS, *TIMES, *TICKS, *LISTS, *PAIRS, "schedule", "script", "version")
)
_FIRST = (
    "",
    "name",
    "description",
    "tags",
    "owner",
    "script",
    "script_file",
    "schedule",
    "timezone",
)
_ORDER = dict.fromkeys((*_FIRST, *sorted(NAMES)))

_SPAN = re.compile(r"(\d+)\s*(s|sec|m|min|h|d)?", re.IGNORECASE)
_UNIT = {"": 1, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


@dataclass
class Typed:
    """What the form holds: text by name, what could not be read, and remarks."""

    values: dict[str, str] = field(default_factory=dict)
    problems: list[FieldError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def get(self, name: str, default: str = "") -> str:
        """Return the text of a field."""
        return self.values.get(name, default)

    def ticked(self, name: str) -> bool:
        """Whether a box is ticked."""
        return bool(self.values.get(name))

    def chosen(self, name: str) -> list[str]:
        """Return the entries of a list field."""
        return _words(self.values.get(name, ""))


def typed_from_job(job: Mapping[str, Any]) -> Typed:
    """Fill the form from a job as the API gives it."""
    values: dict[str, str] = {}
    for name in (*TEXTS, *SPANS, *NUMBERS, *TIMES):
        value = _inner(job, name)
        values[name] = "" if value is None else str(value).removesuffix(".0")
    for name in TICKS:
        values[name] = "true" if _inner(job, name) else ""
    for name in LISTS:
        values[name] = ", ".join(_inner(job, name))
    values["environment"] = "\n".join(f"{k}={v}" for k, v in job["environment"].items())
    values["target.labels"] = ", ".join(f"{k}={v}" for k, v in job["target"]["labels"].items())
    schedule = job["schedule"]
    values["schedule"] = schedule if isinstance(schedule, str) else "\n".join(schedule)
    values["script"] = job["script"]
    values["version"] = str(job["version"])
    return Typed(values)


def typed_from_post(pairs: Iterable[tuple[str, str]]) -> Typed:
    """Take what a browser sent, without judging it. Several boxes of one name become one list."""
    values: dict[str, str] = {}
    for name, value in pairs:
        if name in NAMES:
            text = value if name == "script" else value.strip()
            values[name] = f"{values[name]}, {text}" if name in values and text else text
    # Browsers send every line break of a text box as CRLF; nobody typed those.
    for name in ("script", "schedule", "environment", "target.labels", "description"):
        if name in values:
            values[name] = values[name].replace("\r\n", "\n")
    return Typed(values)


def take_file(typed: Typed, data: bytes, filename: str) -> None:
    """Put an uploaded script into the form; what is wrong with it becomes a problem or a note."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"{filename} is not UTF-8 text: byte {data[error.start]:#04x} in line {line}"
        typed.problems.append(FieldError("script_file", message))
        return
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        typed.problems.append(
            FieldError("script_file", f"{filename} has a NUL byte in line {line}")
        )
        return
    tidy = tidy_script(text)
    breaks = text.count("\r\n")
    if text.startswith("\ufeff"):
        typed.notes.append(f"The byte order mark at the start of {filename} was removed.")
    if breaks and "\r\n" not in tidy:
        typed.notes.append(f"{breaks:,} Windows line ends (CRLF) of {filename} became LF.")
    elif breaks:
        typed.notes.append(f"Some lines of {filename} end in CRLF, others in LF; they were kept.")
    typed.values["script"] = tidy


def fields_from(typed: Typed) -> dict[str, Any]:
    """Return the API's fields; what cannot be read is added to `typed.problems` and left out."""
    fields: dict[str, Any] = {}
    get = typed.values
    for name in TEXTS:
        if name in get:
            _put(fields, name, get[name])
    lines = [line.strip() for line in typed.get("schedule").splitlines() if line.strip()]
    fields["schedule"] = lines[0] if len(lines) == 1 else lines or ""
    fields["script"] = typed.get("script")
    for name in (*SPANS, *NUMBERS, *TIMES):
        if name in get:
            _scalar(typed, fields, name, get[name])
    for name in TICKS:
        _put(fields, name, typed.ticked(name))
    for name in LISTS:
        if name in get or name == "target.nodes":
            _put(fields, name, _words(typed.get(name)))
    _pairs(typed, fields, "environment", typed.get("environment").split("\n"))
    _pairs(typed, fields, "target.labels", re.split(r"[,\n]", typed.get("target.labels")))
    return fields


def errors_by_field(errors: Sequence[FieldError]) -> dict[str, list[str]]:
    """Sort errors to the fields in the form's order; those of no field are under an empty name."""
    sorted_errors: dict[str, list[str]] = {name: [] for name in _ORDER}
    for error in errors:
        name, message = error.field, error.message
        while name not in _ORDER:
            name = re.sub(r"[.\[][^.\[]*$", "", name) if re.search(r"[.\[]", name) else ""
        inner = error.field[len(name) :].strip(".[]")
        if inner:
            message = f"{inner}: {message}"
        sorted_errors[name].append(message)
    return {name: messages for name, messages in sorted_errors.items() if messages}


def _scalar(typed: Typed, fields: dict[str, Any], name: str, text: str) -> None:
    """Put a number, a length of time or an instant; an empty one is none, or the default."""
    if not text:
        if name in MAY_BE_NONE:
            _put(fields, name, None)
        return
    try:
        _put(fields, name, _read(name, text))
    except ValueError as error:
        typed.problems.append(FieldError(name, str(error)))


def _read(name: str, text: str) -> int | float | str:
    if name in TIMES:
        return text
    if name in SPANS:
        match = _SPAN.fullmatch(text)
        if match is None:
            message = f"{text!r} is not a length of time; write 90, 90s, 15m, 2h or 1d"
            raise ValueError(message)
        return int(match[1][:12]) * _UNIT[(match[2] or "").lower()]
    try:
        return float(text) if name == "retries.backoff" else int(text)
    except ValueError:
        message = f"{text!r} is not a number"
        raise ValueError(message) from None


def _pairs(typed: Typed, fields: dict[str, Any], name: str, lines: Iterable[str]) -> None:
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        key, equals, value = line.partition("=")
        if not equals or not key.strip():
            message = f"line {number}: write NAME=value"
            typed.problems.append(FieldError(name, message))
            continue
        found[key.strip()] = value if name == "environment" else value.strip()
    if name in typed.values:
        _put(fields, name, found)


def _words(text: str) -> list[str]:
    return [word.strip() for word in re.split(r"[,\n]", text) if word.strip()]


def _put(fields: dict[str, Any], name: str, value: Any) -> None:
    group, dot, inner = name.partition(".")
    if dot:
        fields.setdefault(group, {})[inner] = value
    else:
        fields[name] = value


def _inner(job: Mapping[str, Any], name: str) -> Any:
    group, dot, inner = name.partition(".")
    return job[group][inner] if dot else job[name]
