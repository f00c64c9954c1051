"""What a decision costs, from a small table of jobs to a large one, and from a young ledger to an old one.

    python benchmarks/planner/decisions.py [--jobs 1000 10000 100000] [--rows 10 1000 100000]

In one process, with the product's own planner, state and ledger, without network and disk flushes
between nodes: 20 jobs are due each second, the others once a day. A round is what is computed for one
second: plan, apply the decisions, the claims and the results. Every node applies, only the leader
plans, so the two are told apart. Then rows are put into ledgers of several sizes, 20 at a time and
durable each time, as that second leaves them.
"""

import argparse
import asyncio
import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from croncord.lifecycle import RunState
from croncord.logs.ledger import RunLedger
from croncord.model import JobSpec, Node
from croncord.node.planner import Facts, Limits, plan
from croncord.raft.apply import apply
from croncord.raft.commands import (
    AnyCommand,
    Claim,
    ClaimRuns,
    FinishRuns,
    PutJob,
    PutNode,
    RunResult,
)
from croncord.raft.state import ClusterState

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "ledger"))

from rows import rows  # found by the line above

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
NODES = ("n1", "n2", "n3")
DUE_EACH_SECOND = 20


class Spent(NamedTuple):
    """Milliseconds per decision of one round."""

    plan: float
    apply: float

    @property
    def total(self) -> float:
        """Both together."""
        return self.plan + self.apply


def state_of(jobs: int) -> ClusterState:
    """Return a state with so many jobs, of which twenty are due each second from noon on."""
    state = ClusterState()
    for name in NODES:
        node = Node(
            name=name, http=f"http://{name}", raft=f"{name}:1", joined_at=NOON, changed_at=NOON
        )
        apply(state, PutNode(at=NOON, node=node))
    for number in range(jobs):
        often = number < DUE_EACH_SECOND
        spec = JobSpec(
            name=f"backup of machine {number}",
            script=f"rsync -a /srv/data-{number}/ backup:/srv/data-{number}/\n",
            schedule=("* * * * * *" if often else "30 2 * * *",),
            tags=("backup", f"rack-{number % 40}"),
        )
        due = NOON + (timedelta(seconds=1) if often else timedelta(hours=14, minutes=30))
        job_id = f"{number:016x}"
        apply(state, PutJob(at=NOON, by="user:ada", job_id=job_id, spec=spec, next_due=due))
    return state


class Leader:
    """Decides for a state, second by second, and has all that was decided run and end."""

    def __init__(self, state: ClusterState) -> None:
        self.state = state
        self.now = NOON

    def round(self) -> Spent:
        """Let a second pass; returns what it cost per decision."""
        self.now += timedelta(seconds=1)
        facts = Facts(now=self.now, term=1, leader="n1", silent_seconds=dict.fromkeys(NODES, 0.0))
        begun = time.perf_counter()
        decided = plan(self.state, facts, Limits(horizon_seconds=0))
        planned = time.perf_counter()
        self._apply(decided.commands)
        runs = list(self.state.open_runs.values())
        for name in NODES:
            mine = [run for run in runs if run.node == name]
            claims = tuple(Claim(run_id=run.id, attempt=1) for run in mine)
            results = tuple(
                RunResult(
                    run_id=run.id,
                    attempt=1,
                    state=RunState.SUCCEEDED,
                    started_at=self.now,
                    finished_at=self.now,
                    exit_code=0,
                )
                for run in mine
            )
            self._apply((ClaimRuns(at=self.now, node=name, claims=claims),))
            self._apply((FinishRuns(at=self.now, node=name, results=results),))
        applied = time.perf_counter()
        assert len(runs) == DUE_EACH_SECOND
        assert not self.state.open_runs
        return Spent(1000 * (planned - begun) / len(runs), 1000 * (applied - planned) / len(runs))

    def _apply(self, commands: Sequence[AnyCommand]) -> None:
        for command in commands:
            outcome = apply(self.state, command)
            assert outcome.refusal is None


async def ledger_times(directory: Path, size: int, rounds: int) -> list[float]:
    """Return milliseconds per row, put twenty at a time into a ledger of that size."""
    ledger = await RunLedger.start(directory)
    coming = rows(size + rounds * DUE_EACH_SECOND)
    while batch := list(islice(coming, min(2000, size))):
        ledger.put(batch)
        await ledger.flush()
        size -= len(batch)
    times = []
    for _ in range(rounds):
        batch = list(islice(coming, DUE_EACH_SECOND))
        begun = time.perf_counter()
        ledger.put(batch)
        await ledger.flush()
        times.append(1000 * (time.perf_counter() - begun) / len(batch))
    await ledger.stop()
    return times


def tell(what: str, times: Sequence[float], first: float) -> None:
    """Print a line; the ratio is against the first size."""
    spread = sorted(times)
    middle, p90 = statistics.median(spread), spread[int(0.9 * len(spread))]
    print(f"{what:<40}{len(spread):>6}{middle:>9.3f}{p90:>9.3f}{middle / first:>8.2f}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", nargs="+", type=int, default=[1000, 10_000, 100_000])
    parser.add_argument("--rows", nargs="+", type=int, default=[10, 1000, 100_000])
    parser.add_argument("--rounds", type=int, default=200)
    wanted = parser.parse_args()
    print(f"{'milliseconds per decision':<40}{'rounds':>6}{'p50':>9}{'p90':>9}{'ratio':>8}")
    first: Spent | None = None
    for jobs in wanted.jobs:
        leader = Leader(state_of(jobs))
        gc.collect()
        for _ in range(20):
            leader.round()
        spent = [leader.round() for _ in range(wanted.rounds)]
        middle = Spent(*(statistics.median(part) for part in zip(*spent, strict=True)))
        first = first or middle
        tell(f"{jobs:,} jobs: plan, on the leader", [one.plan for one in spent], first.plan)
        tell(f"{jobs:,} jobs: apply, on each node", [one.apply for one in spent], first.apply)
    base = 0.0
    for size in wanted.rows:
        with tempfile.TemporaryDirectory() as place:
            times = asyncio.run(ledger_times(Path(place) / "ledger", size, wanted.rounds))
        base = base or statistics.median(times)
        tell(f"{size:,} rows: a further row, durable", times, base)


if __name__ == "__main__":
    main()
