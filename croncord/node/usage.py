"""What a tree of processes uses, looked up now and then, and held against the run's limits.

The sum over the tree is what counts, not a single process: a limit on the address space of each
(`RLIMIT_AS`) would end programs that only reserve it, and could not be told as the reason.

Imported by the shim: standard library only.
"""

# Plain paths: this is loaded for every shim, where pathlib costs memory and buys nothing.
# ruff: noqa: PTH123, PTH208

import os
import time
from collections.abc import Iterable
from typing import Final, NamedTuple

from croncord.node.group import Group
from croncord.node.kill import below, look

LIMIT_LOOK_SECONDS: Final = 0.1
"""How often a tree with limits is looked at."""
FIRST_LOOK_SECONDS: Final = 0.25
LONGEST_PAUSE_SECONDS: Final = 10.0
"""A tree without limits is looked at ever less often, down to this."""

_COST_FACTOR = 20  # at most a twentieth of the time is spent looking
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class Usage(NamedTuple):
    """What a tree used at one moment."""

    threads: int
    """Each process has at least one."""
    resident_bytes: int
    """Sum of what is resident of each process; a page that two share counts twice."""


def measure(root: int) -> Usage:
    """Return what the living descendants of a process use; it is not one of them."""
    found = list(below([root]))
    threads = sum(process.threads for process in found)
    return Usage(threads, sum(_resident_bytes(process.pid) for process in found))


def proportional_bytes(root: int) -> int:
    """Return the memory of the living descendants, a shared page divided by those who share it.

    Dearer than `measure`: the kernel walks the page tables.
    """
    return sum(_proportional_bytes(process.pid) for process in below([root]))


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the processor time that living processes have used so far."""
    return sum(_cpu_ticks(pid) for pid in pids) / _TICKS_PER_SECOND


def threads_of_user(uid: int) -> int:
    """Return how many threads a user has on this machine, as `RLIMIT_NPROC` counts them."""
    count = 0
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/status", "rb") as file:
                fields = dict(line.split(b":", 1) for line in file if b":" in line)
        except OSError:  # gone meanwhile
            continue
        if int(fields[b"Uid"].split()[0]) == uid:
            count += int(fields.get(b"Threads", b"1"))
    return count


class Gauge:
    """Looks at the tree below this process; says which limit it broke.

    Times are those of `time.monotonic`. Limits are None where there is none. Those that the kernel
    holds for the run's group are only asked for: whether it had to.
    """

    def __init__(
        self, memory_bytes: int | None, processes: int | None, group: Group | None = None
    ) -> None:
        self._memory_bytes = memory_bytes
        self._processes = processes
        self._group = group
        self._has_limits = memory_bytes is not None or processes is not None
        self._started = time.monotonic()
        self.next_at = self._started + (
            LIMIT_LOOK_SECONDS if self._has_limits else FIRST_LOOK_SECONDS
        )
        self.peak_bytes = 0
        """The most that was seen resident at one moment."""
        self.detail = ""
        """A sentence about the limit that was broken."""

    def look(self) -> str:
        """Look; returns `limit_memory`, `limit_processes` or nothing."""
        begun = time.monotonic()
        usage = measure(os.getpid())
        self.peak_bytes = max(self.peak_bytes, usage.resident_bytes)
        broken = self.ask() or self._broken(usage)
        now = time.monotonic()
        pause = LIMIT_LOOK_SECONDS
        if not self._has_limits:
            pause = min(max(FIRST_LOOK_SECONDS, (now - self._started) / 2), LONGEST_PAUSE_SECONDS)
        self.next_at = now + max(pause, _COST_FACTOR * (now - begun))
        return broken

    def ask(self) -> str:
        """Ask the kernel which limit it had to hold; costs nothing for a run without limits."""
        broken = self._group.broken() if self._group is not None and self._has_limits else ""
        if broken == "limit_memory":
            self.detail = f"it wanted more memory than its limit of {self._memory_bytes} bytes"
        elif broken:
            self.detail = (
                f"it wanted more processes and threads than its limit of {self._processes}"
            )
        return broken

    def _broken(self, usage: Usage) -> str:
        is_held = self._group is not None and self._group.holds_processes
        if self._processes is not None and not is_held and usage.threads > self._processes:
            self.detail = (
                f"it had {usage.threads} processes and threads at once, "
                f"more than its limit of {self._processes}"
            )
            return "limit_processes"
        is_held = self._group is not None and self._group.holds_memory
        if self._memory_bytes is None or is_held or usage.resident_bytes <= self._memory_bytes:
            return ""
        used = proportional_bytes(os.getpid())
        if used <= self._memory_bytes:
            return ""
        self.detail = f"it used {used} bytes of memory, more than its limit of {self._memory_bytes}"
        return "limit_memory"


def _resident_bytes(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):  # gone meanwhile
        return 0


def _proportional_bytes(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except PermissionError:  # it became somebody else: then what is resident has to do
        return _resident_bytes(pid)
    except OSError:  # gone meanwhile
        pass
    return 0


def _cpu_ticks(pid: int) -> int:
    if look(pid) is None:
        return 0
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            line = file.read()
    except OSError:  # gone meanwhile
        return 0
    fields = line[line.rindex(b")") + 2 :].split()
    return int(fields[11]) + int(fields[12])
