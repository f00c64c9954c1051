"""A cluster that was wholly down for three hours comes back: real processes under a shifted clock.

All daemons are killed with SIGKILL and started again with libfaketime's clock three hours ahead.
The scripts run under the true clock and write down what they were launched for; the due ticks are
counted here.
"""

import os
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from fleet import Fleet, wait_for

pytestmark = pytest.mark.cluster

HOURS = 3
LATE_SECONDS = 30
SETTLE_SECONDS = 90
LIBRARIES = (
    "/usr/lib/*/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/local/lib/faketime/libfaketimeMT.so.1",
)
SCRIPT = 'echo "$CRONCORD_JOB $CRONCORD_NOMINAL_TIME $CRONCORD_TRIGGER" >> {witness}\n'


@dataclass(frozen=True)
class Outage:
    """A job with a tick every so many minutes, and what its policy does with missed ones."""

    name: str
    minutes: int
    policy: str
    window_seconds: int = 3600
    max_runs: int | None = None
    per_minute: int | None = None
    delivery: str = "at_most_once"

    def fields(self, witness: Path) -> dict:
        """Return what the API takes."""
        misfire = {"policy": self.policy, "window_seconds": self.window_seconds}
        misfire |= {"max_runs": self.max_runs} if self.max_runs else {}
        misfire |= {"per_minute": self.per_minute} if self.per_minute else {}
        return {
            "name": self.name,
            "schedule": f"*/{self.minutes} * * * *",
            "script": SCRIPT.format(witness=witness),
            "overlap": "allow",
            "delivery": self.delivery,
            "misfire": misfire,
        }

    def ticks(self, after: datetime, until: datetime) -> list[datetime]:
        """Return what is due after one instant and not after another."""
        step = timedelta(minutes=self.minutes)
        tick = after.replace(
            second=0, microsecond=0, minute=after.minute // self.minutes * self.minutes
        )
        found = []
        while (tick := tick + step) <= until:
            found.append(tick)
        return found

    def caught_up(self, missed: list[datetime], now: datetime) -> set[datetime]:
        """Return the missed ticks that its policy launches at a time."""
        window = timedelta(seconds=self.window_seconds)
        fresh = [tick for tick in missed if now - tick <= window]
        most = {"skip": 0, "run_once": 1, "run_all": self.max_runs}[self.policy]
        return set(fresh if most is None else fresh[len(fresh) - min(most, len(fresh)) :])


OUTAGES = [
    Outage("skips", 10, "skip"),
    Outage("once", 10, "run_once"),
    Outage("once-payroll", 10, "run_once", delivery="at_least_once"),
    Outage("once-too-late", 60, "run_once", window_seconds=60),
    Outage("all-of-an-hour", 10, "run_all"),
    Outage("all-of-it", 10, "run_all", window_seconds=12 * 3600),
    Outage("newest-four", 10, "run_all", window_seconds=12 * 3600, max_runs=4),
    Outage("slowly", 10, "run_all", window_seconds=1800, per_minute=12),
    Outage("each-minute", 1, "run_all", window_seconds=600),
]


FAKETIME = [path for pattern in LIBRARIES for path in Path("/").glob(pattern[1:])]


def shifted(hours: int) -> dict[str, str]:
    """Return an environment whose processes see another time."""
    return {
        **os.environ,
        "LD_PRELOAD": str(FAKETIME[0]),
        "FAKETIME": f"+{hours}h",
    }


def read(instant: str) -> datetime:
    return datetime.fromisoformat(instant)


def ledger_of(node) -> list[dict]:
    """Return every row that a node's own ledger has."""
    rows, cursor = [], ""
    while cursor is not None:
        page = node.get(f"/api/v1/runs?stale=allow&limit=1000&cursor={cursor}")
        rows += page["items"]
        cursor = page["next_cursor"]
    return rows


def wait_until_nothing_is_open(fleet: Fleet) -> None:
    def is_settled() -> bool:
        catch_up = fleet.nodes[0].get("/api/v1/cluster")["catch_up"]
        rows = [row for node in fleet.nodes for row in ledger_of(node)]
        return not catch_up and not any(row["state"] in ("pending", "running") for row in rows)

    wait_for(is_settled, SETTLE_SECONDS, "everything to be caught up")


def launches(witness: Path) -> dict[str, list[datetime]]:
    """Return what the scripts were launched for, as they wrote it."""
    found = defaultdict(list)
    for line in witness.read_text().splitlines():
        name, nominal, _trigger = line.split()
        found[name].append(read(nominal))
    return found


@pytest.mark.skipif(not FAKETIME, reason="needs libfaketime: apt-get install libfaketime")
def test_after_three_hours_each_job_does_what_its_misfire_policy_says(tmp_path):
    witness = tmp_path / "witness"
    witness.touch(mode=0o666)
    with Fleet(tmp_path) as fleet:
        for job in OUTAGES:
            fleet.nodes[0].post("/api/v1/jobs", job.fields(witness))
        once = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2, minutes=30)
        at_once = {"schedule": f"@at {once:%Y-%m-%dT%H:%M:%SZ}"}
        one_shot = Outage("one-shot", 10, "run_once").fields(witness) | at_once
        fleet.nodes[0].post("/api/v1/jobs", one_shot)
        paused = Outage("paused", 10, "run_all").fields(witness) | {"paused": True}
        fleet.nodes[0].post("/api/v1/jobs", paused)
        before = datetime.now(UTC)
        for node in fleet.nodes:
            node.kill()
        down = datetime.now(UTC)
        environment = shifted(HOURS)
        back = datetime.now(UTC) + timedelta(hours=HOURS)
        for node in fleet.nodes:
            node.start(environment=environment)
        fleet.wait_ready(60)
        wait_until_nothing_is_open(fleet)
        fleet.leader().post("/api/v1/cluster/pause")
        settled = datetime.now(UTC) + timedelta(hours=HOURS)
        ledgers = {node.name: ledger_of(node) for node in fleet.nodes}
        first = OUTAGES[0].ticks(down, back)[0]
        told = fleet.leader().get(f"/api/v1/jobs/skips/why?at={first:%Y-%m-%dT%H:%M:%SZ}")
    ran = launches(witness)
    for name, rows in ledgers.items():
        for job in OUTAGES:
            mine = [row for row in rows if row["job"] == job.name]
            judge(job, mine, ran[job.name], down=(before, down), up=(back, settled), node=name)
        (row,) = [row for row in rows if row["job"] == "one-shot"]
        assert (row["state"], row["trigger"]) == ("succeeded", "catch_up")
        assert ran["one-shot"] == [once]
        slept = [row for row in rows if row["job"] == "paused"]
        assert {(row["state"], row["reason"]) for row in slept} == {("skipped", "paused")}
        assert len(slept) >= HOURS * 6 - 1
    assert ran["paused"] == []
    assert "no leader had a majority" in " ".join(s["text"] for s in told["sentences"])


def judge(job: Outage, rows: list[dict], ran: list[datetime], *, down, up, node: str) -> None:
    """Compare one job's rows on one node, and what its scripts saw, with what is due by arithmetic."""
    by_tick = defaultdict(list)
    for row in rows:
        by_tick[read(row["nominal_time"])].append(row)
    due = job.ticks(down[1], up[0])
    missed = [tick for tick in due if (up[0] - tick).total_seconds() > LATE_SECONDS + 5]
    assert len(missed) >= HOURS * 60 // job.minutes - 1
    first = min(read(row["decided_at"]) for row in rows if read(row["nominal_time"]) in missed)
    # The leader's own times bound when it decided; both ends are tried.
    sure = job.caught_up(missed, up[1]) & job.caught_up(missed, first)
    perhaps = job.caught_up(missed, up[1]) | job.caught_up(missed, first)
    for tick in missed:
        said = f"{job.name} {tick} on {node}"
        assert len(by_tick[tick]) == 1, f"{said}: {len(by_tick[tick])} rows"
        (row,) = by_tick[tick]
        if row["state"] == "missed":
            assert tick not in sure, f"{said} was to be caught up"
            assert row["reason"] == "no_quorum", said
            assert tick not in ran, f"{said} is missed, and it ran"
        else:
            assert tick in perhaps, f"{said} was not to be caught up"
            assert (row["state"], row["trigger"]) == ("succeeded", "catch_up"), said
            assert ran.count(tick) == 1, f"{said} ran {ran.count(tick)} times"
            late = read(row["decided_at"]) - tick
            assert late.total_seconds() <= job.window_seconds, f"{said} began beyond its window"
    assert len(ran) == len(set(ran)), f"{job.name} ran twice for one tick: {sorted(ran)}"
    if job.per_minute:
        starts = sorted(read(r["due_at"]) for r in rows if r["trigger"] == "catch_up")
        gaps = [(b - a).total_seconds() for a, b in pairwise(starts)]
        assert min(gaps) >= 60 / job.per_minute - 0.001
