"""The part of an output that a page holds: its end, the lines around one, or those around a hit."""

import asyncio
from collections import Counter, deque
from contextlib import aclosing
from typing import Final, NamedTuple

from croncord.errors import NotFound, StoreError, Unreachable
from croncord.web.output import Output
from croncord.web.pages.lines import Line, OutputLines, html_of

WINDOW_LINES: Final = 2000
HITS_MAX: Final = 10_000
COUNTED_BYTES_MAX: Final = 16 * 1024 * 1024
"""A larger output is not read from its beginning to show its end; its lines have no numbers then."""
_ABOVE_HIT: Final = 3
_BRIEF_LINES: Final = 50
_TAKE: Final = 5000


class Wanted(NamedTuple):
    """What the address asks for."""

    first: int = 0
    """The line to begin with; 0 for the last lines."""
    find: str = ""
    hit: int = 1
    """Which of the lines found, from 1."""
    at: int = -1
    """The byte whose line is shown, as `croncord.service.search` gives it; -1 for none."""
    stream: str = ""
    """The only stream that `at` counts; empty for what the process wrote to both."""
    lines: int = WINDOW_LINES
    """So many lines at most."""


class Find(NamedTuple):
    """What a search found."""

    hits: int
    is_more: bool
    at: int
    """Which hit is shown, from 1; 0 when there is none."""
    line: int


class Window(NamedTuple):
    """Lines of an output, as far as they are known now."""

    html: str
    unfinished: str
    place: str
    """Where the stream goes on after these lines."""
    first: int
    """Number of the first line shown; 0 when the lines were not counted."""
    last: int
    is_end: bool
    """Whether nothing comes after these lines."""
    progress: int | None
    trouble: str
    """Why it cannot be read now; empty when it could."""
    find: Find | None

    @property
    def is_all(self) -> bool:
        """Whether the whole output is shown."""
        return self.is_end and self.first == 1

    @property
    def earlier(self) -> int:
        """The line with which the window before this one begins; 0 when there is none."""
        return max(1, self.first - WINDOW_LINES) if self.first > 1 else 0


def wanted_lines(query: dict[str, str]) -> Wanted:
    """Read the address: `?first=120`, `?find=error&hit=2`, `?at=4096`; what is no number is ignored."""
    first = _number(query.get("first", ""))
    at = _number(query["at"]) if "at" in query else -1
    find, hit = query.get("find", "")[:200], max(1, _number(query.get("hit", "")))
    lines = _number(query.get("lines", "")) or WINDOW_LINES
    return Wanted(first, find, hit, at, query.get("stream", ""), min(lines, WINDOW_LINES))


async def read_window(output: Output, wanted: Wanted, *, is_brief: bool = False) -> Window:
    """Read what is wanted; a search goes through the whole output.

    Brief: only a few last lines, for a page that has the others already.
    """
    find, marked = await _look_for(output, wanted)
    if marked:
        wanted = wanted._replace(first=max(1, marked - _ABOVE_HIT))
    lines: deque[Line] = deque(maxlen=None if wanted.first else WINDOW_LINES)
    reader, trouble, is_end = OutputLines(), "", True
    progress = None
    try:
        is_large = int(output.run["log"]["bytes"]) > COUNTED_BYTES_MAX
        if is_brief or (is_large and not wanted.first):
            tail = _BRIEF_LINES if is_brief else WINDOW_LINES
            reader = OutputLines(str(await output.tail_offset(tail)))
        async with aclosing(output.chunks(reader.offset, system=True)) as chunks:
            async for chunk in chunks:
                reader.feed(chunk)
                while taken := reader.take(_room(wanted, reader)):
                    is_early = wanted.first > taken[0].number
                    lines += (
                        [line for line in taken if line.number >= wanted.first]
                        if is_early
                        else taken
                    )
                await asyncio.sleep(0)  # others are served while a long output is read
                if wanted.first and len(lines) >= wanted.lines:
                    is_end = False
                    break
    except (NotFound, Unreachable, StoreError) as error:
        trouble = error.message
    if wanted.first and not lines and not trouble:
        return await read_window(output, Wanted())
    unfinished = reader.unfinished() if is_end else []
    for line in (*lines, *unfinished) if is_end else ():
        progress = progress if line.progress is None else line.progress
    needle = wanted.find.casefold()
    return Window(
        html="".join(_marked(line, needle, marked) for line in lines),
        unfinished=html_of(unfinished),
        place=reader.place,
        first=lines[0].number if lines else 1,
        last=lines[-1].number if lines else 0,
        is_end=is_end,
        progress=progress,
        trouble=trouble,
        find=find,
    )


async def _look_for(output: Output, wanted: Wanted) -> tuple[Find | None, int]:
    """Return what was found, and the line to show: of a hit, or with a byte; 0 for none."""
    if wanted.find:
        find = await _find(output, wanted)
        return find, find.line if find.at else 0
    if wanted.at >= 0 and not wanted.first:
        return None, await _line_at(output, wanted)
    return None, 0


def _room(wanted: Wanted, reader: OutputLines) -> int:
    """How many lines to take, so that the place stands right after the window's last line."""
    if not wanted.first or reader.count is None:
        return _TAKE
    return max(0, min(_TAKE, wanted.first - 1 + wanted.lines - reader.count))


def _marked(line: Line, needle: str, number: int) -> str:
    is_found = bool(needle) and needle in line.text.casefold()
    return line.html(is_hit=is_found or 0 < number == line.number)


async def _line_at(output: Output, wanted: Wanted) -> int:
    """Return the number of the line with that byte, 0 when there is none.

    The search counts the bytes of its streams as they came; lines of two streams are numbered as
    they end. So the byte's place in its own stream is found first, then the line that holds it.
    """
    streams = (wanted.stream,) if wanted.stream else ("stdout", "stderr")
    passed, fed, told = 0, Counter[str](), Counter[str]()
    target: tuple[str, int] | None = None
    reader = OutputLines()
    try:
        async with aclosing(output.chunks(system=True)) as chunks:
            async for chunk in chunks:
                name, size = chunk.stream, len(chunk.data)
                if name in streams:
                    if target is None and passed + size > wanted.at:
                        target = (name, fed[name] + wanted.at - passed)
                    passed += size
                fed[name] += size
                reader.feed(chunk)
                while taken := reader.take(_TAKE):
                    for line in taken:
                        told[line.stream] += line.size
                        if target and line.stream == target[0] and told[target[0]] > target[1]:
                            return line.number
                await asyncio.sleep(0)
    except (NotFound, Unreachable, StoreError):
        pass  # reading the window fails the same way, and tells
    return 0


async def _find(output: Output, wanted: Wanted) -> Find:
    """Count the lines with the text, letters small or large, and find the one to show."""
    needle, count, shown = wanted.find.casefold(), 0, (0, 0)
    reader = OutputLines()
    try:
        async with aclosing(output.chunks(system=True)) as chunks:
            async for chunk in chunks:
                reader.feed(chunk)
                while taken := reader.take(_TAKE):
                    for line in taken:
                        if needle in line.text.casefold():
                            count += 1
                            if count <= wanted.hit:
                                shown = (count, line.number)
                await asyncio.sleep(0)
                if count >= HITS_MAX:
                    break
    except (NotFound, Unreachable, StoreError):
        pass  # reading the window fails the same way, and tells
    return Find(count, count >= HITS_MAX, *shown)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
