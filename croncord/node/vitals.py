"""How this machine is doing. The only place that asks psutil."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import psutil

from croncord.clock import Clock
from croncord.node.group_home import GroupHome
from croncord.node.pressure import Room, pressure
from croncord.ports import Vitals


class VitalsProbe:
    """Measures this machine; one measurement costs well under a millisecond.

    `directory` is on the disk whose room is told. Uptime counts from the making of the probe.
    """

    def __init__(
        self,
        *,
        name: str,
        version: str,
        directory: Path,
        clock: Clock,
        groups: GroupHome,
        progress: Callable[[], dict[str, float]] = dict,
        certificate_end: Callable[[], datetime | None] = lambda: None,
    ) -> None:
        """`progress` tells what running scripts said of theirs, by run id."""
        self._groups = groups
        self._progress = progress
        self._certificate_end = certificate_end
        self._name = name
        self._version = version
        self.pressure = ""
        """What the machine was short of when it was measured last."""
        self._directory = directory
        self._clock = clock
        self._started = clock.monotonic()
        psutil.cpu_percent(interval=None)  # each call measures since the one before

    def measure(self, running_runs: int, applied_index: int) -> Vitals:
        """Return the vitals of now; cpu is the mean since the measurement before."""
        memory = psutil.virtual_memory()
        disk = psutil.disk_usage(str(self._directory))
        threads, threads_total = _threads()
        room = Room(
            memory_bytes=memory.available,
            memory_total_bytes=memory.total,
            disk_bytes=disk.free,
            disk_total_bytes=disk.total,
            threads=threads_total - threads,
            threads_total=threads_total,
        )
        self.pressure = pressure(room)
        return Vitals(
            name=self._name,
            at=self._clock.now(),
            cpu_percent=psutil.cpu_percent(interval=None),
            load_1m=psutil.getloadavg()[0],
            memory_bytes=memory.total - memory.available,
            memory_total_bytes=memory.total,
            disk_bytes=disk.used,
            disk_total_bytes=disk.total,
            running_runs=running_runs,
            applied_index=applied_index,
            uptime_seconds=self._clock.monotonic() - self._started,
            version=self._version,
            pressure=self.pressure,
            progress=self._progress(),
            holds_cpu=self._groups.holds_cpu,
            groups_lack=self._groups.lacking,
            certificate_expires_at=self._certificate_end(),
        )


def _threads() -> tuple[int, int]:
    """Return how many threads the machine has, and how many it can have."""
    count = int(Path("/proc/loadavg").read_text().split()[3].partition("/")[2])
    limits = (Path("/proc/sys/kernel") / name for name in ("pid_max", "threads-max"))
    return count, min(int(limit.read_text()) for limit in limits)
