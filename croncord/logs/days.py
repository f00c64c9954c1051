"""The block environments, one per UTC day of the run ids, opened when needed.

A day that is over is dropped by removing its directory: LMDB files never shrink, directories do.
A day whose file is damaged is set aside, and what it held is asked for from other nodes.
"""

import logging
import shutil
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from croncord.logs.blocks import DAMAGED_HINT, DamagedError, DamagedFileError
from croncord.logs.keys import is_day
from croncord.logs.soundness import is_short, is_sound
from croncord.logs.store import Store

BLOCKS: Final = "blocks"
OPEN_MAX: Final = 16
"""Each open one costs three descriptors and address space."""
DAMAGED: Final = "damaged-"
"""What the directory of a damaged environment is renamed to begins so."""
_DROPPED = "dropped-"
_MAP_BYTES = 1 << 38

_log = logging.getLogger(__name__)


class Days:
    """Lends out the environment of a day. Any thread may ask."""

    def __init__(self, root: Path, *, open_max: int = OPEN_MAX) -> None:
        self._root = root
        self._open_max = open_max
        self._lock = threading.Lock()
        self._stores: OrderedDict[str, Store] = OrderedDict()
        self._users: dict[Store, int] = {}
        for left in root.glob(f"{_DROPPED}*"):
            shutil.rmtree(left, ignore_errors=True)

    def names(self) -> list[str]:
        """Names of the days on disk, oldest first."""
        return sorted(path.name for path in self._root.iterdir() if is_day(path.name))

    @contextmanager
    def existing(self, name: str) -> Iterator[Store | None]:
        """Lend a day's environment for a short time; None when the disk has none.

        Raises DamagedError when its file is damaged; it has been set aside then.
        """
        if not (self._root / name).is_dir():
            with self._lock:
                is_open = name in self._stores
            if is_open:
                self.set_aside(name)  # somebody removed it under our hands
            yield None
            return
        with self.created(name) as store:
            yield store

    @contextmanager
    def created(self, name: str) -> Iterator[Store]:
        """Lend a day's environment for a short time, making it when there is none.

        Raises as `existing` does.
        """
        try:
            store = self._borrow(name)
            try:
                yield store
            finally:
                self._give_back(store)
        except DamagedError as error:
            if error.is_file:
                _log.exception("%s is set aside", name)
                self.set_aside(name)
            raise

    def _borrow(self, name: str) -> Store:
        with self._lock:
            store = self._stores.get(name)
            if store is None:
                path = self._root / name
                if path.is_dir() and is_short(path) and not is_sound(path):
                    raise DamagedFileError(f"{path} is damaged", hint=DAMAGED_HINT)
                store = Store(path, [BLOCKS], map_bytes=_MAP_BYTES)
                self._stores[name] = store
            self._stores.move_to_end(name)
            self._users[store] = self._users.get(store, 0) + 1
            return store

    def _give_back(self, store: Store) -> None:
        with self._lock:
            self._users[store] -= 1
            if not self._users[store]:
                del self._users[store]
                if store not in self._stores.values():
                    store.close()
            idle = [name for name, other in self._stores.items() if other not in self._users]
            for name in idle[: max(0, len(self._stores) - self._open_max)]:
                self._stores.pop(name).close()

    def set_aside(self, name: str) -> None:
        """Go on without a day whose file is damaged; the file is kept under another name."""
        self._remove(name, DAMAGED)

    def drop(self, name: str) -> None:
        """Forget a day: its room is free again when this returns."""
        path = self._remove(name, _DROPPED)
        if path is not None:
            shutil.rmtree(path, ignore_errors=True)

    def _remove(self, name: str, prefix: str) -> Path | None:
        with self._lock:
            store = self._stores.pop(name, None)
            if store is not None and store not in self._users:
                store.close()
            source, target = self._root / name, self._root / f"{prefix}{name}"
            if not source.is_dir():
                return None
            shutil.rmtree(target, ignore_errors=True)
            source.rename(target)
            return target

    def disk_bytes(self) -> dict[str, int]:
        """Bytes that each day takes on disk, oldest first."""
        return {name: disk_bytes(self._root / name) for name in self.names()}

    def free_dead_readers(self) -> None:
        """Give back the reader slots of processes that were killed."""
        with self._lock:
            for store in self._stores.values():
                store.free_dead_readers()

    def close(self) -> None:
        """Close all. Nothing may be lent."""
        with self._lock:
            while self._stores:
                self._stores.popitem()[1].close()


def disk_bytes(directory: Path) -> int:
    """Return the bytes that the files of a directory take on disk."""
    total = 0
    for path in directory.iterdir():
        try:
            total += path.stat().st_blocks * 512
        except FileNotFoundError:
            continue  # removed meanwhile
    return total
