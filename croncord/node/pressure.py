"""When a machine is too short of something to take another run. Pure.

A run that starts on such a machine fails for a reason that has nothing to do with it, and takes its
neighbours along. So the node claims nothing and says why; the planner gives the run to another.
"""

from typing import Final

import msgspec

MEMORY_SHARE: Final = 0.03
DISK_SHARE: Final = 0.02
DISK_BYTES: Final = 1024**3
"""A disk with that much room is not short, however large it is."""
THREADS_SHARE: Final = 0.05


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """What is left on a machine, and of how much."""

    memory_bytes: int
    memory_total_bytes: int
    disk_bytes: int
    disk_total_bytes: int
    threads: int
    threads_total: int


def pressure(room: Room) -> str:
    """Return what the machine is short of, as half a sentence; empty when it is fine."""
    short = []
    if room.memory_bytes < MEMORY_SHARE * room.memory_total_bytes:
        short.append(f"memory ({room.memory_bytes >> 20} MiB are left)")
    if room.disk_bytes < min(DISK_BYTES, DISK_SHARE * room.disk_total_bytes):
        short.append(f"disk ({room.disk_bytes >> 20} MiB are left)")
    if room.threads < THREADS_SHARE * room.threads_total:
        short.append(f"processes ({room.threads} are left)")
    return "short of " + ", ".join(short) if short else ""
