"""Snapshots as files: written aside, synced, renamed, directory synced; checked when read.

    CCSNAP01 | length of meta | meta (msgpack) | compressed state | SHA-256 of all before

Encoding, compressing and checking run on a thread of their own; the engine's thread only polls.
Nothing forks. The received snapshot becomes the newest one only after it was read back and checked.
"""

import contextlib
import hashlib
import logging
import os
import struct
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from croncord.errors import StoreError
from croncord.raft.journal import publish_directory
from croncord.raft.snapshotport import SnapshotMeta

_log = logging.getLogger(__name__)

MAGIC: Final = b"CCSNAP01"
_LENGTH: Final = struct.Struct("<I")
_SLICE: Final = 1024 * 1024
_DIGEST_BYTES: Final = 32
_meta_decoder = msgspec.msgpack.Decoder(SnapshotMeta)


def write_snapshot(path: Path, meta: SnapshotMeta, state: Iterable[bytes]) -> None:
    """Write a snapshot beside `path` and move it there once it is on the disk."""
    aside = path.with_suffix(".new")
    digest = hashlib.sha256()
    with aside.open("wb") as file:
        for part in _parts(meta, state):
            digest.update(part)
            file.write(part)
        file.write(digest.digest())
        file.flush()
        os.fsync(file.fileno())
    publish(aside, path)


def _parts(meta: SnapshotMeta, state: Iterable[bytes]) -> Iterator[bytes]:
    described = msgspec.msgpack.encode(meta)
    yield MAGIC + _LENGTH.pack(len(described)) + described
    compressor = zlib.compressobj(1)
    for part in state:
        compressed = compressor.compress(part)
        if compressed:
            yield compressed
    yield compressor.flush()


def publish(aside: Path, path: Path) -> None:
    """Put a finished, synced file in its place, durably."""
    aside.replace(path)
    publish_directory(path.parent)


def check_snapshot(path: Path) -> tuple[SnapshotMeta, bytes]:
    """Check a snapshot as a whole; returns its meta and digest. Raises StoreError when damaged."""
    digest = hashlib.sha256()
    with path.open("rb") as file, _explained(path):
        left = os.fstat(file.fileno()).st_size - _DIGEST_BYTES
        if left < 0:
            raise ValueError("it is cut short")
        while left:
            part = file.read(min(left, _SLICE))
            left -= len(part)
            digest.update(part)
        if file.read() != digest.digest():
            raise ValueError("its checksum is wrong")
        file.seek(0)
        return _read_meta(file), digest.digest()


def _read_meta(file: BinaryIO) -> SnapshotMeta:
    head = file.read(len(MAGIC) + _LENGTH.size)
    if head[: len(MAGIC)] != MAGIC:
        raise ValueError("it is no snapshot, or one of another version")
    (length,) = _LENGTH.unpack_from(head, len(MAGIC))
    return _meta_decoder.decode(file.read(length))


def read_snapshot(path: Path, decode: Callable[[Iterable[bytes]], Any]) -> tuple[SnapshotMeta, Any]:
    """Check a snapshot, then decode it piece by piece. Raises StoreError when it is damaged."""
    check_snapshot(path)
    with path.open("rb") as file, _explained(path):
        meta = _read_meta(file)
        left = os.fstat(file.fileno()).st_size - file.tell() - _DIGEST_BYTES
        return meta, decode(_inflated(file, left))


def _inflated(file: BinaryIO, left: int) -> Iterator[bytes]:
    """Decompress in bounded pieces: a megabyte of file may stand for fifty of state."""
    inflater = zlib.decompressobj()
    while left:
        part = file.read(min(left, _SLICE))
        left -= len(part)
        while part:
            yield inflater.decompress(part, _SLICE)
            part = inflater.unconsumed_tail
    yield inflater.flush()


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, struct.error, zlib.error) as error:
        raise StoreError(
            f"The snapshot {path} is damaged: {error}",
            hint="Only this node is affected. Stop it, move its raft directory away and start it "
            "again: it rejoins as a new node and copies everything from the others. If it is the "
            "only node, restore the directory from a backup.",
        ) from error


class FileReader:
    """A snapshot file being sent. The open handle outlives its replacement."""

    def __init__(self, path: Path, index: int) -> None:
        self._file = path.open("rb")
        self.index = index
        self.size = os.fstat(self._file.fileno()).st_size
        self._file.seek(-_DIGEST_BYTES, os.SEEK_END)
        self.digest = self._file.read(_DIGEST_BYTES)

    def read(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset`."""
        self._file.seek(offset)
        return self._file.read(size)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class SnapshotFiles:
    """The snapshot of a data directory, as the engine needs it (`SnapshotStore`)."""

    def __init__(self, directory: Path, decode: Callable[[Iterable[bytes]], Any]) -> None:
        self._path = directory / "snapshot"
        self._incoming = directory / "snapshot.incoming"
        self._decode = decode
        self._index = 0
        self._worker: threading.Thread | None = None
        self._written: int | None = None
        self._verifier: threading.Thread | None = None
        self._verified: tuple[SnapshotMeta, Any] | None = None
        self._receiving: tuple[int, bytes, BinaryIO] | None = None

    @property
    def is_writing(self) -> bool:
        """Whether a snapshot is being written, or its end was not polled yet."""
        return self._worker is not None

    @property
    def is_verifying(self) -> bool:
        """Whether a received snapshot is being checked, or the result was not polled yet."""
        return self._verifier is not None

    def written_at(self) -> float | None:
        """Return when the newest snapshot came to this disk, in seconds since 1970."""
        try:
            return self._path.stat().st_mtime
        except FileNotFoundError:
            return None

    def load(self) -> tuple[SnapshotMeta, Any] | None:
        """Return the newest snapshot, decoded; half-written files of an earlier life are removed."""
        for leftover in (self._path.with_suffix(".new"), self._incoming):
            leftover.unlink(missing_ok=True)
        if not self._path.exists():
            return None
        meta, state = read_snapshot(self._path, self._decode)
        self._index = meta.index
        return meta, state

    def write(self, meta: SnapshotMeta, encode: Callable[[], Iterable[bytes]]) -> None:
        """Encode and write on a thread."""

        def work() -> None:
            try:
                write_snapshot(self._path, meta, encode())
            except Exception:  # noqa: BLE001 - the fallback is named below
                # The old snapshot and all entries behind it are still there; the next one is due
                # soon, so the failure is only reported.
                _log.exception("the snapshot at entry %d could not be written", meta.index)
            else:
                self._written = meta.index

        self._worker = threading.Thread(target=work, name="raft-snapshot")
        self._worker.start()

    def poll_written(self) -> int | None:
        """Return the index of a snapshot that is on the disk since the last call."""
        if self._worker is None or self._worker.is_alive():
            return None
        self._worker.join()
        self._worker = None
        written, self._written = self._written, None
        if written is not None:
            self._index = written
        return written

    def open_reader(self) -> FileReader | None:
        """Open the newest snapshot for sending."""
        if not self._index or self._worker is not None:
            return None
        return FileReader(self._path, self._index)

    def receive(self, index: int, digest: bytes, size: int, offset: int, data: bytes) -> int:
        """Append a chunk to the incoming file."""
        if self._receiving is None or self._receiving[:2] != (index, digest):
            if offset != 0:
                return 0
            self.discard_received()
            self._receiving = (index, digest, self._incoming.open("wb"))
        file = self._receiving[2]
        if offset != file.tell():
            return file.tell()
        file.write(data)
        have = file.tell()
        if have >= size:
            self._receiving = None
            self._verifier = threading.Thread(target=self._verify, args=(file, digest))
            self._verifier.start()
        return have

    def _verify(self, file: BinaryIO, digest: bytes) -> None:
        try:
            with file:
                file.flush()
                os.fsync(file.fileno())
            if check_snapshot(self._incoming)[1] != digest:
                raise ValueError("it is not the snapshot that was announced")  # noqa: TRY301
            self._verified = read_snapshot(self._incoming, self._decode)
        except (OSError, ValueError, StoreError) as error:
            # The leader sends it again when we ask for its start.
            _log.error("a received snapshot was refused: %s", error)

    def poll_received(self) -> tuple[SnapshotMeta, Any] | None:
        """Return a received snapshot once it is checked."""
        if self._verifier is None or self._verifier.is_alive():
            return None
        self._verifier.join()
        self._verifier = None
        verified, self._verified = self._verified, None
        return verified

    def publish_received(self) -> None:
        """Make the received snapshot the newest one."""
        publish(self._incoming, self._path)
        with self._path.open("rb") as file:
            self._index = _read_meta(file).index

    def discard_received(self) -> None:
        """Throw away what was received so far."""
        if self._receiving is not None:
            self._receiving[2].close()
            self._receiving = None
        with contextlib.suppress(FileNotFoundError):
            self._incoming.unlink()

    def close(self) -> None:
        """Wait for what is being written."""
        for thread in (self._worker, self._verifier):
            if thread is not None:
                thread.join()
        if self._receiving is not None:
            self._receiving[2].close()
