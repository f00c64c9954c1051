"""LMDB, wrapped: the one place that knows it.

Engine 0.9, every commit synced. The map is far larger than the disk: it costs only address space,
and growing it later would invalidate open readers. Read transactions are short by construction:
`read()` is a plain context manager for code that does not await.
"""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import lmdb

from croncord.errors import StoreError
from croncord.logs.blocks import DamagedFileError
from croncord.logs.soundness import DATA_FILE

TEBIBYTE: Final = 1 << 40
READERS_MAX: Final = 512

_DAMAGED_HINT = "It is set aside at the next start; other nodes' copies fill the gap."
_FALLBACK_MAP_BYTES = (1 << 36, 1 << 33, 1 << 31, 1 << 30)
"""Tried in turn where address space is short: small machines and `ulimit -v`."""
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EIO}


class Reading:
    """A snapshot of a store, inside `Store.read()` or `Store.write()`."""

    def __init__(self, transaction: Any, tables: dict[str, Any]) -> None:
        self._transaction = transaction
        self._tables = tables

    def get(self, table: str, key: bytes) -> bytes | None:
        """Return the value of a key, None when there is none."""
        value: bytes | None = self._transaction.get(key, db=self._tables[table])
        return value

    def from_key(self, table: str, key: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield keys and values in order, from the first key not below `key`."""
        cursor = self._transaction.cursor(db=self._tables[table])
        if cursor.set_range(key) if key else cursor.first():
            yield from cursor.iternext()

    def count(self, table: str) -> int:
        """Return how many keys a table has."""
        count: int = self._transaction.stat(db=self._tables[table])["entries"]
        return count

    def below(self, table: str, key: bytes) -> tuple[bytes, bytes] | None:
        """Return the greatest key below `key` and its value."""
        cursor = self._transaction.cursor(db=self._tables[table])
        found = cursor.prev() if cursor.set_range(key) else cursor.last()
        return cursor.item() if found else None


class Writing(Reading):
    """A change of a store, inside `Store.write()`."""

    def put(self, table: str, key: bytes, value: bytes) -> None:
        """Set a key."""
        self._transaction.put(key, value, db=self._tables[table])

    def delete(self, table: str, key: bytes) -> None:
        """Remove a key, if it is there."""
        self._transaction.delete(key, db=self._tables[table])

    def delete_prefix(self, table: str, prefix: bytes, *, first: bytes = b"") -> None:
        """Remove all keys that begin so, from `first` on."""
        cursor = self._transaction.cursor(db=self._tables[table])
        found = cursor.set_range(first or prefix)
        while found and cursor.key().startswith(prefix):
            found = cursor.delete()


class Store:
    """One LMDB environment: a directory with some tables of bytes to bytes, sorted by key.

    Reads may come from any thread, writes from one thread at a time.
    """

    def __init__(
        self,
        path: Path,
        tables: Sequence[str],
        *,
        map_bytes: int = TEBIBYTE,
        read_only: bool = False,
    ) -> None:
        self.path = path
        self._file = str(path / DATA_FILE)
        self._read_only = read_only
        is_new = not path.is_dir()
        try:
            if not read_only:
                path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._environment = self._map(path, len(tables), map_bytes)
            self._tables = self._open_tables(tables)
            if is_new:
                _sync_directory(path)
                _sync_directory(path.parent)
            self._size_seen = self._file_size()
        except (lmdb.Error, OSError) as error:
            raise _explained(error, path) from error

    def _file_size(self) -> int:
        return os.stat(self._file).st_size  # noqa: PTH116  before each look, and a path is slow

    def _check_file(self) -> None:
        """Raise DamagedFileError when the file is gone or shorter than it was.

        LMDB never makes it shorter, and reading a page beyond its end would kill this program.
        """
        try:
            size = self._file_size()
        except OSError as error:
            raise DamagedFileError(
                f"{self.path} is damaged: {error}", hint=_DAMAGED_HINT
            ) from error
        if size < self._size_seen:
            raise DamagedFileError(
                f"{self.path} is damaged: it was cut from {self._size_seen} to {size} bytes",
                hint=_DAMAGED_HINT,
            )
        self._size_seen = size

    def _open_tables(self, names: Sequence[str]) -> dict[str, Any]:
        try:
            return {
                name: self._environment.open_db(name.encode(), create=not self._read_only)
                for name in names
            }
        except lmdb.Error:
            # Left open, it could not be opened again by this process.
            self._environment.close()
            raise

    def _map(self, path: Path, tables: int, map_bytes: int) -> Any:
        sizes = (map_bytes, *(size for size in _FALLBACK_MAP_BYTES if size < map_bytes))
        for size in sizes:
            try:
                return lmdb.open(
                    str(path),
                    map_size=size,
                    max_dbs=tables,
                    max_readers=READERS_MAX,
                    mode=0o600,
                    readonly=self._read_only,
                    sync=True,
                    metasync=True,
                    writemap=False,
                )
            except lmdb.MemoryError:
                if size == sizes[-1]:
                    raise
        raise AssertionError("unreachable: the last size returns or raises")

    @property
    def map_bytes(self) -> int:
        """The most it can hold; less than asked for where address space is short."""
        size: int = self._environment.info()["map_size"]
        return size

    @contextmanager
    def read(self) -> Iterator[Reading]:
        """See one snapshot. Raises StoreError when the disk refuses, DamagedFileError for a bad file."""
        self._check_file()
        try:
            with self._environment.begin(buffers=False) as transaction:
                yield Reading(transaction, self._tables)
        except (lmdb.Error, SystemError) as error:
            raise _explained(error, self.path) from error

    @contextmanager
    def write(self) -> Iterator[Writing]:
        """Change it; on disk when this returns. An exception undoes all. Raises as `read` does."""
        self._check_file()
        try:
            with self._environment.begin(write=True) as transaction:
                yield Writing(transaction, self._tables)
        except (lmdb.Error, SystemError) as error:
            raise _explained(error, self.path) from error

    def free_dead_readers(self) -> None:
        """Give back the reader slots of processes that were killed."""
        self._environment.reader_check()

    def close(self) -> None:
        """Close it. Nothing may be reading."""
        self._environment.close()


_BROKEN = (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.InvalidError, lmdb.PanicError)
# py-lmdb's cursor lets a broken page out as SystemError: "returned a result with an exception set".


def _explained(error: Exception, path: Path) -> StoreError:
    if isinstance(error, (*_BROKEN, SystemError)):
        return DamagedFileError(f"{path} is damaged: {error}", hint=_DAMAGED_HINT)
    if isinstance(error, lmdb.MapFullError):
        hint = "The map was opened small because address space is limited: raise `ulimit -v`."
        return StoreError(f"{path} is full", hint=hint)
    code = error.errno if isinstance(error, OSError) else getattr(error, "code", None)
    if code in _NO_ROOM:
        return StoreError(f"the disk under {path} refused a write: {error}", hint="Free some room.")
    return StoreError(f"{path}: {error}", hint="Check the disk and the owner of the directory.")


def _sync_directory(path: Path) -> None:
    """Make a new name survive a power cut; LMDB syncs its file but not the directory."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
