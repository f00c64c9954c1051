"""What a run costs under a shim, beside a bare spawn of the same script.

    python benchmarks/runs/run.py [COUNT]

Prints a table: wall time and processor time of one `true` script at a time, runs per second with
twenty at once, and the memory that a running one adds. Processor time is that of this process and
of everything it waited for; shims are collected by the zygote, whose time is read from /proc.
"""

# A program to be read and run by people: it prints, and starts what it measures.

import asyncio
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from croncord.clock import SystemClock
from croncord.logs.log_store import LogStore
from croncord.model import LogInfo, run_id
from croncord.node.runner import ProcessRunner
from croncord.ports import LaunchRequest, LogKey

SCRIPT = b"true\n"
AT_ONCE = 20
LIVING = 20
NOW = datetime.now(UTC)
Once = Callable[[int], Awaitable[None]]


class Cost(NamedTuple):
    """What one way of running scripts costs."""

    way: str
    wall_ms: float
    cpu_ms: float
    per_second: float
    living_kib: float | None = None


class Nowhere:
    """A store that keeps nothing: what is left is the cost of the process."""

    async def open(self, key: LogKey, *, started_at: datetime) -> int:
        """Begin at the front."""
        del key, started_at
        return 0

    async def append(self, key: LogKey, offset: int, frames: bytes) -> int:
        """Say that it is held."""
        del key
        return offset + len(frames)

    async def close(self, key: LogKey) -> LogInfo:
        """Say that it is sealed."""
        del key
        return LogInfo(complete=True)


def request(number: int, script: bytes = SCRIPT) -> LaunchRequest:
    """Return the order for one run."""
    return LaunchRequest(
        key=LogKey(run_id("bench", NOW, str(number)), 1),
        script=script,
        environment={},
        working_directory="/",
        user="",
        timeout_seconds=None,
        kill_grace_seconds=0,
        log_bytes=1 << 20,
    )


def processor_seconds(pid: int = 0) -> float:
    """Return what this process and all it waited for used, with that of another process if named."""
    used = sum(
        part.ru_utime + part.ru_stime
        for part in (
            resource.getrusage(resource.RUSAGE_SELF),
            resource.getrusage(resource.RUSAGE_CHILDREN),
        )
    )
    if pid:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        used += sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")
    return used


async def measure(way: str, once: Once, count: int, *, pid: int = 0) -> Cost:
    """Run one after another, then many at once."""
    for number in range(5):
        await once(number)
    before, walls = processor_seconds(pid), []
    for number in range(5, 5 + count):
        started = time.perf_counter()
        await once(number)
        walls.append(time.perf_counter() - started)
    cpu = processor_seconds(pid) - before
    gate = asyncio.Semaphore(AT_ONCE)

    async def gated(number: int) -> None:
        async with gate:
            await once(number)

    started = time.perf_counter()
    await asyncio.gather(*(gated(number) for number in range(10_000, 10_000 + count)))
    spent = time.perf_counter() - started
    return Cost(way, statistics.median(walls) * 1000, cpu / count * 1000, count / spent)


async def bare(count: int, place: Path) -> Cost:
    """Spawn the interpreter with two pipes and wait, as a program without a runner would."""
    script = place / "script"
    script.write_bytes(SCRIPT)

    async def once(_number: int) -> None:
        process = await asyncio.create_subprocess_exec(
            "/bin/bash",
            str(script),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        await process.communicate()

    return await measure("bare spawn", once, count)


async def under_shim(way: str, count: int, place: Path, logs: object) -> Cost:
    """Run under a shim, to the sealed output and the removed directory."""
    runner = ProcessRunner(place / "runs", logs, SystemClock())  # type: ignore[arg-type]  # Nowhere
    await runner.start()
    try:

        async def once(number: int) -> None:
            order = request(number)
            await runner.launch(order)
            await runner.wait(order.key)
            await runner.forget(order.key)

        cost = await measure(way, once, count, pid=runner.zygote_pid)
        return cost._replace(living_kib=await living_kib(runner, place / "runs"))
    finally:
        await runner.stop()


async def living_kib(runner: ProcessRunner, runs: Path) -> float:
    """Return the mean proportional memory of a shim whose script sleeps."""
    orders = [request(number, b"exec sleep 60\n") for number in range(50_000, 50_000 + LIVING)]
    for order in orders:
        await runner.launch(order)
    await asyncio.sleep(0.5)
    found = shims_kib(runs)
    for order in orders:
        await runner.kill(order.key, grace_seconds=0)
        await runner.wait(order.key)
    return statistics.mean(found)


def shims_kib(runs: Path) -> list[int]:
    """Return the proportional memory of each shim under that directory."""
    numbered = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [_proportional_kib(entry) for entry in numbered if _is_shim(entry, runs)]


def _is_shim(entry: Path, runs: Path) -> bool:
    try:
        return (entry / "cwd").readlink().is_relative_to(runs)
    except OSError:  # gone, or somebody else's
        return False


def _proportional_kib(entry: Path) -> int:
    rollup = (entry / "smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))


def show(costs: list[Cost]) -> None:
    """Print the table; ratios are against the first row."""
    first = costs[0]
    print(f"{'':34}{'wall ms':>9}{'ratio':>7}{'cpu ms':>9}{'ratio':>7}{'runs/s':>9}{'KiB':>8}")
    for cost in costs:
        living = "" if cost.living_kib is None else f"{cost.living_kib:.0f}"
        print(
            f"{cost.way:34}{cost.wall_ms:9.2f}{cost.wall_ms / first.wall_ms:7.1f}"
            f"{cost.cpu_ms:9.2f}{cost.cpu_ms / first.cpu_ms:7.1f}{cost.per_second:9.0f}{living:>8}"
        )
    print(f"runs/s: {AT_ONCE} at once; KiB: proportional memory of a shim, {LIVING} alive")


async def main(count: int) -> None:
    """Measure all ways in a directory that is removed afterwards."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        costs = [
            await bare(count, place),
            await under_shim("shim, output nowhere", count, place / "a", Nowhere()),
        ]
        store = await LogStore.start(place / "logs", node="n1", peers=None, address_of=lambda _: "")
        try:
            costs.append(await under_shim("shim, output in the store", count, place / "b", store))
        finally:
            await store.stop()
    show(costs)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200))
