"""Whether there is room on this node for more output: looked up before it is written.

Output may take so much of the disk, and a part of the disk stays free whatever happens. Retention gives
up the oldest days before that (`croncord.logs.retention`); what it cannot give up, because the newest
day alone is too large or others fill the disk, is where output is dropped. Nobody waits for room.
"""

import os
import time
from typing import Final

from croncord.logs.disk import Disk

FRACTION: Final = 0.5
"""Of the file system, for output, unless the node was told how much."""
EARLY: Final = 0.9
"""Retention gives up days from this share of the budget on."""
FREE_FRACTION: Final = 0.01
FREE_BYTES: Final = 512 * 1024 * 1024
"""The smaller of the two stays free. A node that is so short of room claims no runs any more."""
LOOK_SECONDS: Final = 1.0


class Budget:
    """The room for output on one node's disk. Any thread may ask."""

    def __init__(self, disk: Disk, bytes_max: int = 0) -> None:
        """`bytes_max` 0 is half of the file system."""
        self._disk = disk
        self._bytes_max = bytes_max
        self._shortage = ""
        self._look_at = 0.0

    @property
    def bytes_max(self) -> int:
        """So much output may take of the disk."""
        room = os.statvfs(self._disk.root)
        return self._bytes_max or int(room.f_frsize * room.f_blocks * FRACTION)

    def shortage(self) -> str:
        """Return why there is no room for more output, empty when there is; at most a second old."""
        now = time.monotonic()
        if now >= self._look_at:
            self._shortage = self._look()
            self._look_at = now + LOOK_SECONDS
        return self._shortage

    def look_again(self) -> None:
        """Forget what was found: something was deleted."""
        self._look_at = 0.0

    def _look(self) -> str:
        room = os.statvfs(self._disk.root)
        free, total = room.f_frsize * room.f_bavail, room.f_frsize * room.f_blocks
        if free < min(FREE_BYTES, FREE_FRACTION * total):
            return f"the disk has only {free >> 20} MiB left"
        used, bytes_max = self._disk.file_bytes(), self.bytes_max
        if used > bytes_max:
            return f"output takes {used >> 20} MiB of the disk, of {bytes_max >> 20} MiB"
        return ""
