"""Chunks of output as lines of HTML, resumable after any line. Pure.

The chunks of both streams come mixed and end anywhere. A place in the output is a text such as
`4096-o17-e80`: read from offset 4096, and of what follows leave out the first 17 bytes of stdout
and the first 80 of stderr, which were told as lines. How the store groups bytes into chunks may
differ from one reading to the next; counting by stream from a chunk's beginning does not mind.
"""

import re
from collections import deque
from typing import Final, NamedTuple

from croncord.ports import LogChunk
from croncord.web.ansi import line_html

LINE_BYTES_MAX: Final = 8192
"""A longer line is cut into several, so that binary output cannot stop the page."""
HELD_CHUNKS_MAX: Final = 4096
"""While one stream leaves a line unfinished for so many chunks, it is told as it is."""

_PLACE = re.compile(r"(\d{1,18})((?:-[oey]\d{1,18})*)")
_LETTERS: Final = {"o": "stdout", "e": "stderr", "y": "system"}
_CLASSES: Final = {"stderr": "e", "system": "y"}


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
        return f"{self.offset}{''.join(c for c in counts if not c.endswith(('o0', 'e0', 'y0')))}"

    def feed(self, chunk: LogChunk) -> None:
        """Take a chunk; `take` must have emptied the one before."""
        skip = min(self._skip[chunk.stream], len(chunk.data))
        self._skip[chunk.stream] -= skip
        self._held.append(_Held(chunk.offset, chunk.stream, len(chunk.data)))
        self._chunk, self._used = chunk, skip

    def take(self, limit: int) -> list[str]:
        """Return at most that many finished lines; fewer when the chunk is used up."""
        chunk = self._chunk
        lines: list[str] = []
        while chunk is not None and len(lines) < limit:
            line = self._line(chunk)
            if line is None:
                self._use_up(chunk, lines)
                break
            lines.append(line)
        return lines

    def _line(self, chunk: LogChunk) -> str | None:
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
        return _wrapped(name, rest + piece)

    def _use_up(self, chunk: LogChunk, lines: list[str]) -> None:
        name = chunk.stream
        unfinished = chunk.data[self._used :]
        if unfinished:
            self._rest[name] = self._rest.get(name, b"") + unfinished
        self._fed[name] += len(chunk.data)
        self._chunk = None
        if len(self._held) > HELD_CHUNKS_MAX:
            lines += self.unfinished()
            self._told = dict(self._fed)
            self._rest.clear()
        while self._held and self._told[self._held[0].stream] >= self._held[0].size:
            told = self._held.popleft()
            self._told[told.stream] -= told.size
            self._fed[told.stream] -= told.size
        self.offset = self._held[0].offset if self._held else chunk.next_offset

    def unfinished(self) -> list[str]:
        """Return the lines that have not ended yet, as they are now."""
        return [_wrapped(name, rest) for name, rest in self._rest.items()]


def _wrapped(stream: str, line: bytes) -> str:
    html = line_html(line)
    tone = _CLASSES.get(stream)
    return f'<span class="{tone}">{html}\n</span>' if tone else f"{html}\n"
