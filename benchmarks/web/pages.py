"""What each page of lists weighs and costs with 10,000 jobs and a ledger of a million rows.

    python benchmarks/web/pages.py [--jobs 10000] [--rows 1000000] [--times 20] [--directory /var/tmp]

The real application over the real desk, ledger and output store of one node, asked over loopback by a
client in the same process. `first` is the first request ever, with every cache empty; the median and
the longest are of the requests after it. `cpu` is the median of the processor's time that a request
took of this process, client included: on a machine with other load it is the figure to look at. `kB` is the page as it is, `gzip` what a proxy would send.
The newest thousand runs have 30 lines of output each; one job has a twentieth of all rows.
"""

import argparse
import asyncio
import contextlib
import gzip
import hashlib
import os
import random
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
from aiohttp import web

from croncord.clock import SystemClock
from croncord.frames import STDOUT, encode_frame
from croncord.lifecycle import Reason, RunState, Trigger
from croncord.logs.audit_log import AuditLog
from croncord.logs.ledger import RunLedger
from croncord.logs.log_store import LogStore
from croncord.model import Job, LogInfo, Node, Run, run_id
from croncord.node.vault import SecretVault
from croncord.ports import LogKey
from croncord.raft.audit import audit_entry
from croncord.raft.commands import InitCluster, PutNode
from croncord.raft.invitation import Invitations
from croncord.raft.solo import SoloReplica
from croncord.service import Desk, Who
from croncord.web.app import create_app
from croncord.web.pages import render_error, setup_pages
from croncord.web.query import job_path

TOKEN = "the token of this benchmark"  # noqa: S105  # of a node that lives as long as this
ADMIN = Who("user:ada", "admin", "127.0.0.1")
DAYS = 80
BATCH = 5000
LINES = 30
OUTPUTS = 1000
KB_MAX, MS_MAX = 150, 300
SCHEDULES = ("{m} * * * *", "{m} {h} * * *", "*/15 * * * *", "{m} {h} * * 1-5", "H H * * *")
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata")


def say(text: str) -> None:
    print(text, flush=True)


class House:
    """One node's parts, without the processes around them."""

    def __init__(self, desk: Desk, ledger: RunLedger, logs: LogStore, replica: SoloReplica) -> None:
        self.desk = desk
        self.ledger = ledger
        self.logs = logs
        self.replica = replica

    async def fill(self, jobs: int, rows: int) -> None:
        """Make everything there is to see."""
        rng = random.Random(1)
        begun = time.perf_counter()
        for number in range(jobs):
            schedule = rng.choice(SCHEDULES).format(m=rng.randrange(60), h=rng.randrange(24))
            fields = {
                "name": f"backup of machine {number:05}",
                "script": f"#!/bin/bash\nrsync -a /srv/{number} vault:/srv/\n",
                "schedule": schedule,
                "timezone": rng.choice(ZONES),
                "tags": rng.sample(["prod", "backup", "nightly", "crm", "erp"], 2),
                "owner": "ops",
                "description": "Copies what changed since yesterday.",
            }
            await self.desk.jobs.create(ADMIN, fields)
        say(f"{jobs:,} jobs in {time.perf_counter() - begun:.0f} s")
        begun = time.perf_counter()
        batch: list[Run] = []
        newest: deque[Run] = deque(maxlen=OUTPUTS)
        made = list(self.replica.state.jobs.values())
        for number, row in enumerate(ended_runs(made, rows, self.desk.clock.now())):
            batch.append(row)
            if row.node:
                newest.append(row)
            if number >= rows - 10 * jobs:
                self.replica.state.close_run(row)
            if len(batch) == BATCH:
                self.ledger.put(batch)
                await self.ledger.flush()
                batch = []
        self.ledger.put(batch)
        await self.ledger.flush()
        say(f"{rows:,} rows in {time.perf_counter() - begun:.0f} s")
        for row in newest:
            key = LogKey(row.id, 1)
            text = b"".join(b"line %d of %s\n" % (n, row.id.encode()) for n in range(LINES))
            await self.logs.open(key, started_at=row.nominal_time)
            await self.logs.append(key, 0, encode_frame(STDOUT, text, 7))
            await self.logs.close(key)


def ended_runs(jobs: list[Job], count: int, now: datetime) -> Iterator[Run]:
    """Make rows, oldest first, up to a minute ago; the first job has a twentieth of them."""
    rng = random.Random(2)
    step = timedelta(days=DAYS) / count
    for index in range(count):
        nominal = now - timedelta(days=DAYS, minutes=1) + index * step
        nominal = nominal.replace(microsecond=nominal.microsecond // 1000 * 1000)
        job = jobs[0] if index % 20 == 0 else rng.choice(jobs)
        dice = rng.random()
        state, reason = RunState.SUCCEEDED, None
        if dice < 1 / 5000:
            state, reason = RunState.MISSED, Reason.NO_QUORUM
        elif dice < 1 / 500:
            state, reason = RunState.SKIPPED, Reason.OVERLAP
        elif dice < 1 / 50:
            state = RunState.FAILED
        ran = state in (RunState.SUCCEEDED, RunState.FAILED)
        yield Run(
            id=run_id(job.id, nominal, target=str(index)),
            job_id=job.id,
            job=job.spec.name,
            job_version=1,
            script_sha256="ab" * 32,
            nominal_time=nominal,
            due_at=nominal,
            trigger=Trigger.SCHEDULE,
            state=state,
            reason=reason,
            node="n1" if ran else None,
            replicas=("n1",) if ran else (),
            fence=index,
            decided_at=nominal,
            decided_by="node:n1",
            decided_term=7,
            claimed_at=nominal if ran else None,
            started_at=nominal if ran else None,
            finished_at=nominal + timedelta(seconds=rng.expovariate(1 / 20)),
            ended_by="node:n2",
            exit_code=None if not ran else int(state is RunState.FAILED),
            log=LogInfo(bytes=800, lines=LINES, sha256="ab" * 32, complete=True)
            if ran
            else LogInfo(),
            excerpt="copied 1,234 objects\nall is well\n" if ran else "",
        )


@contextlib.asynccontextmanager
async def house(directory: Path) -> AsyncIterator[House]:
    """Open the parts in that directory."""
    replica = SoloReplica("n1")
    await replica.start()
    ledger = await RunLedger.start(directory / "ledger")
    logs = await LogStore.start(directory / "logs", node="n1")
    audit = await AuditLog.start(directory / "audit")

    def note(index: int, command: object, outcome: object) -> None:
        entry = audit_entry(replica.state, index, command, outcome)  # type: ignore[arg-type]  # as the daemon does
        audit.put([entry] if entry else [])

    replica.subscribe(note)
    now = datetime.now(UTC)
    await replica.propose(InitCluster(at=now, cluster_id="c1", session_key=b"k" * 32))
    for name in ("n1", "n2", "n3"):
        node = Node(
            name=name,
            http=f"http://{name}:8470",
            raft=f"{name}:8471",
            joined_at=now,
            changed_at=now,
        )
        await replica.propose(PutNode(at=now, node=node))
    desk = Desk(
        name="n1",
        replica=replica,
        clock=SystemClock(),
        ledger=ledger,
        logs=logs,
        peers=None,
        sightings=tuple,
        admin_token_sha256=hashlib.sha256(TOKEN.encode()).hexdigest(),
        invitations=Invitations(b"the secret of this cluster"),
        audit=audit,
        vault=SecretVault(b"the secret of this cluster"),
        authority=str,
    )
    yield House(desk, ledger, logs, replica)
    await replica.stop()
    await logs.stop()
    await ledger.stop()
    await audit.stop()


@contextlib.asynccontextmanager
async def served(parts: House) -> AsyncIterator[str]:
    """Serve the pages on a port of loopback."""
    app = create_app(parts.desk, error_page=render_error)
    setup_pages(app, parts.desk, parts.logs)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


def addresses(parts: House) -> dict[str, str]:
    """Return each page of a list, as people come to it."""
    jobs = list(parts.replica.state.jobs.values())
    old = (parts.desk.clock.now() - timedelta(days=40)).strftime("%Y-%m-%dT%H:%M:%SZ")
    last = parts.replica.state.recent[jobs[1].id][-1].id
    one, much = (job_path(job.spec.name, job.id) for job in (jobs[1], jobs[0]))
    return {
        "overview": "/",
        "jobs": "/jobs",
        "jobs, by next run": "/jobs?sort=next_run",
        "jobs, by last run": "/jobs?sort=last_run",
        "jobs, a word": "/jobs?q=0777",
        "jobs, a tag": "/jobs?q=tag:crm",
        "jobs, failed": "/jobs?state=failed",
        "runs": "/runs",
        "runs, failed": "/runs?state=failed",
        "runs, before 40 days": f"/runs?until={old}",
        "runs, of a job": f"/runs?job={jobs[1].spec.name.replace(' ', '%20')}",
        "job, 100 runs": one,
        "job, 50,000 runs": much,
        "job, why": f"{much}/why",
        "a run": f"/runs/{last}",
        "day": "/day",
        "logs, before a search": "/logs",
        "logs, a hundred hits": "/logs?q=line%207%20of",
        "nodes": "/nodes",
        "cluster": "/cluster",
        "audit": "/audit",
        "find": "/find?q=machine",
    }


async def ask(client: aiohttp.ClientSession, path: str) -> tuple[float, float, bytes]:
    """Return seconds, the processor's seconds, and the body."""
    begun, worked = time.perf_counter(), time.process_time()
    async with client.get(path, allow_redirects=False) as answer:
        body = await answer.read()
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status} {body[:300]!r}")
    return time.perf_counter() - begun, time.process_time() - worked, body


async def measure(parts: House, times: int) -> bool:
    """Ask for every page; True if each keeps both limits."""
    is_well = True
    async with (
        served(parts) as base,
        aiohttp.ClientSession(base, cookie_jar=aiohttp.CookieJar(unsafe=True)) as client,
    ):
        await client.post("/login", data={"token": TOKEN}, allow_redirects=False)
        say(
            f"{'milliseconds':<24} {'first':>8} {'median':>8} {'longest':>8} {'cpu':>6} {'kB':>8} {'gzip':>6}"
        )
        for what, path in addresses(parts).items():
            first, _, body = await ask(client, path)
            asked = [await ask(client, path) for _ in range(times)]
            spread = sorted(seconds for seconds, _, _ in asked)
            worked = statistics.median(seconds for _, seconds, _ in asked)
            size = len(body) / 1000
            keeps = size < KB_MAX and 1000 * spread[-1] < MS_MAX
            is_well &= keeps
            say(
                f"{what:<24} {1000 * first:>8.0f} {1000 * statistics.median(spread):>8.0f}"
                f" {1000 * spread[-1]:>8.0f} {1000 * worked:>6.0f} {size:>8.1f} {len(gzip.compress(body)) / 1000:>6.1f}"
                f"{'' if keeps else '  over the limit'}"
            )
    return is_well


async def run(options: argparse.Namespace, directory: Path) -> bool:
    """Fill a node and measure its pages."""
    say(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    async with house(directory) as parts:
        await parts.fill(options.jobs, options.rows)
        return await measure(parts, options.times)


def main() -> int:
    """Read the command line; exits with 1 if a page is over a limit."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--directory", type=Path, help="default: a temporary one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="croncord-pages-", dir=options.directory) as directory:
        return 0 if asyncio.run(run(options, Path(directory))) else 1


if __name__ == "__main__":
    sys.exit(main())
