"""What a ledger of a million rows costs: writing, pages of any kind, why, comparing, deleting.

    python benchmarks/ledger/rows.py [--rows 1000000] [--directory /var/tmp]

200 jobs on three nodes over 80 days; one row in 50 failed, one in 500 was skipped, one in 5,000 was
missed, one in 100,000 is lost. Everything runs on this machine and through the product's own classes.
A line gives the number of measurements, their median, the time that 95 of 100 stay below, and the
longest. `loop` is the longest time for which the event loop could do nothing else meanwhile.
"""

import argparse
import asyncio
import contextlib
import os
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from croncord.clock import ManualClock
from croncord.lifecycle import Reason, RunState, Trigger
from croncord.logs.ledger import RunLedger
from croncord.logs.log_store import LogStore
from croncord.logs.retention import Keep, Retention
from croncord.model import Job, JobSpec, LogInfo, Run, run_id
from croncord.ports import RunFilter
from croncord.raft.state import ClusterState
from croncord.service.nearest import nearest

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAYS = 80
JOBS = 200
NODES = ("n1", "n2", "n3")
BATCH = 2000
PAGE = 100
_SEEN: list[str] = []


def rows(count: int) -> Iterator[Run]:
    """Make rows, oldest first, as 200 jobs leave them."""
    rng = random.Random(1)
    step = timedelta(days=DAYS) / count
    for index in range(count):
        nominal = NOW - timedelta(days=DAYS) + index * step
        nominal = nominal.replace(microsecond=nominal.microsecond // 1000 * 1000)
        job = rng.randrange(JOBS)
        state, reason = _end(rng)
        ran = state not in (RunState.SKIPPED, RunState.MISSED)
        finished = nominal + timedelta(seconds=rng.expovariate(1 / 20))
        yield Run(
            id=run_id(f"job-{job}", nominal, target=str(index)),
            job_id=f"{job:016x}",
            job=f"backup of machine {job}",
            job_version=3,
            script_sha256="a17fcf0a2f50e2d495e4f90ce263410edc183add6c62699a2facbccf60410f74",
            nominal_time=nominal,
            due_at=nominal,
            trigger=Trigger.SCHEDULE,
            state=state,
            reason=reason,
            node=rng.choice(NODES) if ran else None,
            replicas=NODES if ran else (),
            fence=index,
            decided_at=nominal,
            decided_by="node:n1",
            decided_term=7,
            claimed_at=nominal if ran else None,
            started_at=nominal if ran else None,
            finished_at=finished,
            ended_by="node:n2",
            exit_code=0 if state is RunState.SUCCEEDED else 1 if ran else None,
            log=LogInfo(bytes=800, lines=12, sha256="ab" * 32, complete=True) if ran else LogInfo(),
            excerpt="copied 1,234 objects\nall is well\n" if ran else "",
        )


def _end(rng: random.Random) -> tuple[RunState, Reason | None]:
    dice = rng.random()
    if dice < 1 / 100_000:
        return RunState.LOST, Reason.NODE_DOWN
    if dice < 1 / 5000:
        return RunState.MISSED, Reason.NO_QUORUM
    if dice < 1 / 500:
        return RunState.SKIPPED, Reason.OVERLAP
    return (RunState.FAILED, None) if dice < 1 / 50 else (RunState.SUCCEEDED, None)


class Watch:
    """Sees how long the event loop could do nothing else."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def run(self) -> None:
        """Look again and again; cancel to stop."""
        while True:
            begun = time.perf_counter()
            await asyncio.sleep(0.001)
            self.longest = max(self.longest, time.perf_counter() - begun - 0.001)


@contextlib.asynccontextmanager
async def watched() -> AsyncIterator[Watch]:
    """Watch the loop while something is done."""
    watch = Watch()
    task = asyncio.create_task(watch.run())
    await asyncio.sleep(0)
    try:
        yield watch
    finally:
        task.cancel()


def say(text: str) -> None:
    print(text, flush=True)


def told(what: str, times: list[float], note: str = "") -> None:
    """Print one line of figures in milliseconds."""
    spread = sorted(1000 * seconds for seconds in times)
    p95 = spread[min(len(spread) - 1, int(0.95 * len(spread)))]
    middle = statistics.median(spread)
    say(f"{what:<44} {len(spread):>4} {middle:>9.2f} {p95:>9.2f} {spread[-1]:>9.2f}  {note}")


def timed(deed: Callable[[], object], times: int) -> list[float]:
    """Return the seconds of each of so many calls."""
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        deed()
        found.append(time.perf_counter() - begun)
    return found


async def write(ledger: RunLedger, count: int) -> None:
    """Put all rows as the agreed commands do, some thousand at a time."""
    begun = last = time.perf_counter()
    batch: list[Run] = []
    rates: list[float] = []
    async with watched() as watch:
        for number, run in enumerate(rows(count), 1):
            batch.append(run)
            if number % 5000 == 0:
                _SEEN.append(run.id)
            if len(batch) == BATCH or number == count:
                ledger.put(batch)
                await ledger.flush()
                batch = []
            if number % max(1, count // 10) == 0:
                now = time.perf_counter()
                rates.append(count // 10 / (now - last))
                last = now
    seconds = time.perf_counter() - begun
    say(
        f"{count:,} rows in {seconds:.0f} s: {count / seconds:,.0f} a second;"
        f" tenths from {min(rates):,.0f} to {max(rates):,.0f}; loop {1000 * watch.longest:.0f} ms"
    )


def pages(ledger: RunLedger) -> None:
    """Newest-first pages of each filter, and of the awkward pairs."""
    rng = random.Random(2)

    def job() -> str:
        return f"{rng.randrange(JOBS):016x}"

    asked: dict[str, Callable[[], RunFilter]] = {
        "any row": RunFilter,
        "a job": lambda: RunFilter(job_id=job()),
        "a job that has none": lambda: RunFilter(job_id="f" * 16),
        "state succeeded (98 of 100)": lambda: RunFilter(state="succeeded"),
        "state failed (1 of 55)": lambda: RunFilter(state="failed"),
        "state lost (1 of 100,000)": lambda: RunFilter(state="lost"),
        "reason overlap (1 of 500)": lambda: RunFilter(reason="overlap"),
        "reason no_quorum (1 of 5,000)": lambda: RunFilter(reason="no_quorum"),
        "a node": lambda: RunFilter(node=rng.choice(NODES)),
        "trigger schedule (all)": lambda: RunFilter(trigger="schedule"),
        "a job and failed": lambda: RunFilter(job_id=job(), state="failed"),
        "a job, failed, on a node": lambda: RunFilter(
            job_id=job(), state="failed", node=rng.choice(NODES)
        ),
        "skipped on a node (never both)": lambda: RunFilter(state="skipped", node="n1"),
        "a job, a week, 40 days ago": lambda: RunFilter(
            job_id=job(), since=NOW - timedelta(days=40), until=NOW - timedelta(days=33)
        ),
    }
    for what, where in asked.items():
        told(f"page: {what}", timed(lambda where=where: ledger.page(where(), limit=PAGE), 100))
    deep = [ledger.page(RunFilter(), limit=1, before=each)[0].id for each in _SEEN[:100]]
    before = iter(deep * 2)
    told(
        "page: any row, from anywhere",
        timed(lambda: ledger.page(RunFilter(), limit=PAGE, before=next(before)), len(deep)),
    )
    ids = [rng.choice(_SEEN) for _ in range(1000)]
    wanted = iter(ids)
    told("one row by its id", timed(lambda: ledger.get(next(wanted)), 1000))


def why(ledger: RunLedger) -> None:
    """Look for the tick nearest to a time, as `why` does."""
    rng = random.Random(3)
    state = ClusterState()
    jobs = []
    for number in range(JOBS):
        job_id = f"{number:016x}"
        spec = JobSpec(
            name=f"backup of machine {number}", script="true", schedule=("*/23 * * * *",)
        )
        born = NOW - timedelta(days=DAYS)
        job = Job(
            id=job_id,
            version=3,
            spec=spec,
            created_at=born,
            updated_at=born,
            updated_by="user:ada",
            anchor=born,
            next_due=NOW,
        )
        state.put_job(job)
        jobs.append(job)

    def ask() -> None:
        at = NOW - timedelta(seconds=rng.randrange(DAYS * 86400))
        nearest(state, ledger, rng.choice(jobs), at)

    told("why: the nearest tick and its row", timed(ask, 200))


async def compare(ledger: RunLedger) -> None:
    """Count and check each day, as nodes do to find what they lack."""
    found = []
    async with watched() as watch:
        for _ in range(3):
            begun = time.perf_counter()
            days = await ledger.days()
            found.append(time.perf_counter() - begun)
    note = f"{len(days)} days; loop {1000 * watch.longest:.0f} ms"
    told("compare: count and checksum of each day", found, note)


async def delete(ledger: RunLedger, logs: LogStore, count: int) -> None:
    """Retention: first by number per job, then by age."""
    limit = count // JOBS * 4 // 5
    for what, keep in (
        (f"delete: over {limit} rows a job", Keep(runs_per_job=limit, days=10_000)),
        ("delete: older than 40 days", Keep(runs_per_job=10**9, days=DAYS // 2)),
        ("delete: nothing to do", Keep(runs_per_job=10**9, days=DAYS // 2)),
    ):
        before = sum(n for n, _ in (await ledger.days()).values())
        retention = Retention(logs.local, ledger, ManualClock(NOW), keep)
        async with watched() as watch:
            begun = time.perf_counter()
            await retention.apply()
            seconds = time.perf_counter() - begun
        gone = before - sum(n for n, _ in (await ledger.days()).values())
        rate = f"{gone / seconds:,.0f} a second" if gone else ""
        told(what, [seconds], f"{gone:,} rows, {rate}; loop {1000 * watch.longest:.0f} ms")


async def run(count: int, directory: Path) -> None:
    """Measure everything."""
    say(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    ledger = await RunLedger.start(directory / "ledger")
    logs = await LogStore.start(directory / "logs")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    await write(ledger, count)
    size = (directory / "ledger" / "data.mdb").stat().st_size
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    say(
        f"file {size / 2**20:,.0f} MiB, {size / count:.0f} bytes a row;"
        f" memory peak {peak:,.0f} MiB, {before:,.0f} before (the file's pages count)"
    )
    say(f"{'milliseconds':<44} {'n':>4} {'median':>9} {'p95':>9} {'longest':>9}")
    pages(ledger)
    why(ledger)
    await compare(ledger)
    await delete(ledger, logs, count)
    size = (directory / "ledger" / "data.mdb").stat().st_size
    say(f"file {size / 2**20:,.0f} MiB after deleting (it does not shrink, pages are used again)")
    await ledger.stop()
    begun = time.perf_counter()
    ledger = await RunLedger.start(directory / "ledger")
    told("open again", [time.perf_counter() - begun])
    await ledger.stop()
    await logs.stop()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--directory", type=Path, help="default: a temporary one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="croncord-rows-", dir=options.directory) as directory:
        asyncio.run(run(options.rows, Path(directory)))


if __name__ == "__main__":
    sys.exit(main())
