"""What a command prints: lines, tables that fit the terminal, JSON.

Data go to standard output, everything else to standard error. Colour appears on a terminal only,
and never when NO_COLOR is set (no-color.org).
"""

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TextIO

import msgspec

from croncord.cli import words

_COLOURS = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "grey": "90", "bold": "1"}
_STATE_COLOURS = {
    "succeeded": "green",
    "up": "green",
    "running": "blue",
    "failed": "red",
    "timed_out": "red",
    "lost": "red",
    "missed": "red",
    "down": "red",
    "killed": "yellow",
    "skipped": "yellow",
    "draining": "yellow",
    "paused": "yellow",
}
_GAP = 2
_NARROWEST = 8


def say(line: str = "") -> None:
    """Print a line of data."""
    sys.stdout.write(line + "\n")


def say_bytes(data: bytes) -> None:
    """Print bytes exactly as they are, at once."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def note(line: str) -> None:
    """Tell the person something that is not data."""
    sys.stderr.write(line + "\n")


def say_json(value: Any) -> None:
    """Print a value as indented JSON."""
    say(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def paint(text: str, colour: str, stream: TextIO | None = None) -> str:
    """Return `text` in that colour, or as it is where colour has no place."""
    if not colour or not _colourful(stream or sys.stdout):
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


def state_colour(state: str) -> str:
    """Return the colour of a state of a run, job or node; empty for none."""
    return _STATE_COLOURS.get(state, "")


def _colourful(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


@dataclass(frozen=True)
class Column:
    """One column of a table: its heading and how a row's text in it is found."""

    heading: str
    text: Callable[[dict[str, Any]], str]
    align: Literal["left", "right"] = "left"
    colour: Callable[[str], str] | None = None


def say_table(columns: Sequence[Column], rows: Sequence[dict[str, Any]], empty: str) -> None:
    """Print rows under aligned headings; `empty` is said, beside the data, when there are none.

    On a terminal the widest columns are cut until a row fits on a line; elsewhere nothing is cut.
    """
    if not rows:
        note(empty)
        return
    table = [[c.text(row) for c in columns] for row in rows]
    widths = [
        max(words.width(line[i]) for line in [[c.heading for c in columns], *table])
        for i in range(len(columns))
    ]
    if sys.stdout.isatty():
        widths = _fit(widths, shutil.get_terminal_size().columns)
    say(paint(_line(columns, [c.heading for c in columns], widths), "bold"))
    for texts in table:
        say(_line(columns, texts, widths, coloured=True))


def _fit(widths: list[int], available: int) -> list[int]:
    widths = list(widths)
    excess = sum(widths) + _GAP * (len(widths) - 1) - available
    while excess > 0 and max(widths) > _NARROWEST:
        widest = widths.index(max(widths))
        second = max([w for w in widths if w < widths[widest]], default=_NARROWEST)
        cut = min(excess, max(1, widths[widest] - max(second, _NARROWEST)))
        widths[widest] -= cut
        excess -= cut
    return widths


def _line(
    columns: Sequence[Column],
    texts: Sequence[str],
    widths: Sequence[int],
    *,
    coloured: bool = False,
) -> str:
    cells = []
    for column, text, room in zip(columns, texts, widths, strict=True):
        shown = words.clip(text, room)
        fill = " " * (room - words.width(shown))
        if coloured and column.colour:
            shown = paint(shown, column.colour(text))
        cells.append(fill + shown if column.align == "right" else shown + fill)
    return (" " * _GAP).join(cells).rstrip()


def say_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Print names and values of one thing, values aligned; a value of `-` is left out."""
    shown = [(name, value) for name, value in facts if value != "-"]
    room = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        first, *more = value.splitlines() or [""]
        say(f"{name:<{room}}  {first}")
        for line in more:
            say(f"{'':<{room}}  {line}")


def can_ask() -> bool:
    """Whether a person is there to answer a question."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: str) -> bool:
    """Put a yes-or-no question to the person; anything but yes is no."""
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
