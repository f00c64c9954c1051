"""Three voters and many observers on one machine: what each further node costs.

    python benchmarks/cluster/observers.py [--observers 27] [--steps 3]

Observers join a running cluster of three one after another. After each share of them:

- how long the last ones took to join, from their start to being members that are caught up;
- what a daemon takes of a processor while nothing is due, by role;
- what a run costs all daemons together, on top of that, when one job runs on every node at once;
- when the last of these scripts began, from the call of *Run now*;
- the memory of a daemon.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from stage import (
    WITNESS,
    FleetNode,
    GrowingFleet,
    cpu_percent,
    footprint,
    machine,
    say,
    starts,
    wait_for,
)

IDLE_SECONDS = 20.0
CALLS = 5
RUN_SECONDS = 3.0


class ObservedFleet(GrowingFleet):
    """A fleet of three voters that observers join."""

    def is_member(self, node: FleetNode) -> bool:
        """Whether the node is up and caught up, voter or not."""
        try:
            if node.call("GET", "/readyz").status != 200:
                return False
            return bool(node.get(f"/api/v1/nodes/{node.name}?stale=allow")["state"] == "up")
        except (OSError, AssertionError):
            return False


def join(nodes: ObservedFleet, first: int, last: int) -> list[float]:
    """Have observers join; returns the seconds that each took."""
    times = []
    for number in range(first, last):
        begun = time.monotonic()
        nodes.grow(f"o{number:02}", "--role", "observer")
        times.append(time.monotonic() - begun)
    return times


def idle(nodes: ObservedFleet) -> dict[str, float]:
    """Return percent of a processor per daemon, by role."""
    time.sleep(5)
    taken = dict(
        zip([n.name for n in nodes.nodes], cpu_percent(nodes.nodes, IDLE_SECONDS), strict=True)
    )
    by_role: dict[str, list[float]] = {}
    for name, role in nodes.roles().items():
        by_role.setdefault(role, []).append(taken[name])
    return {role: statistics.mean(each) for role, each in by_role.items()}


def run_everywhere(nodes: ObservedFleet, witness: Path, idle_percent: float) -> tuple[float, float]:
    """Run on every node; returns milliseconds of all daemons per run, and to the last start."""
    spent, lasts = 0.0, []
    for call in range(CALLS):
        before = sum(footprint(node.process.pid).cpu_seconds for node in nodes.nodes)
        begun, mark = time.time(), f"call{call}-{len(nodes.nodes)}"
        nodes.leader().post("/api/v1/jobs/everywhere/run", {"environment": {"N": mark}})
        time.sleep(RUN_SECONDS)
        wait_for(lambda mark=mark: len(_of(witness, mark)) == len(nodes.nodes), 60, "all to run")
        time.sleep(1)
        after = sum(footprint(node.process.pid).cpu_seconds for node in nodes.nodes)
        spent += after - before - idle_percent / 100 * (time.time() - begun)
        lasts.append(max(_of(witness, mark)) - begun)
    return 1000 * spent / CALLS / len(nodes.nodes), 1000 * statistics.median(lasts)


def _of(witness: Path, mark: str) -> list[float]:
    return [start.at for start in starts(witness) if start.mark == mark]


def look(nodes: ObservedFleet, joined: list[float]) -> None:
    """Print what it costs with so many nodes."""
    by_role = idle(nodes)
    roles = list(nodes.roles().values())
    total = sum(by_role[role] for role in roles)
    each, last = run_everywhere(nodes, nodes.directory / "witness", total)
    own = statistics.mean(footprint(node.process.pid).own_mib for node in nodes.nodes)
    took = f"{statistics.median(joined):.1f} s (longest {max(joined):.1f})" if joined else "-"
    told = ", ".join(f"{role} {percent:.2f} %" for role, percent in by_role.items())
    say(
        f"{len(nodes.nodes):>3} nodes: join {took}; idle {told}, all {total:.0f} %;"
        f" {each:.2f} ms per run; last start after {last:.0f} ms; {own:.0f} MiB"
    )


def main() -> None:
    """Grow, look, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--observers", type=int, default=27)
    parser.add_argument("--steps", type=int, default=3)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="croncord-bench-") as place:
        Path(place).chmod(0o755)
        say(f"observers ({machine()})")
        with ObservedFleet(Path(place)) as nodes:
            for name in ("n2", "n3"):
                nodes.grow(name)
            job = {
                "name": "everywhere",
                "schedule": "@manual",
                "overlap": "allow",
                "script": WITNESS % (nodes.directory / "witness"),
                "target": {"every_node": True},
            }
            nodes.leader().post("/api/v1/jobs", job)
            look(nodes, [])
            for step in range(wanted.steps):
                share = (
                    wanted.observers * step // wanted.steps,
                    wanted.observers * (step + 1) // wanted.steps,
                )
                look(nodes, join(nodes, *share))


if __name__ == "__main__":
    main()
