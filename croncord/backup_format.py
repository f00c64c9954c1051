"""A backup as a file: what the cluster agreed on at one index, and by choice its history.

    CCBACKUP | frames

    frame: kind (1) | items (4) | length (4) | CRC-32 of the three and of the body (4) | body (zlib)
    kinds: header, state, output, rows, audit, end; in this order, each but the first and last optional

The end names how many frames there were and the SHA-256 of everything before it, so a file that was
cut short or put together from two cannot be taken for a whole one. A frame's items are what its part
counts: rows, entries, bytes of output. Written and read piece by piece; a piece holds a few hundred
kilobytes. Versions: a reader refuses a higher `FORMAT`; state, rows and entries are in the forms that
the nodes store them in, whose readers take everything that older versions wrote. Pure.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final, Literal

import msgspec

from croncord.errors import StoreError
from croncord.model import Instant, Value

MAGIC: Final = b"CCBACKUP"
FORMAT: Final = 1
BODY_BYTES_MAX: Final = 8 * 1024 * 1024
"""Of a body, before it is compressed; a writer stays far below it."""

Kind = Literal["header", "state", "output", "rows", "audit", "end"]
KINDS: Final[tuple[Kind, ...]] = ("header", "state", "output", "rows", "audit", "end")
_HEAD: Final = struct.Struct(">BII")
_CRC: Final = struct.Struct(">I")
_LEVEL: Final = 1


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup is of. Newer versions may add to it."""

    format: int = FORMAT
    version: str
    """Of the program that wrote it."""
    cluster_id: str
    index: int
    """The state is as of this entry of the log."""
    term: int
    at: Instant
    """When the state was copied, by the clock of the node that was asked."""
    node: str
    state_digest: str
    jobs: int
    users: int
    tokens: int
    secrets: int
    calendars: int
    open_runs: int
    nodes: tuple[str, ...]
    key_ids: tuple[str, ...] = ()
    """Which keys its secrets are sealed with; see `croncord.ports.Vault`."""
    ledger: bool = False
    """Whether rows and the audit trail are in it."""
    output: bool = False
    rows_expected: int = 0
    """About how many rows follow, for who shows the progress."""


class End(msgspec.Struct, frozen=True, kw_only=True):
    """What a whole backup ends with."""

    frames: int
    items: dict[str, int]
    """By kind: slices of the state, bytes of output, rows, entries of the audit trail."""
    sha256: bytes


class OutputPiece(Value, frozen=True, kw_only=True):
    """Framed bytes of one attempt's output; pieces of an output follow each other."""

    run_id: str
    attempt: int
    offset: int
    """Of `data` in the framed output; 0 begins one."""
    started_ms: int
    data: bytes
    is_last: bool = False


class Frame(msgspec.Struct, frozen=True):
    """A frame as it was read and checked."""

    kind: Kind
    items: int
    body: bytes


class BackupWriter:
    """Makes the bytes of a backup, one frame after the other."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._frames = 0
        self._items: dict[str, int] = {}

    def header(self, header: Header) -> bytes:
        """Return the beginning of the file."""
        self._digest.update(MAGIC)
        return MAGIC + self.frame("header", msgspec.msgpack.encode(header))

    def frame(self, kind: Kind, body: bytes, items: int = 0) -> bytes:
        """Return a frame; safe on any thread, one call at a time."""
        data = _pack(kind, body, items)
        self._digest.update(data)
        self._frames += 1
        self._items[kind] = self._items.get(kind, 0) + items
        return data

    def end(self) -> bytes:
        """Return the last frame."""
        digest = self._digest.digest()
        end = End(frames=self._frames, items=self._items, sha256=digest)
        return _pack("end", msgspec.msgpack.encode(end), 0)


def _pack(kind: Kind, body: bytes, items: int) -> bytes:
    packed = zlib.compress(body, _LEVEL)
    head = _HEAD.pack(KINDS.index(kind), items, len(packed))
    return head + _CRC.pack(zlib.crc32(packed, zlib.crc32(head))) + packed


class BackupReader:
    """Checks a backup while it comes, in pieces of any size.

    `name` is what errors call it. `header` is known after the first frame, `end` after the last.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._digest = hashlib.sha256()
        self._buffer = bytearray()
        self._position = 0
        """Of the buffer's first byte."""
        self._kind = 0
        self.frames = 0
        self.items: dict[str, int] = {}
        self.header: Header | None = None
        self.end: End | None = None

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take more bytes and yield the frames that are whole. Raises StoreError when damaged."""
        self._buffer += data
        if self._position == 0:
            if not MAGIC.startswith(bytes(self._buffer[: len(MAGIC)])):
                raise self._refused("is no backup of CronCord", "Give a file of `cluster backup`.")
            if len(self._buffer) < len(MAGIC):
                return
            self._take(len(MAGIC))
        while (frame := self._next()) is not None:
            yield frame

    def finish(self) -> End:
        """Return how it ended, once everything was fed. Raises StoreError when it is cut short."""
        if self.end is None:
            raise self._refused(
                f"is cut short: it ends after {self._position + len(self._buffer)} bytes, "
                f"{self.frames} frames, without its end",
                "Take the backup again, or use another one.",
            )
        return self.end

    def _next(self) -> Frame | None:
        whole = _HEAD.size + _CRC.size
        if self.end is not None and self._buffer:
            raise self._damaged("bytes follow after its end")
        if len(self._buffer) < whole:
            return None
        number, items, length = _HEAD.unpack_from(self._buffer)
        if number >= len(KINDS) or length > BODY_BYTES_MAX + 1024:
            raise self._damaged(f"no frame begins at byte {self._position}")
        if len(self._buffer) < whole + length:
            return None
        packed = bytes(self._buffer[whole : whole + length])
        (crc,) = _CRC.unpack_from(self._buffer, _HEAD.size)
        if crc != zlib.crc32(packed, zlib.crc32(self._buffer[: _HEAD.size])):
            raise self._damaged(f"the checksum of the frame at byte {self._position} is wrong")
        frame = Frame(KINDS[number], items, self._inflated(packed))
        self._check_order(number)
        if frame.kind == "end":
            self._read_end(frame.body)
        self._take(whole + length)
        self.frames += 1
        if frame.kind == "header":
            self._read_header(frame.body)
        self.items[frame.kind] = self.items.get(frame.kind, 0) + items
        return frame

    def _take(self, size: int) -> None:
        self._digest.update(self._buffer[:size])
        del self._buffer[:size]
        self._position += size

    def _inflated(self, packed: bytes) -> bytes:
        inflater = zlib.decompressobj()
        try:
            body = inflater.decompress(packed, BODY_BYTES_MAX)
        except zlib.error as error:
            raise self._damaged(f"the frame at byte {self._position}: {error}") from None
        if not inflater.eof:
            raise self._damaged(f"the frame at byte {self._position} is too large")
        return body

    def _check_order(self, number: int) -> None:
        if number < self._kind or (number == 0) != (self.frames == 0):
            raise self._damaged(f"the frame at byte {self._position} stands in the wrong place")
        self._kind = number

    def _read_header(self, body: bytes) -> None:
        try:
            self.header = msgspec.msgpack.decode(body, type=Header)
        except msgspec.MsgspecError as error:
            found = _format_of(body)
            if found > FORMAT:
                raise self._newer(found, "") from None
            raise self._damaged(f"its header: {error}") from None
        if self.header.format > FORMAT:
            raise self._newer(self.header.format, self.header.version)

    def _read_end(self, body: bytes) -> None:
        try:
            end = msgspec.msgpack.decode(body, type=End)
        except msgspec.MsgspecError as error:
            raise self._damaged(f"its end: {error}") from None
        if end.sha256 != self._digest.digest() or end.frames != self.frames:
            raise self._damaged("its SHA-256 is wrong, or frames of it are missing")
        self.end = end

    def _newer(self, found: int, version: str) -> StoreError:
        by = f" by CronCord {version}" if version else ""
        return self._refused(
            f"was written{by} in format {found}; this program reads formats up to {FORMAT}",
            "Restore it with that version of CronCord, or a later one.",
        )

    def _damaged(self, what: str) -> StoreError:
        return self._refused(f"is damaged: {what}", "Take the backup again, or use another one.")

    def _refused(self, what: str, hint: str) -> StoreError:
        return StoreError(f"{self._name} {what}", hint=hint)


def _format_of(body: bytes) -> int:
    try:
        found = msgspec.msgpack.decode(body)
    except msgspec.MsgspecError:
        return 0
    number = found.get("format") if isinstance(found, dict) else None
    return number if isinstance(number, int) else 0


_PIECE: Final = 256 * 1024


def read_backup(file: BinaryIO, reader: BackupReader) -> Iterator[Frame]:
    """Yield every frame of an open file, checked. Raises StoreError when it is not whole."""
    while piece := file.read(_PIECE):
        yield from reader.feed(piece)
    reader.finish()
