"""The newest part of the journal: records appended to a file of fixed size, one flush for each.

A transaction of LMDB flushes the disk twice, first its pages, then its root; a record here takes
one flush, and because the file was written in full when it was made, the file system has no space
to allocate and nothing of its own to write. The journal folds the records into LMDB when the file
is full or when it has been quiet for a while, and the file starts again under the next generation.

A record counts as a whole or not at all: its checksum covers generation, sequence number and bytes.
The first one that does not fit in ends the tail, as a write that a crash interrupted looks like
that, and nobody was told that it succeeded. But a later record exists only if the flush of this
one returned: then this one is damaged, and the node must say so. Each record begins in a sector of
its own, so that writing it changes no sector of an earlier one.
"""

import errno
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

TAIL_BYTES: Final = 4 * 1024 * 1024
_SECTOR: Final = 512
GENERATION_BYTES: Final = 8
"""Random, so that no command can hold bytes that pass for a record."""
_HEAD: Final = struct.Struct("<8sIII")
"""Generation, sequence number, length, CRC."""


class DamagedTail(Exception):
    """A record that was flushed is not there as it was written."""


def _crc(generation: bytes, sequence: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(generation, sequence))


class Tail:
    """The file. Raises OSError when it cannot be made or written."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._generation, self._sequence, self._end = b"", 0, 0
        size = os.fstat(self._file).st_size
        if size < TAIL_BYTES:
            os.pwrite(self._file, bytes(TAIL_BYTES - size), size)
            os.fsync(self._file)

    def read(self, generation: bytes) -> Iterator[bytes]:
        """Give the records of a generation in order. Raises DamagedTail."""
        data = os.pread(self._file, TAIL_BYTES, 0)
        self.restart(generation)
        while (payload := self._record(data, self._end, self._sequence)) is not None:
            yield payload
            self._advance(len(payload))
        for later in range(self._end, TAIL_BYTES, _SECTOR):
            _generation, sequence, *_ = _HEAD.unpack_from(data, later)
            if sequence > self._sequence and self._record(data, later, sequence) is not None:
                raise DamagedTail(f"record {self._sequence} is damaged")

    def _record(self, data: bytes, start: int, sequence: int) -> bytes | None:
        """Return the record at a position, unless it is another one or incomplete."""
        if start + _HEAD.size > TAIL_BYTES:
            return None
        generation, number, length, crc = _HEAD.unpack_from(data, start)
        if (generation, number) != (self._generation, sequence):
            return None
        payload = data[start + _HEAD.size : start + _HEAD.size + length]
        is_whole = len(payload) == length and crc == _crc(generation, number, payload)
        return payload if is_whole else None

    def _advance(self, length: int) -> None:
        self._sequence += 1
        self._end += -(-(_HEAD.size + length) // _SECTOR) * _SECTOR

    def append(self, payload: bytes) -> bool:
        """Write and flush a record; False, and nothing done, when it has no room."""
        if self._end + _HEAD.size + len(payload) > TAIL_BYTES:
            return False
        crc = _crc(self._generation, self._sequence, payload)
        head = _HEAD.pack(self._generation, self._sequence, len(payload), crc)
        record = head + payload
        if os.pwrite(self._file, record, self._end) != len(record):
            raise OSError(errno.EIO, "a record was written in part")
        os.fdatasync(self._file)
        self._advance(len(payload))
        return True

    def restart(self, generation: bytes) -> None:
        """Begin again at the start; the records of other generations are void."""
        self._generation, self._sequence, self._end = generation, 0, 0

    def close(self) -> None:
        """Release the file."""
        os.close(self._file)
