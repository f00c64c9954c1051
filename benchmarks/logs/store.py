"""How fast output is stored, copied, read and searched, beside SQLite in WAL mode and plain files.

    python benchmarks/logs/store.py [--megabytes 100] [--directory /var/tmp]

Everything runs on this machine: figures are for comparing with each other. Each line is one
question; the last column is the ratio to the line it names.
"""

import argparse
import asyncio
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2] / "tests")]

from peer_server import Member  # noqa: E402 - from the tests' folder

from croncord.frames import END, STDOUT, encode_frame  # noqa: E402
from croncord.logs.ledger import RunLedger  # noqa: E402
from croncord.logs.log_store import LogStore  # noqa: E402
from croncord.model import Run, run_id  # noqa: E402
from croncord.ports import LogKey, RunFilter, SearchOrder  # noqa: E402

NOMINAL = datetime(2026, 5, 1, tzinfo=UTC)
LINE = b"2026-05-01 03:00:00 INFO worker %d: copied object number %d of the nightly set\n"
PIECE = 64 * 1024 - 100


def material(megabytes: int) -> tuple[list[bytes], int]:
    """Frames of about 64 KiB of log lines, as a loud script gives them."""
    frames, size, n = [], 0, 0
    while size < megabytes * 1_000_000:
        lines = []
        length = 0
        while length < PIECE - 100:
            n += 1
            lines.append(LINE % (n * 7919 % 97, n * 104729 % 999983))
            length += len(lines[-1])
        frames.append(encode_frame(STDOUT, b"".join(lines), n))
        size += length
    return frames, size


def key(name: str) -> LogKey:
    return LogKey(run_id(name, NOMINAL), 1)


async def store_jobs(root: Path, frames: list[bytes], jobs: int) -> float:
    """Seconds to store the frames, dealt out to so many outputs at once, durable."""
    store = await LogStore.start(root)
    ends = [await store.open(key(f"job {n}"), started_at=NOMINAL) for n in range(jobs)]
    begun = time.perf_counter()
    for n, frame in enumerate(frames):
        ends[n % jobs] = await store.append(key(f"job {n % jobs}"), ends[n % jobs], frame)
    for n in range(jobs):
        await store.append(key(f"job {n}"), ends[n], encode_frame(END, b"", 0))
    await asyncio.gather(*(store.close(key(f"job {n}")) for n in range(jobs)))
    seconds = time.perf_counter() - begun
    await store.stop()
    return seconds


def sqlite_jobs(root: Path, frames: list[bytes], jobs: int) -> float:
    """Do the same with a table of (run, offset) in SQLite: WAL, synchronous=FULL, commit each 45 ms."""
    root.mkdir()
    base = sqlite3.connect(root / "logs.sqlite", isolation_level=None)
    base.execute("pragma journal_mode=wal")
    base.execute("pragma synchronous=full")
    base.execute(
        "create table piece (run integer, offset integer, data blob, primary key (run, offset))"
        " without rowid"
    )
    ends = [0] * jobs
    begun = committed = time.perf_counter()
    base.execute("begin")
    for n, frame in enumerate(frames):
        base.execute("insert into piece values (?, ?, ?)", (n % jobs, ends[n % jobs], frame))
        ends[n % jobs] += len(frame)
        if time.perf_counter() - committed > 0.045:
            base.execute("commit")
            base.execute("begin")
            committed = time.perf_counter()
    base.execute("commit")
    seconds = time.perf_counter() - begun
    base.close()
    return seconds


def bash_to_file(root: Path, frames: list[bytes], size: int) -> float:
    """Seconds of `bash script >file`, with the material in a file that the script prints."""
    source, target = root / "material", root / "out"
    source.write_bytes(b"".join(frame[8:] for frame in frames))
    begun = time.perf_counter()
    with target.open("wb") as out:
        subprocess.run(["bash", "-c", f"cat {source}"], stdout=out, check=True)
    os.sync()
    seconds = time.perf_counter() - begun
    assert target.stat().st_size == size
    return seconds


async def replicate(root: Path, frames: list[bytes]) -> tuple[float, list[float]]:
    """Seconds until three nodes have all of it, sealed and equal."""
    addresses: dict[str, str] = {}
    members = [await Member(f"n{n}", root, addresses).start() for n in range(3)]
    at = await members[0].store.open(key("r"), started_at=NOMINAL)
    for member in members[1:]:
        member.replicator.want(key("r"), ["n0", "n1", "n2"], None)
    begun = time.perf_counter()
    for frame in frames:
        at = await members[0].store.append(key("r"), at, frame)
    await members[0].store.append(key("r"), at, encode_frame(END, b"", 0))
    info = await members[0].store.close(key("r"))
    for member in members[1:]:
        while (status := member.store.status(key("r"))) is None or not status.complete:
            await asyncio.sleep(0.005)
        assert status.info == info
    seconds = time.perf_counter() - begun
    latencies = await live(members)
    for member in members:
        await member.stop()
    return seconds, latencies


async def live(members: list[Member]) -> list[float]:
    """Milliseconds from a line's append on one node to a follower on another having it."""
    writer, _, reader = members
    at = await writer.store.open(key("live"), started_at=NOMINAL)
    follower = reader.store.read(key("live"), holders=["n0"], follow=True)
    latencies = []
    for n in range(200):
        begun = time.perf_counter()
        at = await writer.store.append(key("live"), at, encode_frame(STDOUT, b"line %d\n" % n, n))
        await anext(follower)
        latencies.append((time.perf_counter() - begun) * 1000)
        await asyncio.sleep(0.01)
    await follower.aclose()
    return latencies


async def reads(root: Path, frames: list[bytes]) -> tuple[float, float, float, float]:
    """Milliseconds of tails, seconds of reading and searching one output."""
    store = await LogStore.start(root)
    at = await store.open(key("big"), started_at=NOMINAL)
    for frame in frames:
        at = await store.append(key("big"), at, frame)
    await store.close(key("big"))
    tails = []
    for _ in range(20):
        begun = time.perf_counter()
        offset = await store.tail_offset(key("big"), 50)
        async for _chunk in store.read(key("big"), offset=offset):
            pass
        tails.append((time.perf_counter() - begun) * 1000)
    begun = time.perf_counter()
    async for _chunk in store.read(key("big")):
        pass
    reading = time.perf_counter() - begun
    found = {}
    for regex, pattern in ((False, "no such text"), (True, r"object number \d+ of no")):
        begun = time.perf_counter()
        await store.search(SearchOrder((key("big"),), pattern, regex, "", 100))
        found[regex] = time.perf_counter() - begun
    await store.stop()
    return statistics.median(tails), reading, found[False], found[True]


def a_row(n: int) -> Run:
    at = NOMINAL.replace(microsecond=n % 1000 * 1000, second=n // 1000 % 60, minute=n // 60000)
    return Run(
        id=run_id("j", at, str(n)),
        job_id=f"job-{n % 100}",
        job="job",
        job_version=1,
        script_sha256="0" * 64,
        nominal_time=at,
        due_at=at,
        trigger="schedule",
        state="succeeded",
        node="n1",
        decided_at=at,
    )


async def ledger_page(root: Path) -> float:
    """Milliseconds of a page of 50 runs of a job among 20,000."""
    ledger = await RunLedger.start(root)
    for start in range(0, 20_000, 1000):
        ledger.put([a_row(n) for n in range(start, start + 1000)])
        await ledger.flush()
    times = []
    for n in range(50):
        begun = time.perf_counter()
        assert len(ledger.page(RunFilter(job_id=f"job-{n}"), limit=50)) == 50
        times.append((time.perf_counter() - begun) * 1000)
    await ledger.stop()
    return statistics.median(times)


def line(
    question: str, figure: float, unit: str, beside: float | None = None, name: str = ""
) -> None:
    ratio = "" if beside is None else f"{figure / beside:6.2f} x {name}"
    print(f"{question:<52}{figure:>10.1f} {unit:<6}{ratio}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--directory", default=None)
    arguments = parser.parse_args()
    frames, size = material(arguments.megabytes)
    megabytes = size / 1e6
    with tempfile.TemporaryDirectory(dir=arguments.directory) as name:
        root = Path(name)
        plain = megabytes / bash_to_file(root, frames, size)
        one = megabytes / asyncio.run(store_jobs(root / "one", frames, 1))
        many = megabytes / asyncio.run(store_jobs(root / "many", frames, 100))
        lite = megabytes / sqlite_jobs(root / "lite", frames, 1)
        lite_many = megabytes / sqlite_jobs(root / "lite-many", frames, 100)
        seconds, latencies = asyncio.run(replicate(root / "three", frames))
        tail, reading, literal, regex = asyncio.run(reads(root / "reads", frames))
        page = asyncio.run(ledger_page(root / "ledger"))
    latencies.sort()
    print(
        f"{megabytes:.0f} MB of log lines, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    line("bash script >file, then sync", plain, "MB/s")
    line("store one loud output, durable", one, "MB/s", plain, "bash")
    line("store 100 outputs at once, durable", many, "MB/s", plain, "bash")
    line("SQLite WAL, one output", lite, "MB/s", one, "our store")
    line("SQLite WAL, 100 outputs", lite_many, "MB/s", many, "our store")
    line("three nodes in one process have all of it", megabytes / seconds, "MB/s", one, "one")
    line("a line seen on another node, p50", latencies[len(latencies) // 2], "ms")
    line("a line seen on another node, p99", latencies[len(latencies) * 99 // 100], "ms")
    line("read all", megabytes / reading, "MB/s")
    line("last 50 lines", tail, "ms")
    line("search, literal", megabytes / literal, "MB/s")
    line("search, regular expression", megabytes / regex, "MB/s")
    line("page of 50 runs among 20,000 rows", page, "ms")


if __name__ == "__main__":
    main()
