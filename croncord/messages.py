"""What a script tells about itself in its output, on lines of their own. Pure.

    ::progress 40            a number from 0 to 100; the last one counts
    ::metric rows=1200       a name and a number; the last one of each name counts
    ::notice text            a sentence for whoever looks at the run
    ::output key=value       a value for the runs that come after this one

A line that begins with `::` and is none of these is output like any other. So is a line that is too
long, and what goes beyond the bounds below: nothing a script prints can make a run fail or its row
large. All lines stay in the output, also those that were understood.
"""

import math
import re
from typing import Final

import msgspec

from croncord.model import Messages

LINE_BYTES_MAX: Final = 4096
"""A longer line is no message."""
NAMES_MAX: Final = 50
"""How many metrics and how many outputs one run may have."""
NOTICES_MAX: Final = 20
"""The last of them are kept."""
NOTICE_CHARACTERS_MAX: Final = 500
VALUE_CHARACTERS_MAX: Final = 1024

_MARK: Final = b"::"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


class MessageReader:
    """Collects the messages of one run from its output as it comes, in pieces of any size."""

    def __init__(self) -> None:
        self.messages = Messages()
        """What was told so far."""
        self._begun: dict[int, bytes | None] = {}
        """For each stream the line that has no end yet; None when it is no message in any case."""

    def feed(self, stream: int, data: bytes) -> bool:
        """Take the next piece of a stream; returns whether it held a message."""
        begun = self._begun.get(stream, b"")
        if not begun and _MARK not in data:
            # Most output: only whether a line has ended matters, or may begin with the mark.
            rest = data[data.rfind(b"\n") + 1 :]
            if b"\n" in data or begun is not None:
                self._begun[stream] = rest if _MARK.startswith(rest) else None
            return False
        *lines, rest = data.split(b"\n")
        told = False
        for line in lines:
            if begun is not None:
                told = self._hear(begun + line) or told
            begun = b""
        if begun is not None:
            begun += rest
            may_be_one = begun.startswith(_MARK) or _MARK.startswith(begun)
            begun = begun if may_be_one and len(begun) <= LINE_BYTES_MAX else None
        self._begun[stream] = begun
        return told

    def end(self) -> Messages:
        """Take lines that never ended for whole, and return everything that was told."""
        for begun in self._begun.values():
            if begun:
                self._hear(begun)
        self._begun.clear()
        return self.messages

    def _hear(self, line: bytes) -> bool:
        if not line.startswith(_MARK) or len(line) > LINE_BYTES_MAX:
            return False
        heard = with_line(self.messages, line.decode(errors="replace").rstrip("\r"))
        if heard is None:
            return False
        self.messages = heard
        return True


def with_line(messages: Messages, line: str) -> Messages | None:
    """Return the messages with what a line adds; None when it is no message."""
    word, _, rest = line.removeprefix("::").partition(" ")
    rest = rest.strip()
    if word == "progress":
        return _with_progress(messages, rest)
    if word == "metric":
        return _with_metric(messages, rest)
    if word == "notice" and rest:
        notice = _CONTROL.sub(" ", rest)[:NOTICE_CHARACTERS_MAX]
        kept = (*messages.notices, notice)[-NOTICES_MAX:]
        return msgspec.structs.replace(messages, notices=kept)
    if word == "output":
        return _with_output(messages, rest)
    return None


def _with_progress(messages: Messages, text: str) -> Messages | None:
    value = _number(text.removesuffix("%"))
    if value is None or not 0 <= value <= 100:
        return None
    return msgspec.structs.replace(messages, progress=value)


def _with_metric(messages: Messages, text: str) -> Messages | None:
    name, _, number = text.partition("=")
    value = _number(number)
    if value is None or not _NAME.fullmatch(name) or _is_full(messages.metrics, name):
        return None
    return msgspec.structs.replace(messages, metrics={**messages.metrics, name: value})


def _with_output(messages: Messages, text: str) -> Messages | None:
    name, equals, value = text.partition("=")
    if not equals or not _VARIABLE.fullmatch(name) or _is_full(messages.outputs, name):
        return None
    # A process cannot be given a variable with a zero byte.
    if len(value) > VALUE_CHARACTERS_MAX or "\0" in value:
        return None
    return msgspec.structs.replace(messages, outputs={**messages.outputs, name: value})


def _is_full(held: dict[str, float] | dict[str, str], name: str) -> bool:
    return name not in held and len(held) >= NAMES_MAX


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
