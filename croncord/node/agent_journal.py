"""What a node wrote down before it acted, so that after a crash it knows what it may do.

A note is durable before the deed: `claiming` before a claim is proposed, `starting` before a script
is started. After a restart a run that is this node's by agreement is judged by its note:

    claiming   it was not started: it may be
    starting   it was started, or was about to be: ask the runner, and if that knows nothing, the
               run is lost
    none       the notes were lost with the disk: whether it ran cannot be known, so it is lost

The file has a line per note, `claiming RUN ATTEMPT`; the last line about an attempt counts, and
`done` takes it away. What is torn at the end was never acknowledged and is ignored.
"""

import asyncio
import os
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

from croncord.errors import StoreError
from croncord.ports import LogKey

REWRITE_BYTES: Final = 1024 * 1024
"""A file that has grown by so much is written afresh without what is done."""


class Note(StrEnum):
    """What the node was about to do."""

    CLAIMING = "claiming"
    STARTING = "starting"


_DONE = "done"


class AgentJournal(Protocol):
    """Where notes are kept."""

    def note(self, key: LogKey) -> Note | None:
        """Return the last note about an attempt."""

    async def write(self, note: Note, keys: Sequence[LogKey]) -> None:
        """Make a note about each; durable when this returns. Raises StoreError."""

    async def forget(self, keys: Iterable[LogKey]) -> None:
        """Take notes away; harmless when a crash undoes it."""

    def keys(self) -> list[LogKey]:
        """All attempts with a note."""


class VolatileJournal:
    """Notes in memory, for tests and simulations; give the same one to the next life."""

    def __init__(self) -> None:
        self._notes: dict[LogKey, Note] = {}

    def note(self, key: LogKey) -> Note | None:
        """Return the last note about an attempt."""
        return self._notes.get(key)

    async def write(self, note: Note, keys: Sequence[LogKey]) -> None:
        """Make a note about each."""
        self._notes.update(dict.fromkeys(keys, note))

    async def forget(self, keys: Iterable[LogKey]) -> None:
        """Take notes away."""
        for key in keys:
            self._notes.pop(key, None)

    def keys(self) -> list[LogKey]:
        """All attempts with a note."""
        return list(self._notes)


class FileJournal:
    """Notes in a file. Calls that come while the disk is busy share its next flush."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._notes: dict[LogKey, Note] = {}
        self._unwritten: list[str] = []
        self._writing = asyncio.Lock()
        self._next_flush: asyncio.Task[None] | None = None
        self._file = -1
        self._grown_bytes = 0

    def open(self) -> None:
        """Read the file and write it afresh. Blocks. Raises StoreError."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._path.exists():
                self._read(self._path.read_bytes())
            self._rewrite(self._text())
        except OSError as error:
            raise self._refusal(error) from error

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def note(self, key: LogKey) -> Note | None:
        """Return the last note about an attempt."""
        return self._notes.get(key)

    def keys(self) -> list[LogKey]:
        """All attempts with a note."""
        return list(self._notes)

    async def write(self, note: Note, keys: Sequence[LogKey]) -> None:
        """Make a note about each; durable when this returns. Raises StoreError."""
        self._unwritten += [_line(note, key) for key in keys]
        if self._next_flush is None:
            self._next_flush = asyncio.create_task(self._flush())
        await asyncio.shield(self._next_flush)
        self._notes.update(dict.fromkeys(keys, note))

    async def forget(self, keys: Iterable[LogKey]) -> None:
        """Take notes away; written with the next note."""
        for key in keys:
            if self._notes.pop(key, None) is not None:
                self._unwritten.append(_line(_DONE, key))

    async def _flush(self) -> None:
        async with self._writing:
            self._next_flush = None  # who comes from here on needs another one
            lines, self._unwritten = self._unwritten, []
            deed, text = self._append, "".join(lines)
            if self._grown_bytes > REWRITE_BYTES:
                deed, text = self._rewrite, self._text() + text
            try:
                await asyncio.to_thread(deed, text)
            except OSError as error:
                raise self._refusal(error) from error

    def _append(self, text: str) -> None:
        size = os.lseek(self._file, 0, os.SEEK_END)
        try:
            _write_all(self._file, text)
        except OSError:
            os.ftruncate(self._file, size)
            raise
        self._grown_bytes += len(text)

    def _rewrite(self, text: str) -> None:
        draft = self._path.with_suffix(".new")
        file = os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        try:
            _write_all(file, text)
            draft.rename(self._path)
            _sync_directory(self._path.parent)
        except OSError:
            os.close(file)
            raise
        self.close()
        self._file, self._grown_bytes = file, 0

    def _text(self) -> str:
        return "".join(_line(note, key) for key, note in self._notes.items())

    def _read(self, data: bytes) -> None:
        whole = data[: data.rfind(b"\n") + 1].decode("ascii", errors="replace")
        for line in whole.splitlines():
            words = line.split(" ")
            if len(words) != 3 or not words[2].isdigit():
                continue
            key = LogKey(words[1], int(words[2]))
            if words[0] == _DONE:
                self._notes.pop(key, None)
            elif words[0] in set(Note):
                self._notes[key] = Note(words[0])

    def _refusal(self, error: OSError) -> StoreError:
        return StoreError(
            f"the notes in {self._path} cannot be kept: {error.strerror}",
            hint="Make room on that disk or repair it; until then this node starts nothing.",
        )


def _line(word: str, key: LogKey) -> str:
    return f"{word} {key.run_id} {key.attempt}\n"


def _write_all(file: int, text: str) -> None:
    data = text.encode()
    while data:
        data = data[os.write(file, data) :]
    os.fdatasync(file)


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
