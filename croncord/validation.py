"""What makes a job acceptable: the rules that a type cannot say.

Every wrong field is named at once, as the API spells it. Values are tidied on the way in: spaces
around expressions, Windows line ends, times in UTC.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import msgspec

from croncord.errors import FieldError, Invalid, ScheduleError
from croncord.fields import ERRORS_MAX, utc_milliseconds, wrong_fields
from croncord.locks import name_and_places
from croncord.model import SCRIPT_BYTES_MAX, JobSpec
from croncord.schedule import check_schedule

SCHEDULES_MAX = 20
ENVIRONMENT_ENTRIES_MAX = 500
ENVIRONMENT_BYTES_MAX = 512 * 1024
VARIABLE_BYTES_MAX = 128 * 1024 - 1
"""Linux refuses to start a program with a longer NAME=value."""

READ_ONLY = frozenset(
    {
        "id",
        "version",
        "next_run",
        "last_run",
        "running",
        "state",
        "created_at",
        "updated_at",
        "updated_by",
        "script_sha256",
        "script_bytes",
        "placement",
    }
)
"""Fields of a job that the cluster adds. A body may hold them as it was read; they change nothing."""

_BIDIRECTIONAL = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\$?")
_BOM = "\ufeff"


def read_job(fields: Mapping[str, Any]) -> JobSpec:
    """Build the spec of a job from its JSON object; raises Invalid naming every wrong field."""
    tidy = {name: value for name, value in fields.items() if name not in READ_ONLY}
    schedule = tidy.get("schedule")
    if isinstance(schedule, str):
        tidy["schedule"] = [schedule]
    if isinstance(tidy.get("script"), str):
        tidy["script"] = tidy_script(tidy["script"])
    typed = islice(wrong_fields(JobSpec, tidy), ERRORS_MAX)
    errors = [error for error in typed if error.field != "schedule"]
    errors += _timing_errors(tidy)
    wrong = {error.field.partition(".")[0] for error in errors}
    for name, check in _CHECKS.items():
        if name in tidy and name not in wrong:
            errors += check(tidy[name])
    if errors:
        raise Invalid(errors)
    tidy["schedule"] = [expr.strip() for expr in tidy.get("schedule", ["@manual"])]
    spec = msgspec.convert(tidy, JobSpec)
    spec = msgspec.structs.replace(
        spec,
        tags=tuple(dict.fromkeys(spec.tags)),
        secrets=tuple(dict.fromkeys(spec.secrets)),
        start_at=spec.start_at and utc_milliseconds(spec.start_at),
        end_at=spec.end_at and utc_milliseconds(spec.end_at),
    )
    errors += _contradictions(spec)
    if errors:
        raise Invalid(errors)
    return spec


def tidy_script(text: str) -> str:
    """Drop a byte order mark; turn the line ends of a Windows file into those of a script.

    A file is a Windows file when every line ends so; one with mixed line ends is left as it is.
    """
    text = text.removeprefix(_BOM)
    lines = text.count("\n")
    return text.replace("\r\n", "\n") if lines and text.count("\r\n") == lines else text


def decode_script(data: bytes) -> str:
    """Read the bytes of a script file; raises Invalid when they are not UTF-8 text."""
    if len(data) > 2 * SCRIPT_BYTES_MAX:
        raise Invalid([FieldError("script", _too_long(len(data)))])
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        message = f"byte {error.start + 1} is not UTF-8 text"
        hint = "Save the file as UTF-8, for instance with `iconv -f latin1 -t utf-8`."
        raise Invalid([FieldError("script", message)], hint=hint) from None


def environment_errors(environment: object, field: str = "environment") -> Iterator[FieldError]:
    """Yield what keeps well-typed variables from being given to a program."""
    assert isinstance(environment, Mapping)
    if len(environment) > ENVIRONMENT_ENTRIES_MAX:
        yield FieldError(
            field,
            f"has {len(environment)} entries; at most {ENVIRONMENT_ENTRIES_MAX} are allowed",
        )
    total = 0
    for name, value in environment.items():
        size = len(f"{name}={value}".encode(errors="replace"))
        total += size
        if name.startswith("CRONCORD_"):
            yield FieldError(
                f"{field}.{name}", "names beginning with CRONCORD_ are set by CronCord"
            )
        elif "\0" in value:
            yield FieldError(f"{field}.{name}", "must not contain NUL characters")
        elif size > VARIABLE_BYTES_MAX:
            yield FieldError(
                f"{field}.{name}", f"is {size} bytes long; at most {VARIABLE_BYTES_MAX} are allowed"
            )
    if total > ENVIRONMENT_BYTES_MAX:
        yield FieldError(
            field, f"is {total} bytes long; at most {ENVIRONMENT_BYTES_MAX} are allowed"
        )


def name_errors(name: object) -> Iterator[FieldError]:
    """Yield what is wrong with a name of the right length without `/` and ASCII controls."""
    assert isinstance(name, str)
    if name != name.strip():
        yield FieldError("name", "must not begin or end with a space")
    elif name in {".", ".."}:
        yield FieldError("name", "must not be `.` or `..`, which mean something else in addresses")
    elif strange := next((c for c in name if _is_invisible(c)), None):
        yield FieldError(
            "name",
            f"must not contain the character U+{ord(strange):04X}, which cannot be seen",
        )


def _is_invisible(character: str) -> bool:
    if character in _BIDIRECTIONAL:
        return True
    return unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}


def _timing_errors(fields: Mapping[str, Any]) -> Iterator[FieldError]:
    """Zone and clock-change policy first, so that a wrong zone is told once, not per expression."""
    zone, dst = fields.get("timezone", "UTC"), fields.get("dst", "cron")
    dst = dst if dst in ("cron", "once", "skip", "every") else "cron"
    if not isinstance(zone, str):
        zone = "UTC"  # told already, as of the wrong type
    try:
        check_schedule("@manual", zone, dst)
    except ScheduleError as error:
        yield from error.errors
        zone = "UTC"
    schedule = fields.get("schedule", ["@manual"])
    if not isinstance(schedule, list | tuple):
        yield FieldError("schedule", "must be one expression or a list of them")
        return
    if not 1 <= len(schedule) <= SCHEDULES_MAX:
        yield FieldError(
            "schedule",
            f"has {len(schedule)} expressions; write 1 to {SCHEDULES_MAX}, `@manual` for none",
        )
        return
    for expr in schedule:
        try:
            check_schedule(expr, zone, dst)
        except ScheduleError as error:
            which = f"{expr!r}: " if len(schedule) > 1 else ""
            yield from (FieldError(e.field, f"{which}{e.message}") for e in error.errors)


def _script_errors(script: str) -> Iterator[FieldError]:
    size = len(script.encode(errors="replace"))
    if not script.strip():
        yield FieldError("script", "is empty")
    elif size > SCRIPT_BYTES_MAX:
        yield FieldError("script", _too_long(size))
    elif "\0" in script:
        where = script.count("\n", 0, script.index("\0")) + 1
        yield FieldError(
            "script", f"line {where} holds a NUL character: this is not a text file in UTF-8"
        )


def _too_long(size: int) -> str:
    return f"is {size} bytes long; at most {SCRIPT_BYTES_MAX} are allowed"


def _directory_errors(directory: str) -> Iterator[FieldError]:
    if directory and not directory.startswith("/"):
        yield FieldError("working_directory", "must be an absolute path, beginning with `/`")
    elif "\0" in directory:
        yield FieldError("working_directory", "must not contain NUL characters")


def _user_errors(user: str) -> Iterator[FieldError]:
    if user and not _USER.fullmatch(user):
        yield FieldError("user", "must be the name of a user of the machine, such as www-data")


def _contradictions(spec: JobSpec) -> Iterator[FieldError]:
    if spec.start_at and spec.end_at and spec.end_at <= spec.start_at:
        yield FieldError("end_at", "must be after start_at")
    if both := next((name for name in spec.secrets if name in spec.environment), None):
        yield FieldError("secrets", f"{both} is a variable of `environment` too")
    names = [name_and_places(lock)[0] for lock in spec.locks]
    if twice := next((name for name in names if names.count(name) > 1), None):
        yield FieldError("locks", f"names {twice} twice")
    retries = spec.retries
    if retries.max_delay_seconds < retries.delay_seconds:
        yield FieldError(
            "retries.max_delay_seconds",
            f"{retries.max_delay_seconds} is less than delay_seconds {retries.delay_seconds}",
        )


_CHECKS = {
    "name": name_errors,
    "script": _script_errors,
    "environment": environment_errors,
    "working_directory": _directory_errors,
    "user": _user_errors,
}
