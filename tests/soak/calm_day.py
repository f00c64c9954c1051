"""A calm day of a simulated cluster: does anything grow that should not?

    python tests/soak/calm_day.py [--hours 24] [--jobs 20]

Three simulated nodes run the real planner, dispatcher, agent, reporter and state with jobs that are due
every one to twenty minutes. Once an hour all objects are counted that a node's parts can reach: what
is bounded (rows per job, notes, the log up to the next snapshot) levels off, what leaks goes on growing.
The ledger is left out: it is meant to grow, on disk, and has its own retention; and so are the ids of
applied requests, of which 65,536 are kept.
Exit status 1 when the last quarter of the day holds a tenth more than the quarter before.
"""

# ruff: noqa: T201 - a tool talks to people on standard output

import argparse
import asyncio
import gc
import statistics
import sys
import time
import types
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "simulation"))

from cluster_loop import simulate
from cluster_world import SimulatedNode, World

from croncord.model import JobSpec
from croncord.raft.commands import PutJob
from croncord.raft.requests import AppliedRequests
from croncord.ticks import first_undecided

PERIODS_MINUTES = (1, 2, 5, 10, 20)


async def day(hours: int, jobs: int) -> list[int]:
    """Let the time pass; returns how many objects a node holds after each hour."""
    world = World(seed=1)
    await world.begin()
    for number in range(jobs):
        await _create(world, number)
    held = []
    began = time.monotonic()
    for hour in range(1, hours + 1):
        await asyncio.sleep(3600)
        world.check_broken()
        held.append(max(objects(node, world) for node in world.nodes.values()))
        # The world's own account of what happened is for other tests.
        world.account.applied.clear()
        world.account.entries.clear()
        runs = len(world.witnesses)
        rows = len(world.account.state.open_runs)
        print(
            f"{hour:>3} h: {held[-1]:>8,} objects in the largest node; {runs:,} runs began,"
            f" {rows} open ({time.monotonic() - began:.0f} s)",
            flush=True,
        )
    return held


async def _create(world: World, number: int) -> None:
    name = f"job-{number}"
    period = PERIODS_MINUTES[number % len(PERIODS_MINUTES)]
    spec = JobSpec(name=name, script="play 5 2 0", schedule=(f"{number} */{period} * * * *",))
    node = next(iter(world.nodes.values()))
    due = first_undecided(spec, None, name, world.instant())
    command = PutJob(at=world.instant(), by="user:ada", job_id=name, spec=spec, next_due=due)
    await node.life.spawn(node.member.propose(command, timeout_seconds=30))


def objects(node: SimulatedNode, world: World) -> int:
    """Count what the node's parts reach, without the world around them and the ledger."""
    gc.collect()
    loop = asyncio.get_running_loop()
    around = (world, world.network, world.account, world.nodes, loop, node.ledger, node.rows)
    seen = {id(each) for each in (*around, *world.nodes.values(), *vars(loop).values())}
    seen |= {id(other.member) for other in world.nodes.values() if other is not node}
    heap = [node.member, node.disk, node.book, node.dispatcher, node.agent, node.journal]
    heap += [node.machine.parts, node.machine.notes]
    count = 0
    skipped = (
        AppliedRequests,
        types.ModuleType,
        type,
        types.FunctionType,
        types.FrameType,
        asyncio.AbstractEventLoop,
    )
    while heap:
        one = heap.pop()
        if id(one) in seen or isinstance(one, skipped):
            continue
        seen.add(id(one))
        count += 1
        heap += gc.get_referents(one)
    return count


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hours", type=int, default=24, help="at least 4")
    parser.add_argument("--jobs", type=int, default=20)
    options = parser.parse_args()
    held = simulate(day(options.hours, options.jobs))
    quarter = max(1, len(held) // 4)
    last, before = (
        statistics.mean(part) for part in (held[-quarter:], held[-2 * quarter : -quarter])
    )
    print(f"last quarter {last:,.0f} objects, the one before {before:,.0f}: {last / before:.3f}")
    return 1 if last > 1.1 * before else 0


if __name__ == "__main__":
    sys.exit(main())
