"""The control group of one run: the kernel holds its whole tree together, bounds it, and ends it.

A group is a directory in each hierarchy that is used for it: one with version 2, where the
directory has everything, one for each controller with version 1. Which ones, says
`croncord.node.group_home`; what it has is seen by the files that the kernel puts there.

Imported by the shim: standard library only.
"""

# Plain paths: this is loaded for every shim, where pathlib costs memory and buys nothing.
# ruff: noqa: PTH103, PTH106, PTH110, PTH118, PTH120, PTH123

import contextlib
import os
import signal
from collections.abc import Mapping
from typing import Any, Final

MEMBERS: Final = "members"
MEMORY: Final = "memory"
PROCESSES: Final = "pids"
CPU: Final = "cpu"
OUTSIDE: Final = "outside"

CPU_PERIOD_MICROSECONDS: Final = 100_000

_MAKE_TRIES = 5


class Group:
    """The group of one run; `places` is its directory for each of the roles above.

    `members` is always there: it knows who belongs to the run. A limit is held by the group when
    its role has a place. `outside` is the group that the shim is in.
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = dict(places)
        self._outside = self._places.pop(OUTSIDE, "")
        self._directories = list(dict.fromkeys(self._places.values()))
        self._is_inside = False

    @property
    def holds_memory(self) -> bool:
        """Whether the kernel holds the run to its memory."""
        return MEMORY in self._places

    @property
    def holds_processes(self) -> bool:
        """Whether the kernel holds the run to its number of processes."""
        return PROCESSES in self._places

    def make(self, order: Mapping[str, Any]) -> None:
        """Make it with the limits of an order, see `croncord.node.order`. Raises OSError."""
        for directory in self._directories:
            _make(directory)
        if order["memory_bytes"] is not None and self.holds_memory:
            self._hold_memory(self._places[MEMORY], order["memory_bytes"])
        if order["processes"] is not None and self.holds_processes:
            _write(self._places[PROCESSES], "pids.max", order["processes"])
        if order["cpu_percent"] is not None and CPU in self._places:
            self._hold_cpu(self._places[CPU], order["cpu_percent"])

    def join(self) -> None:
        """Bring this process in, and with it all that it will start. Raises OSError."""
        for directory in self._directories:
            _write(directory, "cgroup.procs", 0)
        self._is_inside = True

    def leave(self) -> None:
        """Go out again, after it was joined for a moment to have something inherit it."""
        # Who cannot leave stays, and then does not kill the group it is in.
        with contextlib.suppress(OSError):
            _write(self._outside, "cgroup.procs", 0)
            self._is_inside = False

    def pids(self) -> list[int]:
        """Return who belongs to it, also in groups that a script made below it."""
        found: list[int] = []
        for directory, _, _ in os.walk(self._places[MEMBERS]):
            found += [int(pid) for pid in _read(directory, "cgroup.procs").split()]
        return found

    def kill(self) -> None:
        """Send KILL to all of it at once; none of them can start another meanwhile.

        Does nothing where the kernel cannot: then each has to be found.
        """
        if self._is_inside:
            return
        members = self._places[MEMBERS]
        with contextlib.suppress(
            OSError
        ):  # it is gone, or not ours any more: then each is looked for
            if os.path.exists(os.path.join(members, "cgroup.kill")):
                _write(members, "cgroup.kill", 1)
            elif os.path.exists(os.path.join(members, "freezer.state")):
                self._freeze_and_kill(members)

    def broken(self) -> str:
        """Return which limit the kernel had to hold: `limit_memory`, `limit_processes` or nothing."""
        if self.holds_memory:
            told = _counts(self._places[MEMORY], "memory.events", "memory.oom_control")
            if told.get("oom_kill"):
                return "limit_memory"
        if self.holds_processes and _counts(self._places[PROCESSES], "pids.events").get("max"):
            return "limit_processes"
        return ""

    def cpu_seconds(self) -> float | None:
        """Return the processor time of all that ever belonged to it; None when it is not counted."""
        used = _counts(self._places[MEMBERS], "cpu.stat").get("usage_usec")
        return None if used is None else used / 1_000_000

    def remove(self) -> bool:
        """Remove it; returns False while somebody is in it."""
        for directory in self._directories:
            for below, _, _ in os.walk(directory, topdown=False):
                try:
                    os.rmdir(below)
                except FileNotFoundError:
                    continue
                except OSError:  # somebody lives there: whoever tidies up comes again
                    return False
            _leave_nothing(os.path.dirname(directory))
        return True

    def _hold_memory(self, place: str, limit: int) -> None:
        if os.path.exists(os.path.join(place, "memory.max")):
            _write(place, "memory.max", limit)
            # Not half of it: a script whose child is gone goes on with wrong results.
            _write(place, "memory.oom.group", 1)
            swap, none = "memory.swap.max", 0
        else:
            _write(place, "memory.limit_in_bytes", limit)
            swap, none = "memory.memsw.limit_in_bytes", limit
        with contextlib.suppress(OSError):  # a kernel that does not count swap
            _write(place, swap, none)

    def _hold_cpu(self, place: str, percent: int) -> None:
        quota = percent * CPU_PERIOD_MICROSECONDS // 100
        if os.path.exists(os.path.join(place, "cpu.max")):
            _write(place, "cpu.max", f"{quota} {CPU_PERIOD_MICROSECONDS}")
        else:
            _write(place, "cpu.cfs_period_us", CPU_PERIOD_MICROSECONDS)
            _write(place, "cpu.cfs_quota_us", quota)

    def _freeze_and_kill(self, members: str) -> None:
        _write(members, "freezer.state", "FROZEN")
        try:
            for pid in self.pids():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        finally:
            _write(members, "freezer.state", "THAWED")


def group_of(order: Mapping[str, Any]) -> Group | None:
    """Return the group that an order names; None on a machine where none may be used."""
    places = order.get("group")
    return Group(places) if places else None


def _make(directory: str) -> None:
    # The last run of a node to end takes away what it is made in, perhaps at this moment.
    for _ in range(_MAKE_TRIES - 1):
        with contextlib.suppress(FileNotFoundError):
            return os.makedirs(directory, mode=0o755, exist_ok=True)
    return os.makedirs(directory, mode=0o755, exist_ok=True)


def _leave_nothing(home: str) -> None:
    if not _read(home, "cgroup.subtree_control").strip():
        with contextlib.suppress(OSError):  # other runs are in it
            os.rmdir(home)


def _write(directory: str, name: str, value: int | str) -> None:
    # Without O_CREAT: where the file is missing, this is not what it was taken for.
    descriptor = os.open(os.path.join(directory, name), os.O_WRONLY)
    try:
        os.write(descriptor, str(value).encode())
    finally:
        os.close(descriptor)


def _read(directory: str, name: str) -> str:
    try:
        with open(os.path.join(directory, name), encoding="ascii") as file:
            return file.read()
    except OSError:  # gone, or a kernel without it
        return ""


def _counts(directory: str, *names: str) -> dict[str, int]:
    """Read the first of these files that is there: lines of a name and a number."""
    text = next((text for name in names if (text := _read(directory, name))), "")
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
