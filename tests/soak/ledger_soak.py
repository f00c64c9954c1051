"""Real nodes under real faults: is every tick accounted for?

    python tests/soak/ledger_soak.py --minutes 30

Three `croncord serve` processes on loopback run 200 jobs on one-second to one-minute schedules
while this program kills them with SIGKILL, stops them with SIGSTOP for longer than every timeout,
and restarts everything at once. The scripts write their own witness lines. At the end these are
matched against an independent list of due ticks and against the ledger of every node. Prints
doubles, unexplained ticks, broken promises of other kinds and the recovery times; exit status 1
when a promise was broken. What happened stays in the directory that is printed first.
"""

# ruff: noqa: T201 - a tool talks to people on standard output

import argparse
import contextlib
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fleet import Fleet, FleetNode
from soak_jobs import HORIZON_SECONDS, soak_jobs
from soak_verdict import judge, read_witness

RECOVERY_SECONDS = 10.0
CALM_SECONDS = (8.0, 20.0)
STOP_SECONDS = (3.0, 8.0, 15.0, 75.0)
"""Longer than the election timeout, longer than until a node is down, until its runs are lost."""


class Soak:
    """The fleet, its faults and how long it took to come back."""

    def __init__(self, fleet: Fleet, witness: Path, rng: random.Random) -> None:
        self.fleet = fleet
        self.witness = witness
        self.rng = rng
        self.recoveries: list[tuple[str, float | None]] = []

    def say(self, text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)

    def some(self) -> list[FleetNode]:
        """One node, the leader, a majority, or all."""
        nodes = self.fleet.nodes
        choice = self.rng.choice(["one", "leader", "majority", "all"])
        if choice == "leader":
            with contextlib.suppress(AssertionError):
                return [self.fleet.leader()]
        return self.rng.sample(
            nodes, {"majority": len(nodes) // 2 + 1, "all": len(nodes)}.get(choice, 1)
        )

    def break_something(self) -> None:
        """One fault and its repair; then wait until scheduling is back."""
        hit = self.some()
        names = " ".join(node.name for node in hit)
        if self.rng.random() < 0.5:
            seconds = self.rng.choice([0.0, 2.0, 8.0])
            what = f"kill -9 {names}, back after {seconds:g} s"
            self.say(what)
            for node in hit:
                node.kill()
            time.sleep(seconds)
            for node in hit:
                node.start()
        else:
            seconds = self.rng.choices(STOP_SECONDS, [4, 4, 3, 1])[0]
            what = f"stop {names} for {seconds:g} s"
            self.say(what)
            for node in hit:
                node.signal(signal.SIGSTOP)
            time.sleep(seconds)
            for node in hit:
                node.signal(signal.SIGCONT)
        self.recoveries.append((what, self.until_launching()))

    def until_launching(self) -> float | None:
        """Seconds until a tick that came after this moment has begun; None after a minute."""
        healed = time.time()
        while time.time() < healed + 60:
            begun = (line for line in read_witness(self.witness) if line.kind == "begin")
            fresh = [line.at for line in begun if line.nominal > healed]
            if fresh:
                seconds = min(fresh) - healed
                self.say(f"  scheduling is back after {seconds:.1f} s")
                return seconds
            time.sleep(0.25)
        self.say("  scheduling is NOT back after 60 s")
        return None

    def ledger_of(self, node: FleetNode) -> list[dict]:
        """Return every row of a node's own ledger, and what is open."""
        rows, cursor = [], ""
        while True:
            page = node.get(f"/api/v1/runs?stale=allow&limit=1000&cursor={cursor}")
            rows += page["items"]
            cursor = page.get("next_cursor")
            if not cursor:
                return rows


def _create(fleet: Fleet, witness: Path, count: int) -> tuple[dict, dict[str, float]]:
    jobs, born = {}, {}
    for job in soak_jobs(count):
        fields = job.fields(witness)
        made = fleet.nodes[len(jobs) % len(fleet.nodes)].post("/api/v1/jobs", fields)
        jobs[job.name] = job
        # What is due within the moment of its making may count or not.
        born[job.name] = _epoch(made["created_at"]) + 1.0
    return jobs, born


def _epoch(instant: str) -> float:
    from datetime import datetime  # noqa: PLC0415 - only here

    return datetime.fromisoformat(instant).timestamp()


def _settle(soak: Soak) -> float:
    """Repair everything, stop scheduling and wait until nothing is open; returns when it stopped."""
    fleet = soak.fleet
    fleet.wait_ready(60)
    time.sleep(15)
    stopped = time.time()
    fleet.leader().post("/api/v1/cluster/pause")
    deadline = time.time() + 120
    while time.time() < deadline:
        rows = [row for node in fleet.nodes for row in soak.ledger_of(node)]
        if not any(row["state"] in ("pending", "running") for row in rows):
            break
        time.sleep(2)
    return stopped


def run(minutes: float, count: int, seed: int, directory: Path) -> int:
    """Run the soak; returns the exit status."""
    rng = random.Random(seed)
    witness = directory / "witness.txt"
    witness.touch(mode=0o666)
    print(f"seed {seed}, everything in {directory}", flush=True)
    with Fleet(directory) as fleet:
        jobs, born = _create(fleet, witness, count)
        soak = Soak(fleet, witness, rng)
        soak.say(f"{len(jobs)} jobs on {len(fleet.nodes)} nodes")
        time.sleep(10)
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            time.sleep(rng.uniform(*CALM_SECONDS))
            soak.break_something()
        stopped = _settle(soak)
        ledgers = {node.name: soak.ledger_of(node) for node in fleet.nodes}
    lives = {name: (born[name], stopped - HORIZON_SECONDS) for name in jobs}
    verdict = judge(jobs, lives, read_witness(witness), ledgers)
    return _report(verdict, soak)


def _report(verdict, soak: Soak) -> int:
    times = sorted(seconds for _, seconds in soak.recoveries if seconds is not None)
    slow = [what for what, s in soak.recoveries if s is None or s > RECOVERY_SECONDS]
    print(f"\ndue ticks {verdict.due}, processes begun {verdict.begun}")
    print("rows:", ", ".join(f"{n} {state}" for state, n in sorted(verdict.states.items())))
    print(f"faults {len(soak.recoveries)}", end="")
    if times:
        middle = times[len(times) // 2]
        print(f"; scheduling back after {middle:.1f} s (median), {times[-1]:.1f} s (longest)")
    for what in slow:
        print(f"SLOW: not back within {RECOVERY_SECONDS:g} s: {what}")
    for kind in ("double", "unexplained"):
        print(f"{kind}: {len(verdict.broken.get(kind, ()))}")
    for kind, found in verdict.broken.items():
        print(f"{kind} ({len(found)}):")
        print("\n".join(f"   {text}" for text in found[:10]))
    return 1 if verdict.broken or slow else 0


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--directory", type=Path)
    options = parser.parse_args()
    directory = options.directory or Path(tempfile.mkdtemp(prefix="croncord-soak-"))
    directory.mkdir(parents=True, exist_ok=True)
    return run(options.minutes, options.jobs, options.seed, directory)


if __name__ == "__main__":
    sys.exit(main())
