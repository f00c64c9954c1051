"""Two definitions of a job side by side: which fields differ, and the lines of the script. Pure."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

LINES_MAX: Final = 600
_CONTEXT: Final = 3


class Change(NamedTuple):
    """A field that differs, as text; empty for none."""

    field: str
    before: str
    after: str


class DiffLine(NamedTuple):
    """A line of the script; a `gap` stands for lines that are the same in both."""

    kind: Literal["same", "del", "add", "gap"]
    text: str


class Comparison(NamedTuple):
    """What differs between two definitions."""

    changes: list[Change]
    """Fields other than the script."""
    script: list[DiffLine]

    @property
    def is_empty(self) -> bool:
        """Whether both are the same."""
        return not self.changes and not self.script


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> Comparison:
    """Compare two definitions; only fields that both have count."""
    old, new = dict(_flat(before)), dict(_flat(after))
    changes = [
        Change(name, old[name], new[name])
        for name in old
        if name in new and name != "script" and old[name] != new[name]
    ]
    return Comparison(changes, script_lines(str(before["script"]), str(after["script"])))


def script_lines(before: str, after: str) -> list[DiffLine]:
    """Return the lines that differ with three around them; empty when nothing does."""
    found: list[DiffLine] = []
    diff = difflib.unified_diff(before.splitlines(), after.splitlines(), n=_CONTEXT, lineterm="")
    for line in list(diff)[2:]:
        if line.startswith("@@"):
            found.append(DiffLine("gap", line))
        else:
            kind: Literal["add", "del", "same"] = (
                "add" if line[0] == "+" else "del" if line[0] == "-" else "same"
            )
            found.append(DiffLine(kind, line[1:]))
        if len(found) >= LINES_MAX:
            found.append(DiffLine("gap", "more lines differ"))
            break
    return found


def _flat(definition: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in definition.items():
        if isinstance(value, Mapping) and name != "environment":
            for inner, inner_value in value.items():
                yield f"{name}.{inner}", _text(inner_value)
        else:
            yield name, _text(value)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "\n".join(f"{name}={inner}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return "\n".join(_text(entry) for entry in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
