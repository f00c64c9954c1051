"""A file that takes some room, to be given up when the disk is full.

LMDB writes changed pages to new places, so even a deletion needs room. With nothing left at all, this
file is removed and the deletion done in its place; it is made again when there is room.
"""

import logging
import os
from pathlib import Path
from typing import Final

RESERVE_BYTES: Final = 1024 * 1024
_ROOM_BYTES = 8 * RESERVE_BYTES
"""The reserve is taken only where there is much more."""
_log = logging.getLogger(__name__)


class Reserve:
    """Room for deletions, in the file `reserve` of a directory."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "reserve"

    def take(self) -> None:
        """Make the file if it is missing and there is room."""
        room = os.statvfs(self._path.parent)
        if self._path.exists() or room.f_frsize * room.f_bavail < _ROOM_BYTES:
            return
        try:
            # Written, not only allocated: some file systems count room when it is used.
            self._path.write_bytes(os.urandom(RESERVE_BYTES))
        except OSError as error:
            _log.warning("no room is reserved: %s", error)
            self._path.unlink(missing_ok=True)

    def give_up(self) -> bool:
        """Remove the file; whether there was one."""
        try:
            self._path.unlink()
        except FileNotFoundError:
            return False
        return True
