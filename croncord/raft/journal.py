"""The durable Raft log: an LMDB environment of its own, and a tail of what was synced last.

A sync writes one record to the tail (see `tail`) and flushes it. When the tail is full, and when
nothing was written for a second, its records are folded into LMDB in one transaction. Records and
transactions appear whole or not at all, so a truncation together with the entries that replace it
is one atomic step, wherever the power fails. On top of that every entry carries a CRC over its
index, term and bytes: what the disk returns is checked when the log is opened, and a damaged or
missing entry stops the node with a sentence about what to do. It is never skipped over, because an
acknowledged entry may be among what is lost.
"""

import fcntl
import os
import struct
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import lmdb
import msgspec

from croncord.errors import StoreError
from croncord.raft.entrylog import Entry, EntryLog
from croncord.raft.tail import GENERATION_BYTES, DamagedTail, Tail

MAP_BYTES: Final = 16 * 1024**3
"""Upper bound of the journal's size; the file is sparse and grows as needed."""

QUIET_SECONDS: Final = 1.0
"""The tail is folded when nothing was written for this long."""

_FORMAT: Final = b"croncord-journal-2"
_FORMAT_WITHOUT_TAIL: Final = b"croncord-journal-1"
_KEY: Final = struct.Struct(">Q")
_HEAD: Final = struct.Struct("<QI")
"""Before an entry's bytes: term, CRC."""
_CRC: Final = struct.Struct("<I")
_META: Final = struct.Struct("<QQ?QI")
"""Before the vote's name: term, commit index, founded, identity, CRC."""

Write = Entry | tuple[int, int]
"""An entry to append, or the first and last index of entries to remove."""

_encoder = msgspec.msgpack.Encoder()
_record_decoder = msgspec.msgpack.Decoder(tuple[bytes, list[list[Any]]])
"""A record of the tail: term, vote and commit as in LMDB, and writes."""

_RECOVERY = (
    "Only this node is affected. Stop it, move the directory away and start it again: "
    "it rejoins as a new node and copies everything from the others. "
    "If it is the only node, restore the directory from a backup."
)


def _entry_crc(index: int, term: int, command: bytes) -> int:
    return zlib.crc32(command, zlib.crc32(struct.pack("<QQ", index, term)))


def _packed_meta(term: int, commit: int, founded: bool, identity: int, vote: bytes) -> bytes:  # noqa: FBT001 - a field
    head = _META.pack(term, commit, founded, identity, 0)[: -_CRC.size]
    return head + _CRC.pack(zlib.crc32(vote, zlib.crc32(head))) + vote


def publish_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class LmdbJournal(EntryLog):
    """The log in a directory.

    Raises StoreError when another process has it open, when it was written by another version, or
    when an entry is damaged or missing.
    """

    def __init__(self, directory: Path, *, map_bytes: int = MAP_BYTES) -> None:
        super().__init__()
        self._directory = directory
        self._writes: list[Write] = []
        self._unfolded: list[Write] = []
        """Durable in the tail, not yet in LMDB."""
        self._written_at = 0.0
        self._meta_dirty = False
        directory.mkdir(parents=True, exist_ok=True)
        self._lock = self._lock_directory()
        publish_directory(directory.parent)
        try:
            self._env = lmdb.open(
                str(directory), map_size=map_bytes, max_dbs=2, readahead=False, max_readers=4
            )
            self._entries_db = self._env.open_db(b"entries")
            self._meta_db = self._env.open_db(b"meta")
            self._load()
        except lmdb.Error as error:
            os.close(self._lock)
            raise StoreError(
                f"The journal in {directory} cannot be opened: {error}", hint=_RECOVERY
            ) from error
        except StoreError:
            self._env.close()
            os.close(self._lock)
            raise

    def _lock_directory(self) -> int:
        handle = os.open(self._directory / "owner", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            raise StoreError(
                f"The journal in {self._directory} is in use by another process",
                hint="Two nodes cannot share a data directory; stop the other one.",
            ) from error
        return handle

    def _load(self) -> None:
        with self._env.begin() as transaction:
            known = transaction.get(b"format", db=self._meta_db)
            if known not in (None, _FORMAT, _FORMAT_WITHOUT_TAIL):
                raise StoreError(
                    f"The journal in {self._directory} has the format {known!r}, "
                    f"this program knows {_FORMAT!r}",
                    hint="Start the version of CronCord that wrote it.",
                )
            self._load_meta(transaction.get(b"raft", db=self._meta_db))
            generation = transaction.get(b"generation", default=b"", db=self._meta_db)
            with transaction.cursor(db=self._entries_db) as cursor:
                for key, value in cursor:
                    self._load_entry(key, value)
        self._tail = self._open_tail(must_exist=known == _FORMAT)
        try:
            self._replay(generation)
            if self._unfolded or known != _FORMAT:
                self._fold()
        except BaseException:
            self._tail.close()
            raise

    def _open_tail(self, *, must_exist: bool) -> Tail:
        path = self._directory / "tail"
        if must_exist and not path.exists():
            raise self._damaged("the file with its tail is missing")
        try:
            tail = Tail(path)
        except OSError as error:
            raise self._unwritable(error) from error
        publish_directory(self._directory)
        return tail

    def _replay(self, generation: bytes) -> None:
        """Take what was synced after the last transaction."""
        try:
            for record in self._tail.read(generation):
                meta, writes = _record_decoder.decode(record)
                self._load_meta(meta)
                for item in writes:
                    self._replay_write(item)
        except (DamagedTail, msgspec.MsgspecError) as error:
            raise self._damaged(f"in its tail {error}") from error

    def _replay_write(self, item: Sequence[Any]) -> None:
        if len(item) == 3:
            command, index, term = item
            if self.entries and index != self.entries[-1][1] + 1:
                raise self._damaged(f"entry {self.entries[-1][1] + 1} is missing")
            self.entries.append((command, index, term))
            self._unfolded.append((command, index, term))
        else:
            first, last = item
            self.entries = [entry for entry in self.entries if not first <= entry[1] <= last]
            self._unfolded.append((first, last))

    def _load_meta(self, stored: bytes | None) -> None:
        if stored is None:
            return
        if len(stored) < _META.size:
            raise self._damaged("the term and vote are cut short")
        term, commit, founded, identity, _crc = _META.unpack_from(stored)
        vote = stored[_META.size :]
        if _packed_meta(term, commit, founded, identity, vote) != stored:
            raise self._damaged("the term and vote have a wrong checksum")
        self.term, self.commit, self.founded, self.identity = term, commit, founded, identity
        self.vote = vote.decode() or None

    def _load_entry(self, key: bytes, value: bytes) -> None:
        (index,) = _KEY.unpack(key)
        if self.entries and index != self.entries[-1][1] + 1:
            raise self._damaged(f"entry {self.entries[-1][1] + 1} is missing")
        if len(value) < _HEAD.size:
            raise self._damaged(f"entry {index} is cut short")
        term, crc = _HEAD.unpack_from(value)
        command = bytes(value[_HEAD.size :])
        if _entry_crc(index, term, command) != crc:
            raise self._damaged(f"entry {index} has a wrong checksum")
        self.entries.append((command, index, term))

    def _damaged(self, what: str) -> StoreError:
        return StoreError(f"The journal in {self._directory} is damaged: {what}", hint=_RECOVERY)

    def store_entry(self, entry: Entry) -> None:
        """Buffer an appended entry."""
        self._writes.append(entry)

    def store_removal(self, first: int, last: int) -> None:
        """Buffer a removal; it is applied in order with the entries around it."""
        self._writes.append((first, last))

    def store_meta(self) -> None:
        """Buffer the meta record."""
        self._meta_dirty = True

    def sync(self) -> None:
        """Make everything so far durable, and fold the tail when there is time for it."""
        super().sync()
        if self._unfolded and time.monotonic() - self._written_at > QUIET_SECONDS:
            self._fold_or_fail()

    def write(self) -> None:
        """Write everything buffered in one synced record or, when it has no room, transaction.

        Raises StoreError when the disk is full or refuses.
        """
        writes, self._writes = self._writes, []
        record = _encoder.encode((self._packed_meta(), writes))
        self._unfolded += writes
        self._meta_dirty = False
        self._written_at = time.monotonic()
        try:
            fits = self._tail.append(record)
        except OSError as error:
            raise self._unwritable(error) from error
        if not fits:
            self._fold()

    def _fold_or_fail(self) -> None:
        try:
            self._fold()
        except Exception as error:
            self._failure = error
            raise

    def _fold(self) -> None:
        """Move what the tail holds, and what was to be written, into LMDB."""
        generation = os.urandom(GENERATION_BYTES)
        try:
            with self._env.begin(write=True) as transaction:
                self._write_entries(transaction, self._unfolded)
                transaction.put(b"raft", self._packed_meta(), db=self._meta_db)
                transaction.put(b"format", _FORMAT, db=self._meta_db)
                transaction.put(b"generation", generation, db=self._meta_db)
        except lmdb.MapFullError as error:
            raise StoreError(
                f"The journal in {self._directory} has reached its largest size",
                hint="Snapshots should keep it small; look for an earlier snapshot error.",
            ) from error
        except lmdb.Error as error:
            raise self._unwritable(error) from error
        self._unfolded = []
        self._tail.restart(generation)

    def _unwritable(self, error: Exception) -> StoreError:
        return StoreError(
            f"The journal in {self._directory} cannot be written: {error}",
            hint="Check the disk and its free space, then start this node again.",
        )

    def _packed_meta(self) -> bytes:
        vote = (self.vote or "").encode()
        return _packed_meta(self.term, self.commit, self.founded, self.identity, vote)

    def _write_entries(self, transaction: lmdb.Transaction, writes: list[Write]) -> None:
        run: list[tuple[bytes, bytes]] = []
        with transaction.cursor(db=self._entries_db) as cursor:
            for item in writes:
                if len(item) == 3:
                    command, index, term = item
                    head = _HEAD.pack(term, _entry_crc(index, term, command))
                    run.append((_KEY.pack(index), head + command))
                    continue
                if run:
                    cursor.putmulti(run, append=True)
                    run = []
                self._remove(cursor, *item)
            if run:
                cursor.putmulti(run, append=True)

    @staticmethod
    def _remove(cursor: lmdb.Cursor, first: int, last: int) -> None:
        if not cursor.set_range(_KEY.pack(first)):
            return
        while cursor.key() and _KEY.unpack(cursor.key())[0] <= last:
            if not cursor.delete():
                return

    def close(self) -> None:
        """Sync what is buffered and release the directory."""
        try:
            if self._failure is None:
                # The commit index is written along: it spares the next start.
                self.dirty = self.dirty or self._meta_dirty
                super().sync()
                if self._unfolded:
                    self._fold_or_fail()
        finally:
            self._tail.close()
            self._env.close()
            os.close(self._lock)
