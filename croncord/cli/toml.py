"""Writing jobs as TOML; reading is `tomllib`'s.

Only what a job is made of: tables of text, numbers, booleans and lists of text, one level deep.
"""

import re
from collections.abc import Mapping
from typing import Any

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f"}
_ESCAPES["\r"] = "\\r"


def document(jobs: list[dict[str, Any]]) -> str:
    """Return a document with one `[[jobs]]` table for each job."""
    return "\n".join("[[jobs]]\n" + table(job, "jobs.") for job in jobs)


def table(fields: Mapping[str, Any], prefix: str = "") -> str:
    """Return the lines of one table; None, which TOML cannot say, and empty tables are left out."""
    said = {k: v for k, v in fields.items() if v is not None and v != {}}
    simple = {k: v for k, v in said.items() if not isinstance(v, Mapping)}
    lines = [f"{_key(k)} = {_value(v)}\n" for k, v in simple.items()]
    for name, inner in said.items():
        if isinstance(inner, Mapping):
            lines.append(f"\n[{prefix}{_key(name)}]\n")
            lines += [f"{_key(k)} = {_value(v)}\n" for k, v in inner.items() if v is not None]
    return "".join(lines)


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _quoted(name)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(v) for v in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + "}"
    return _lines(value) if "\n" in value else _quoted(value)


def _quoted(text: str) -> str:
    return '"' + "".join(_escaped(c) for c in text) + '"'


def _lines(text: str) -> str:
    """Return text over several lines: as it is if TOML can hold it so, else with escapes."""
    plain = all(c in "\t\n" or (c >= " " and c != "\x7f") for c in text)
    if plain and "'''" not in text and not text.endswith("'"):
        return f"'''\n{text}'''"
    return '"""\n' + "".join(c if c == "\n" else _escaped(c) for c in text) + '"""'


def _escaped(c: str) -> str:
    if c in _ESCAPES:
        return _ESCAPES[c]
    return c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}"
