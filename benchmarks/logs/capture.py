"""How fast the output of real scripts is caught by their shims and stored, beside `bash script >file`.

    python benchmarks/logs/capture.py [--megabytes 100] [--rounds 3] [--directory /var/tmp]

One script that prints all of it, then a hundred at once that print a hundredth each; from the start of
the first to the last output sealed in the store, or to the files being on the disk. Both ways run in
turn; the ratio is that of the medians.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from croncord.clock import SystemClock
from croncord.logs.log_store import LogStore
from croncord.model import run_id
from croncord.node.runner import ProcessRunner
from croncord.ports import LaunchRequest, LogKey

LINE = "2026-05-01 03:00:00 INFO worker 17: copied object number 104729 of the nightly set"
NOMINAL = datetime(2026, 5, 1, tzinfo=UTC)
MEGABYTE = 1_000_000


def script(size: int) -> bytes:
    """Return a script that prints so many bytes of log lines."""
    return f"yes '{LINE}' | head -c {size}\n".encode()


async def under_shims(root: Path, size: int, jobs: int) -> float:
    """Seconds until the output of so many runs is sealed in the store; each must have all of it."""
    store = await LogStore.start(root / "logs")
    runner = ProcessRunner(root / "runs", store, SystemClock())
    await runner.start()
    orders = [
        LaunchRequest(
            key=LogKey(run_id("loud", NOMINAL, str(number)), 1),
            script=script(size // jobs),
            environment={},
            working_directory="/",
            user="",
            timeout_seconds=None,
            kill_grace_seconds=0,
            log_bytes=2 * size,
        )
        for number in range(jobs)
    ]

    async def run(order: LaunchRequest) -> None:
        await runner.launch(order)
        await runner.wait(order.key)

    begun = time.perf_counter()
    await asyncio.gather(*(run(order) for order in orders))
    seconds = time.perf_counter() - begun
    for order in orders:
        status = store.status(order.key)
        assert status is not None
        assert status.complete
        assert status.info is not None
        assert status.info.bytes == size // jobs
        assert not status.info.truncated_bytes
    await runner.stop()
    await store.stop()
    return seconds


async def to_files(root: Path, jobs: int) -> float:
    """Seconds of `bash script >file` for so many at once, then the files synced."""

    async def run(number: int) -> None:
        with (root / f"out-{number}").open("wb") as out:
            process = await asyncio.create_subprocess_exec("bash", root / "script", stdout=out)
            await process.wait()
            os.fdatasync(out.fileno())

    begun = time.perf_counter()
    await asyncio.gather(*(run(number) for number in range(jobs)))
    return time.perf_counter() - begun


def main() -> None:
    """Measure both ways in turn and print what each did in a second."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--directory", default=None)
    arguments = parser.parse_args()
    size = arguments.megabytes * MEGABYTE
    print(f"{arguments.megabytes} MB, {arguments.rounds} rounds, load {os.getloadavg()[0]:.1f}")
    for jobs in (1, 100):
        bare, caught = [], []
        for _ in range(arguments.rounds):
            with tempfile.TemporaryDirectory(dir=arguments.directory) as name:
                root = Path(name)
                (root / "script").write_bytes(script(size // jobs))
                bare.append(asyncio.run(to_files(root, jobs)))
                caught.append(asyncio.run(under_shims(root, size, jobs)))
        for way, seconds in (("bash script >file", bare), ("shims and the store", caught)):
            speeds = [size / MEGABYTE / spent for spent in seconds]
            print(
                f"{jobs:4} at once  {way:20} {statistics.median(speeds):8.1f} MB/s"
                f"  (from {min(speeds):.1f} to {max(speeds):.1f})"
                f"  {statistics.median(bare) / statistics.median(seconds):5.2f} x"
            )


if __name__ == "__main__":
    main()
