"""From JSON to a frozen value, naming every wrong field at once and saying what would be right.

msgspec stops at the first fault and speaks of types; people fill in forms. This walks the same
annotations, so the two cannot disagree about what is accepted.
"""

import difflib
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import islice
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from croncord.errors import FieldError, Invalid
from croncord.model import (
    DATE_PATTERN,
    IONICE_PATTERN,
    LOCK_PATTERN,
    TIMES_PATTERN,
    UMASK_PATTERN,
)
from croncord.notification import ADDRESS_PATTERN, CHANNEL_PATTERN

S = TypeVar("S", bound=msgspec.Struct)

ERRORS_MAX = 50
"""Wrong fields that are told at once; a hostile body could hold a million."""

_FIRST_YEAR, _END_YEAR = 1970, 2199
_PATTERNS = types.MappingProxyType(
    {
        r"^[^/\x00-\x1f\x7f]+$": "must not contain `/` or control characters",
        r"^[^\x00-\x1f\x7f]+$": "must not contain control characters",
        DATE_PATTERN: "must be a date such as 2026-12-25, 12-25 or 2026-12-24/2026-12-26",
        TIMES_PATTERN: "must be a span of times such as 09:00-17:00",
        UMASK_PATTERN: "must be three octal digits such as 022",
        IONICE_PATTERN: "must be none, idle, or best-effort:0 to best-effort:7",
        CHANNEL_PATTERN: "must be letters, digits and `._-`, beginning with a letter or digit",
        ADDRESS_PATTERN: "must be a mail address such as ops@example.com",
        LOCK_PATTERN: (
            "must be a name of letters, digits and `._-`, with `:3` after it for three at once"
        ),
        r"^[A-Za-z_][A-Za-z0-9_]*$": (
            "must be letters, digits and underscores, not beginning with a digit"
        ),
    }
)


def read_fields(kind: type[S], data: Mapping[str, Any], *, from_text: bool = False) -> S:
    """Turn a JSON object into a `kind`; raises Invalid listing every wrong field.

    With `from_text` numbers and truth values may come as text, as they do in a query.
    """
    errors = list(islice(wrong_fields(kind, data, from_text=from_text), ERRORS_MAX))
    if errors:
        raise Invalid(errors)
    return msgspec.convert(data, kind, strict=not from_text)


def wrong_fields(
    kind: type[msgspec.Struct], data: object, path: str = "", *, from_text: bool = False
) -> Iterator[FieldError]:
    """Yield what is wrong with `data` as a `kind`; nested fields are named `target.nodes`."""
    if not isinstance(data, Mapping):
        yield FieldError(path, "must be an object with named fields")
        return
    annotations = field_types(kind)
    required = _required(kind)
    for name in data:
        if name not in annotations:
            yield FieldError(f"{path}{str(name)[:64]}", _unknown(str(name), list(annotations)))
    for name, annotation in annotations.items():
        if name in data:
            yield from _wrong(annotation, data[name], f"{path}{name}", from_text=from_text)
        elif name in required:
            yield FieldError(f"{path}{name}", "is required")


@cache
def field_types(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the annotations of a struct's fields, in order."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in msgspec.structs.fields(kind)}


@cache
def _required(kind: type[msgspec.Struct]) -> frozenset[str]:
    return frozenset(field.name for field in msgspec.structs.fields(kind) if field.required)


def _unknown(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name[:64], known, n=1)
    return "unknown field" + (f"; did you mean {close[0]}?" if close else "")


def _wrong(
    annotation: Any, value: object, path: str, *, from_text: bool = False
) -> Iterator[FieldError]:
    plain = annotation
    while typing.get_origin(plain) is typing.Annotated:
        plain = typing.get_args(plain)[0]
    kind, arguments = typing.get_origin(plain), typing.get_args(plain)
    if isinstance(plain, type) and issubclass(plain, msgspec.Struct):
        if isinstance(value, Mapping):
            yield from wrong_fields(plain, value, f"{path}.")
        else:
            yield FieldError(path, "must be an object with named fields")
    elif kind is dict and isinstance(value, Mapping):
        for key, item in value.items():
            entry = f"{path}.{str(key)[:64]}"
            yield from _leaf(arguments[0], key, entry)
            yield from _wrong(arguments[1], item, entry)
    elif kind is tuple and isinstance(value, list | tuple):
        wrong = next((e for item in value for e in _wrong(arguments[0], item, path)), None)
        yield from [wrong] if wrong else _leaf(annotation, value, path)
    else:
        yield from _leaf(annotation, value, path, from_text=from_text)


def _leaf(
    annotation: Any, value: object, path: str, *, from_text: bool = False
) -> Iterator[FieldError]:
    try:
        converted = msgspec.convert(value, annotation, strict=not from_text)
    except msgspec.ValidationError:
        yield FieldError(path, _sentence(_info(annotation), value, annotation))
        return
    if isinstance(converted, str) and converted.endswith("\n"):
        info = _info(annotation)
        # `$` in a pattern lets a line end pass at the very end.
        if isinstance(info, inspect.StrType) and info.pattern:
            yield FieldError(path, _PATTERNS.get(info.pattern, "must not end in a line end"))
    if isinstance(converted, datetime):
        if converted.tzinfo is None:
            yield FieldError(path, "has no offset from UTC; add Z or one such as +01:00")
        elif not _FIRST_YEAR < converted.year < _END_YEAR:
            yield FieldError(path, f"the year must be from {_FIRST_YEAR + 1} to {_END_YEAR - 1}")


@cache
def _info(annotation: Any) -> inspect.Type:
    return inspect.type_info(annotation)


def _sentence(info: inspect.Type, value: object, annotation: Any) -> str:
    if isinstance(info, inspect.UnionType):
        info = next(kind for kind in info.types if not isinstance(kind, inspect.NoneType))
    if isinstance(info, inspect.StrType):
        return _about_text(info, value)
    if isinstance(info, inspect.IntType | inspect.FloatType):
        return _about_number(info)
    if isinstance(info, inspect.LiteralType):
        return f"{str(value)[:64]!r} is not one of {', '.join(_choices(annotation))}"
    if isinstance(info, inspect.VarTupleType) and isinstance(value, list | tuple):
        return f"has {len(value)} entries; at most {info.max_length} are allowed"
    return _SENTENCES.get(type(info), "has the wrong type")


_SENTENCES = types.MappingProxyType(
    {
        inspect.BoolType: "must be true or false",
        inspect.DateTimeType: "must be a time such as 2027-01-01T00:00:00Z",
        inspect.DictType: "must be an object of names and values",
        inspect.VarTupleType: "must be a list",
    }
)


def _about_text(info: inspect.StrType, value: object) -> str:
    if not isinstance(value, str):
        return "must be text"
    if not value and info.min_length:
        return "is empty"
    if info.max_length is not None and len(value) > info.max_length:
        return f"is {len(value)} characters long; at most {info.max_length} are allowed"
    return _PATTERNS.get(info.pattern or "", "has a form that is not allowed")


def _about_number(info: inspect.IntType | inspect.FloatType) -> str:
    kind = "a whole number" if isinstance(info, inspect.IntType) else "a number"
    if info.ge is None or info.le is None:
        return f"must be {kind}" + ("" if info.ge is None else f", at least {info.ge}")
    return f"must be {kind} from {info.ge} to {info.le}"


def _choices(annotation: Any) -> tuple[str, ...]:
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Literal:
        return arguments
    return next((found for a in arguments if (found := _choices(a))), ())


def utc_milliseconds(instant: datetime) -> datetime:
    """Return an aware instant in UTC, cut to the resolution of agreed instants."""
    instant = instant.astimezone(UTC)
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)
