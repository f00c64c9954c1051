"""Chunks of output as lines of HTML, resumable after any line. Pure.

The chunks of both streams come mixed and end anywhere. A place in the output is a text such as
`4096-o17-e80`: read from offset 4096, and of what follows leave out the first 17 bytes of stdout
and the first 80 of stderr, which were told as lines. How the store groups bytes into chunks may
differ from one reading to the next; counting by stream from a chunk's beginning does not mind.
`-n12` at its end says that twelve lines were told before it, so that the numbers go on.
"""

import re
from collections import deque
from collections.abc import Iterable
from typing import Final, NamedTuple

from croncord.ports import LogChunk
from croncord.web.ansi import line_html, plain_text

LINE_BYTES_MAX: Final = 8192
"""A longer line is cut into several, so that binary output cannot stop the page."""
HELD_CHUNKS_MAX: Final = 4096
"""While one stream leaves a line unfinished for so many chunks, it is told as it is."""

_PLACE = re.compile(r"(\d{1,18})((?:-[oey]\d{1,18})*)(?:-n(\d{1,12}))?")
_LETTERS: Final = {"o": "stdout", "e": "stderr", "y": "system"}
_CLASSES: Final = {"stderr": "e", "system": "y"}
_PERCENT = r"(\d{1,3})(?:\.\d+)?"
_PROGRESS = re.compile(rf"::progress\s+{_PERCENT}\s*%?|\s*{_PERCENT}\s?%\s*", re.ASCII)


class Line(NamedTuple):
    """One line of output, made into HTML only when it is shown."""

    number: int
    """From 1; 0 when nobody counted the lines before."""
    stream: str
    data: bytes

    def html(self, *, is_hit: bool = False) -> str:
        """Return it with its number as a link, and marked if it is what somebody looks for."""
        return _wrapped(self, is_hit=is_hit)

    @property
    def size(self) -> int:
        """How many bytes of its stream it is; a line that was cut has no end of its own."""
        return len(self.data) + (len(self.data) < LINE_BYTES_MAX)

    @property
    def text(self) -> str:
        """What a person reads, without colours."""
        return plain_text(self.data)

    @property
    def progress(self) -> int | None:
        """The percentage, if the line says nothing else: `::progress 40`, or `40%`."""
        if len(self.data) > 40:
            return None
        match = _PROGRESS.fullmatch(self.text)
        return min(100, int(match[1] or match[2])) if match else None


class _Held(NamedTuple):
    """A chunk that holds bytes not yet told as lines, or stands after one that does."""

    offset: int
    stream: str
    size: int


class OutputLines:
    """Takes chunks, gives finished lines."""

    def __init__(self, place: str = "0") -> None:
        """Begin at a place that was given earlier; anything else means the beginning."""
        match = _PLACE.fullmatch(place)
        self.offset = int(match[1]) if match else 0
        """Where to begin reading."""
        self.count = 0 if self.offset == 0 and not (match and match[2]) else None
        """How many lines were told since the beginning, None if that is not known."""
        if match and match[3]:
            self.count = int(match[3])
        told = re.findall(r"([oey])(\d+)", match[2]) if match else []
        self._told = dict.fromkeys(_LETTERS.values(), 0)
        self._told |= {_LETTERS[letter]: int(count) for letter, count in told}
        self._skip = dict(self._told)
        self._fed = dict.fromkeys(_LETTERS.values(), 0)
        self._held: deque[_Held] = deque()
        self._rest: dict[str, bytes] = {}
        self._chunk: LogChunk | None = None
        self._used = 0

    @property
    def place(self) -> str:
        """Where to go on later, so that no line is lost or told twice."""
        counts = [f"-{letter}{self._told[name]}" for letter, name in _LETTERS.items()]
        told = "".join(c for c in counts if not c.endswith(("o0", "e0", "y0")))
        return f"{self.offset}{told}" + (f"-n{self.count}" if self.count else "")

    def feed(self, chunk: LogChunk) -> None:
        """Take a chunk; `take` must have emptied the one before."""
        skip = min(self._skip[chunk.stream], len(chunk.data))
        self._skip[chunk.stream] -= skip
        self._held.append(_Held(chunk.offset, chunk.stream, len(chunk.data)))
        self._chunk, self._used = chunk, skip

    def take(self, limit: int) -> list[Line]:
        """Return at most that many finished lines; fewer when the chunk is used up."""
        chunk = self._chunk
        lines: list[Line] = []
        while chunk is not None and len(lines) < limit:
            line = self._line(chunk)
            if line is None:
                self._use_up(chunk, lines)
                break
            lines.append(line)
        return lines

    def _line(self, chunk: LogChunk) -> Line | None:
        """Cut the next line off the chunk; None when no line ends in it any more."""
        name, data = chunk.stream, chunk.data
        rest = self._rest.get(name, b"")
        stop = self._used + LINE_BYTES_MAX - len(rest)
        end = data.find(b"\n", self._used, stop)
        if end < 0 and len(data) < stop:
            return None
        piece = data[self._used : end if end >= 0 else stop]
        self._used = end + 1 if end >= 0 else stop
        self._rest.pop(name, None)
        self._told[name] = self._fed[name] + self._used
        return self._numbered(name, rest + piece)

    def _numbered(self, stream: str, data: bytes) -> Line:
        if self.count is None:
            return Line(0, stream, data)
        self.count += 1
        return Line(self.count, stream, data)

    def _use_up(self, chunk: LogChunk, lines: list[Line]) -> None:
        name = chunk.stream
        unfinished = chunk.data[self._used :]
        if unfinished:
            self._rest[name] = self._rest.get(name, b"") + unfinished
        self._fed[name] += len(chunk.data)
        self._chunk = None
        if len(self._held) > HELD_CHUNKS_MAX:
            lines += [self._numbered(name, rest) for name, rest in self._rest.items()]
            self._told = dict(self._fed)
            self._rest.clear()
        while self._held and self._told[self._held[0].stream] >= self._held[0].size:
            told = self._held.popleft()
            self._told[told.stream] -= told.size
            self._fed[told.stream] -= told.size
        self.offset = self._held[0].offset if self._held else chunk.next_offset

    def unfinished(self) -> list[Line]:
        """Return the lines that have not ended yet, as they are now."""
        return [Line(0, name, rest) for name, rest in self._rest.items()]


def html_of(lines: Iterable[Line]) -> str:
    """Return lines as HTML."""
    return "".join(line.html() for line in lines)


def _wrapped(line: Line, *, is_hit: bool) -> str:
    html, number = line_html(line.data), line.number
    if number:
        # For the mouse; the address can be typed, and the search leads there by keyboard.
        html = f"<a id=L{number} href=#L{number} tabindex=-1 aria-hidden=true>{number}</a>{html}"
    classes = [_CLASSES.get(line.stream, ""), "hit" if is_hit else ""]
    tone = " ".join(filter(None, classes))
    return f'<span class="{tone}">{html}\n</span>' if tone else f"{html}\n"
