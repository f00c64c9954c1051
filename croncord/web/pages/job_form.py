"""The job form and the API's fields: what was typed ↔ what is sent. Pure.

The form's names are the API's; nested ones have dots. Everything typed is kept as text, also when
it is wrong, so that the page can be shown again with nothing lost.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from croncord.errors import FieldError
from croncord.validation import READ_ONLY, tidy_script

TEXTS = (
    "name", "description", "owner", "timezone", "dst", "working_directory", "user", "overlap",
    "delivery", "target.strategy", "misfire.policy", "limits.on_limit", "umask", "ionice",
)  # fmt: skip
SPANS = (
    "timeout_seconds", "kill_grace_seconds", "jitter_seconds", "misfire.window_seconds",
    "retries.delay_seconds", "retries.max_delay_seconds", "expect_within_seconds",
    "notify.too_long_seconds",
)  # fmt: skip
NUMBERS = (
    "retries.count", "retries.backoff", "limits.log_bytes", "limits.memory_bytes",
    "limits.cpu_percent", "limits.processes", "limits.open_files", "nice", "pause_after_failures",
    "retention.runs", "retention.days", "retention.bytes", "misfire.max_runs", "misfire.per_minute",
)  # fmt: skip
TIMES = ("start_at", "end_at")
TICKS = (
    "target.every_node", "target.on_join", "retries.other_node", "paused", "notify.muted",
)  # fmt: skip
LISTS = (
    "tags", "target.nodes", "secrets", "calendars", "locks", "notify.on", "notify.channels",
)  # fmt: skip
BOXES = frozenset({"target.nodes", "calendars", "notify.on", "notify.channels"})
"""Lists with a box for each entry; a browser sends nothing when none is ticked."""
PAIRS = ("environment", "target.labels")
MAY_BE_NONE = frozenset(
    {"timeout_seconds", "start_at", "end_at", "pause_after_failures", "retention.runs"}
    | {"retention.days", "limits.memory_bytes", "limits.cpu_percent", "limits.processes"}
    | {"limits.open_files", "retention.bytes", "misfire.max_runs", "misfire.per_minute"}
    | {"expect_within_seconds", "notify.too_long_seconds"}
)
NAMES = frozenset(
    (*TEXTS, *SPANS, *NUMBERS, *TIMES, *TICKS, *LISTS, *PAIRS, "schedule", "script")
) | {"after", "version"}
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
_ENTRY = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^,\n])+')
_PAIR = re.compile(r'([^="]+|"(?:[^"\\]|\\.)*")=(.*)')
_AFTER = re.compile(r"(.+?)(?:\s+on\s+(success|failure|always))?", re.IGNORECASE)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
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
        values[name] = ", ".join(listed(entry) for entry in _inner(job, name))
    for name, between in (("environment", "\n"), ("target.labels", ", ")):
        pairs = _inner(job, name).items()
        values[name] = between.join(f"{_quoted(k, ',=')}={_quoted(v, ',')}" for k, v in pairs)
    schedule = job["schedule"]
    values["schedule"] = schedule if isinstance(schedule, str) else "\n".join(schedule)
    values["after"] = "\n".join(_after_line(it["job"], it["on"]) for it in job["after"])
    values["script"] = job["script"]
    values["version"] = str(job["version"])
    return Typed(values)


def typed_from_post(pairs: Iterable[tuple[str, str]]) -> Typed:
    """Take what a browser sent, without judging it. Several boxes of one name become one list."""
    values: dict[str, str] = {}
    for name, value in pairs:
        if name in NAMES:
            text = value if name in {"script", "environment"} else value.strip()
            values[name] = f"{values[name]}, {text}" if name in values and text else text
    # Browsers send every line break of a text box as CRLF; nobody typed those.
    for name in ("script", "schedule", "environment", "target.labels", "description", "after"):
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
    for name in PAIRS:
        if name in get:
            _pairs(typed, fields, name)
    _lists(typed, fields)
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
        return seconds_in(text)
    try:
        return float(text) if name == "retries.backoff" else int(text)
    except ValueError:
        message = f"{text!r} is not a number"
        raise ValueError(message) from None


def seconds_in(text: str) -> int:
    """Read a length of time. Raises ValueError."""
    match = _SPAN.fullmatch(text)
    if match is None:
        message = f"{text!r} is not a length of time; write 90, 90s, 15m, 2h or 1d"
        raise ValueError(message)
    return int(match[1][:12]) * _UNIT[(match[2] or "").lower()]


def _pairs(typed: Typed, fields: dict[str, Any], name: str) -> None:
    """Put NAME=value entries: one per line for variables, separated by commas for labels."""
    text = typed.get(name)
    entries = text.split("\n") if name == "environment" else _entries(text)
    found: dict[str, str] = {}
    for number, entry in enumerate(entries, 1):
        if not entry.strip():
            continue
        match = _PAIR.fullmatch(entry)
        if match is None:
            which = "line" if name == "environment" else "entry"
            typed.problems.append(FieldError(name, f"{which} {number}: write NAME=value"))
            continue
        value = match[2] if name == "environment" else match[2].strip()
        found[_bare(match[1].strip())] = _bare(value)
    _put(fields, name, found)


def _lists(typed: Typed, fields: dict[str, Any]) -> None:
    for name in LISTS:
        if name in typed.values or name in BOXES:
            _put(fields, name, _words(typed.get(name)))
    if "after" in typed.values:
        fields["after"] = list(_dependencies(typed.get("after")))


def _entries(text: str) -> list[str]:
    """Split at commas and line ends that are not inside quotes."""
    return [entry.strip() for entry in _ENTRY.findall(text) if entry.strip()]


def _words(text: str) -> list[str]:
    return [_bare(entry) for entry in _entries(text)]


def listed(text: str) -> str:
    """Write an entry of a list as the form reads it."""
    return _quoted(text, ",")


def _after_line(job: str, on: str) -> str:
    """Write a job after whose runs this one runs: `extract`, or `extract on failure`."""
    match = _AFTER.fullmatch(job)
    is_plain = on == "success" and match is not None and not match[2]
    return job if is_plain else f"{job} on {on}"


def _dependencies(text: str) -> Iterator[dict[str, str]]:
    for line in text.splitlines():
        match = _AFTER.fullmatch(line.strip())
        if match:
            yield {"job": match[1], "on": (match[2] or "success").lower()}


def _bare(text: str) -> str:
    """Take the quotes off a value in quotes, written as in JSON; any other is taken as it is."""
    if not _QUOTED.fullmatch(text.strip()):
        return text
    try:
        return str(json.loads(text.strip()))
    except ValueError:
        return text


def _quoted(text: str, special: str) -> str:
    """Put quotes around what would not be read back as it is."""
    plain = not any(c in text for c in f'"\n\r{special}') and text == text.strip()
    return text if plain else json.dumps(text, ensure_ascii=False)


def laid_over(job: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Lay the form's fields over a job, so that what the form does not know stays as it was."""
    merged = {name: value for name, value in job.items() if name not in READ_ONLY}
    for name, value in fields.items():
        old = merged.get(name)
        is_group = isinstance(old, dict) and name != "environment"
        merged[name] = {**old, **value} if is_group and old is not None else value
    return merged


def _put(fields: dict[str, Any], name: str, value: Any) -> None:
    group, dot, inner = name.partition(".")
    if dot:
        fields.setdefault(group, {})[inner] = value
    else:
        fields[name] = value


def _inner(job: Mapping[str, Any], name: str) -> Any:
    group, dot, inner = name.partition(".")
    return job[group][inner] if dot else job[name]
