"""What this process takes of the machine, under the names that Prometheus' clients use."""

import resource
from collections.abc import Iterable

import psutil

from croncord.figures import Family, counter, gauge


class OwnProcess:
    """Measures the daemon itself; the scripts that it started are not in it."""

    def __init__(self) -> None:
        self._process = psutil.Process()

    def figures(self) -> Iterable[Family]:
        """Return processor time, memory, descriptors, threads and the time of the start."""
        with self._process.oneshot():
            spent, memory = self._process.cpu_times(), self._process.memory_info()
            began, threads = self._process.create_time(), self._process.num_threads()
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return (
            counter(
                "process_cpu_seconds_total",
                "Processor time of this process",
                [({}, spent.user + spent.system)],
            ),
            gauge("process_resident_memory_bytes", "Memory of this process", memory.rss),
            gauge("process_open_fds", "Open descriptors", self._process.num_fds()),
            gauge("process_max_fds", "How many it may open", descriptors),
            gauge("process_threads", "Threads", threads),
            gauge("process_start_time_seconds", "When this process began", began),
        )
