"""Search in the outputs that this node holds, line by line.

What is searched is what a reader of the output sees: the bytes of one stream or of both in order.
A call stops at its limit of hits, or after about two seconds between two outputs; it says how far it
came. Regular expressions are matched by another process, which is killed when it takes too long.
"""

import asyncio
import struct
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Final

import msgspec

from croncord.errors import NotFound, StoreError, Unreachable
from croncord.frames import STDERR, STDOUT, decode_frames
from croncord.logs import regex_worker
from croncord.logs.local import LocalLogs
from croncord.logs.reading import local_frames
from croncord.ports import LogKey, SearchAnswer, SearchHit, SearchOrder

BUDGET_SECONDS: Final = 2.0
PATIENCE_SECONDS: Final = 2.0
"""For a regular expression on one piece of output, about 256 KiB."""
SHOWN_BYTES: Final = 500
"""So much of a matching line is given."""
CONTEXT_LINES: Final = 2
CONTEXT_BYTES: Final = 160
"""So much is given of each line before and after."""
LINE_BYTES_MAX: Final = 1024 * 1024
"""A longer line is searched in parts."""
AT_ONCE: Final = 2

_SIZE = struct.Struct(">I")
_STREAMS = {"": (STDOUT, STDERR), "stdout": (STDOUT,), "stderr": (STDERR,)}
Matcher = Callable[[bytes], Awaitable[list[int]]]
"""Takes whole lines and returns where those begin that match."""


class _TooSlowError(Exception):
    """The regular expression takes too long."""


class LocalSearch:
    """Searches this node's copies."""

    def __init__(self, local: LocalLogs) -> None:
        self._local = local
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def search(self, order: SearchOrder) -> SearchAnswer:
        """Search outputs in the order given; see `SearchAnswer`."""
        hits: list[SearchHit] = []
        absent: list[LogKey] = []
        searched = 0
        problem = ""
        async with self._turn, AsyncExitStack() as stack:
            matcher = await self._matcher(order, stack)
            give_up_at = time.monotonic() + BUDGET_SECONDS
            for key in order.keys:
                if time.monotonic() > give_up_at or len(hits) >= order.limit:
                    break
                after = order.after if not searched else -1
                try:
                    await self._search_one(key, order, after, matcher, hits)
                except (NotFound, StoreError, Unreachable):
                    absent.append(key)
                except _TooSlowError:
                    problem = "the regular expression takes too long; make it simpler"
                    break
                searched += 1
        return SearchAnswer(tuple(hits), tuple(absent), searched, problem)

    async def _matcher(self, order: SearchOrder, stack: AsyncExitStack) -> Matcher:
        if order.regex:
            worker = await _Worker.start(order.pattern.encode())
            stack.push_async_callback(worker.stop)
            return worker.match
        wanted = order.pattern.encode()

        async def match(text: bytes) -> list[int]:
            return await self._local.in_thread(lambda: lines_with(wanted, text))

        return match

    async def _search_one(
        self, key: LogKey, order: SearchOrder, after: int, matcher: Matcher, hits: list[SearchHit]
    ) -> None:
        """Add one output's hits. Raises NotFound, StoreError when there is none that is sound."""
        if self._local.status(key) is None:
            raise NotFound("it is not here")
        before = len(hits)
        text, lines = b"", _Lines(key, after, hits)
        streams = _STREAMS[order.stream]
        try:
            async for data in local_frames(self._local, key, offset=0, follow=False):
                frames, _ = decode_frames(data)
                text += b"".join([frame.payload for frame in frames if frame.stream in streams])
                end = text.rfind(b"\n") + 1
                if not end and len(text) >= LINE_BYTES_MAX:
                    end = len(text)
                if end:
                    lines.add(text[:end], await matcher(text[:end]))
                    text = text[end:]
                if len(hits) >= order.limit:
                    break
            else:
                if text:
                    lines.add(text, await matcher(text))
        except BaseException:
            del hits[before:]
            raise
        del hits[order.limit :]


class _Lines:
    """Counts through an output and notes the lines that match."""

    def __init__(self, key: LogKey, after: int, hits: list[SearchHit]) -> None:
        self._key = key
        self._after = after
        self._hits = hits
        self._offset = 0
        self._line = 1
        self._tail: list[str] = []
        """The last lines of the part before."""
        self._short: list[int] = []
        """Hits that lack lines after them, which the next part may begin with."""

    def add(self, text: bytes, starts: list[int]) -> None:
        """Take the next part of the output, and where lines begin in it that match."""
        self._complete(text)
        line = self._line
        counted = 0
        for start in starts:
            line += text.count(b"\n", counted, start)
            counted = start
            at = self._offset + start
            if at > self._after:
                shown = text[start : start + SHOWN_BYTES].partition(b"\n")[0]
                before = lines_before(text, start)
                missing = CONTEXT_LINES - len(before)
                after = lines_from(text, text.find(b"\n", start) + 1 or len(text))
                if len(after) < CONTEXT_LINES:
                    self._short.append(len(self._hits))
                hit = SearchHit(
                    self._key,
                    at,
                    line,
                    shown.decode(errors="replace"),
                    before=(*(self._tail[-missing:] if missing else ()), *before),
                    after=tuple(after),
                )
                self._hits.append(hit)
        self._offset += len(text)
        self._line += text.count(b"\n")
        self._tail = (self._tail + lines_before(text, len(text)))[-CONTEXT_LINES:]

    def _complete(self, text: bytes) -> None:
        """Give the hits at the end of the part before the lines that this one begins with."""
        following = lines_from(text, 0)
        for index in self._short:
            hit = self._hits[index]
            after = (*hit.after, *following)[:CONTEXT_LINES]
            self._hits[index] = msgspec.structs.replace(hit, after=after)
        self._short = []


def lines_before(text: bytes, end: int) -> list[str]:
    """Return the last lines before the one that begins at `end`, each cut short."""
    found: list[str] = []
    while end > 0 and len(found) < CONTEXT_LINES:
        begin = text.rfind(b"\n", 0, end - 1) + 1
        found.insert(0, _beginning(text[begin : min(end, begin + CONTEXT_BYTES)]))
        end = begin
    return found


def lines_from(text: bytes, at: int) -> list[str]:
    """Return the first lines from there on, each cut short."""
    found: list[str] = []
    while at < len(text) and len(found) < CONTEXT_LINES:
        found.append(_beginning(text[at : at + CONTEXT_BYTES]))
        at = text.find(b"\n", at) + 1 or len(text)
    return found


def _beginning(line: bytes) -> str:
    return line.partition(b"\n")[0].decode(errors="replace")


def lines_with(wanted: bytes, text: bytes) -> list[int]:
    """Return where the lines begin that hold these bytes."""
    starts: list[int] = []
    at = text.find(wanted)
    while at >= 0 and len(starts) < regex_worker.HITS_MAX:
        starts.append(text.rfind(b"\n", 0, at) + 1)
        end = text.find(b"\n", at)
        if end < 0:
            break
        at = text.find(wanted, end + 1)
    return starts


class _Worker:
    """A process that matches a regular expression."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, pattern: bytes) -> "_Worker":
        path = str(Path(regex_worker.__file__))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", path, stdin=PIPE, stdout=PIPE, stderr=DEVNULL
        )
        worker = cls(process)
        worker._send(pattern)
        return worker

    def _send(self, data: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(_SIZE.pack(len(data)) + data)

    async def match(self, text: bytes) -> list[int]:
        """Return where matching lines begin. Raises _TooSlowError."""
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                self._send(text)
                (size,) = _SIZE.unpack(await self._process.stdout.readexactly(_SIZE.size))
                answer = await self._process.stdout.readexactly(size)
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError) as error:
            raise _TooSlowError from error
        return [start for (start,) in _SIZE.iter_unpack(answer)]

    async def stop(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
