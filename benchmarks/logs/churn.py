"""100,000 runs with output under retention: how much larger the files are than what is in them.

    python benchmarks/logs/churn.py [--runs 100000] [--keep 500]
    python benchmarks/logs/churn.py --days 12

So many runs of 50 jobs, of sizes as scripts have them (half print next to nothing, a few print
megabytes). The first spreads them over 24 simulated hours with retention once a minute, of which each
job keeps the newest; the second over days of which the last three are kept. Files and what is in them
are looked at every hour, or day.
"""

import argparse
import asyncio
import os
import random
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from croncord.clock import ManualClock
from croncord.frames import END, STDOUT, encode_frame
from croncord.logs.ledger import RunLedger
from croncord.logs.log_store import LogStore
from croncord.logs.retention import Keep, Retention
from croncord.model import LogInfo, Run, run_id
from croncord.ports import LogKey

START = datetime(2026, 5, 1, tzinfo=UTC)


def output(chance: random.Random) -> tuple[int, bytes]:
    size = min(int(chance.lognormvariate(5.5, 2)), 2_000_000)
    lines, length = [], 0
    while length < size:
        lines.append(b"%x copied object %d of the set\n" % (chance.getrandbits(32), length))
        length += len(lines[-1])
    data = b"".join(lines)[:size]
    frames = [encode_frame(STDOUT, data[n : n + 60_000], n) for n in range(0, size, 60_000)]
    return size, b"".join(frames) + encode_frame(END, b"", 0)


def file_bytes(root: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in root.rglob("data.mdb"))


def live_bytes(store: LogStore) -> int:
    """Bytes of keys and values in all tables."""
    total = 0
    tables = [(store.local.disk.index, ["jrn", "run", "act", "cfg"])]
    disk = store.local.disk
    for name in disk.days.names():
        with disk.days.existing(name) as day, day.read() as reading:
            total += sum(len(k) + len(v) for k, v in reading.from_key("blocks", b""))
    for environment, names in tables:
        with environment.read() as reading:
            for table in names:
                total += sum(len(k) + len(v) for k, v in reading.from_key(table, b""))
    return total


async def churn(
    root: Path, runs: int, *, spans: int, span: timedelta, passes: int, keep: Keep
) -> None:
    """Spread runs over so many spans of time, with so many passes of retention in each."""
    chance = random.Random(6)
    clock = ManualClock(START)
    store = await LogStore.start(root / "logs")
    ledger = await RunLedger.start(root / "ledger")
    retention = Retention(store.local, ledger, clock, keep)
    raw = n = 0
    print(
        f"{'span':>4}{'runs':>9}{'raw MB':>9}{'file MB':>9}{'live MB':>9}{'ratio':>7}{'pass ms':>9}"
    )
    for number in range(spans):
        took = 0.0
        for part in range(passes):
            closing, rows = [], []
            begin = number * passes + part
            while n < runs * (begin + 1) // (spans * passes):
                at = START + span * spans * (n / runs)
                key = LogKey(run_id(f"job-{n % 50}", at, str(n)), 1)
                size, frames = output(chance)
                raw += size
                await store.open(key, started_at=at)
                await store.append(key, 0, frames)
                closing.append(store.close(key))
                rows.append(row(key.run_id, at, n, size))
                n += 1
            await asyncio.gather(*closing)
            ledger.put(rows)
            clock.step(span.total_seconds() / passes)
            begun = time.perf_counter()
            await retention.apply()
            took += time.perf_counter() - begun
        await store.local.flush()
        files, live = file_bytes(root / "logs"), live_bytes(store)
        print(
            f"{number + 1:>4}{n:>9}{raw / 1e6:>9.0f}{files / 1e6:>9.1f}"
            f"{live / 1e6:>9.1f}{files / live:>7.2f}{took * 1000 / passes:>9.1f}",
            flush=True,
        )
    await store.stop()
    await ledger.stop()


def row(run: str, at: datetime, n: int, size: int) -> Run:
    return Run(
        id=run,
        job_id=f"job-{n % 50}",
        job="job",
        job_version=1,
        script_sha256="0" * 64,
        nominal_time=at,
        due_at=at,
        trigger="schedule",
        state="succeeded",
        node="n1",
        decided_at=at,
        log=LogInfo(bytes=size),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--keep", type=int, default=500, help="runs per job")
    parser.add_argument("--days", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.days:
        keep = Keep(days=2, runs_per_job=10**9)
        how = {"spans": arguments.days, "span": timedelta(days=1), "passes": 24}
    else:
        keep = Keep(runs_per_job=arguments.keep)
        how = {"spans": 24, "span": timedelta(hours=1), "passes": 60}
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(churn(Path(name), arguments.runs, keep=keep, **how))
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
