"""A large state: what snapshot, restart, joining and transfer cost, and whether heartbeats go on.

    python tests/soak/raft_large_state.py --jobs 100000

Three node processes on loopback hold many jobs while commands go on at a steady rate. For each
phase this prints how long it took and the longest silence of the leader as the other nodes'
engines saw it. Exit status 1 when an election was called that nobody asked for, when a command of
the load was not confirmed or when the states differ at the end.
"""

# ruff: noqa: T201 - a tool talks to people on standard output

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "unit" / "raft"))

from raft_group import Member, free_port, group

PER_SECOND = 50


class Trial:
    """The group, and what is measured about it."""

    def __init__(self, nodes: dict[str, Member], directory: Path) -> None:
        self.nodes, self.directory = nodes, directory
        self.stopping = False
        self.confirmed, self.slowest = 0, 0.0
        self.refused: list[dict[str, Any]] = []

    async def keep_putting(self, node: Member) -> None:
        """Put jobs at a steady rate, each after the answer to the one before."""
        number = 0
        while not self.stopping:
            begin = time.monotonic()
            answer = await node.ask("put", 60, id=f"job-{number % 1000}")
            self.slowest = max(self.slowest, time.monotonic() - begin)
            if answer["ok"]:
                self.confirmed += 1
            else:
                self.refused.append(answer)
            number += 1
            await asyncio.sleep(max(begin + 1 / PER_SECOND - time.monotonic(), 0))

    async def statuses(self) -> dict[str, dict[str, Any]]:
        """Ask everybody; this also resets the longest pauses."""
        return {name: await node.ask("status", 60) for name, node in self.nodes.items()}

    async def phase(self, what: str, doing: Awaitable[object]) -> None:
        """Time something and print the pauses meanwhile."""
        await self.statuses()
        self.slowest, begin = 0.0, time.monotonic()
        await doing
        seconds = time.monotonic() - begin
        await asyncio.sleep(1)
        pauses: Counter = Counter()
        for status in (await self.statuses()).values():
            pauses |= Counter(status["pauses"])
        print(
            f"{what:44} {seconds:6.2f} s, longest silence of the leader "
            f"{pauses['silence'] * 1e3:4.0f} ms, longest sync {pauses['sync'] * 1e3:4.0f} ms, "
            f"slowest command {self.slowest * 1e3:4.0f} ms, load average {os.getloadavg()[0]:.1f}",
            flush=True,
        )

    async def by_role(self) -> tuple[Member, Member]:
        """Return the leader and another node."""
        leader = next(n for n, s in (await self.statuses()).items() if s["role"] == "leader")
        other = next(name for name in self.nodes if name != leader)
        return self.nodes[leader], self.nodes[other]

    async def snapshot(self, node: Member) -> None:
        """Have a snapshot written and wait for its file."""
        path = self.directory / node.name / "raft" / "snapshot"
        before = path.stat().st_mtime_ns if path.exists() else 0
        await node.ask("snapshot", 60)
        while not path.exists() or path.stat().st_mtime_ns == before:
            await asyncio.sleep(0.02)

    async def restart(self, node: Member) -> None:
        """Kill and start a node; wait until it can answer a linearizable read."""
        await node.kill()
        await node.start()
        assert await node.ready
        await self.until_level(node)

    async def join(self, node: Member) -> None:
        """Start a fresh node that joins; wait until it can answer a linearizable read."""
        await node.start("join")
        assert await node.ready
        self.nodes[node.name] = node
        await self.until_level(node)

    @staticmethod
    async def until_level(node: Member) -> None:
        while not (await node.ask("barrier", 60, jobs=False))["ok"]:
            await asyncio.sleep(0.02)


async def run(jobs: int, directory: Path) -> int:
    """Run all phases; returns the exit status."""
    async with group(directory) as nodes:
        trial = Trial(nodes, directory)
        for node in nodes.values():
            await trial.until_level(node)
        leader, other = await trial.by_role()
        await trial.phase(f"{jobs} jobs created", leader.ask("fill", 3600, count=jobs))
        term = (await leader.ask("status"))["term"]
        load = asyncio.create_task(trial.keep_putting(leader))
        await trial.phase(f"{PER_SECOND} commands per second, nothing else", asyncio.sleep(10))
        await trial.phase("snapshot by the leader", trial.snapshot(leader))
        await trial.phase("snapshot by another node", trial.snapshot(other))
        await trial.phase("kill -9 and restart of another node", trial.restart(other))
        members = {node: other._members[node] for node in nodes}
        fresh = Member("dan", directory, {**members, "dan": f"127.0.0.1:{free_port()}"})
        await trial.phase("a fresh node joins", trial.join(fresh))
        calm = (await leader.ask("status"))["term"] == term
        await trial.phase("leadership transfer", leader.ask("transfer", 60))
        after = (await leader.ask("status"))["term"]
        trial.stopping = True
        await load
        states = [await node.ask("barrier", 120, jobs=False) for node in nodes.values()]
    same = len({state["digest"] for state in states}) == 1
    print(f"elections nobody asked for: {after - term - 1}; states equal: {same}")
    print(f"{trial.confirmed} commands confirmed meanwhile, not confirmed: {trial.refused or 0}")
    return 0 if calm and same and after == term + 1 and not trial.refused else 1


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="croncord-raft-large-") as directory:
        return asyncio.run(run(options.jobs, Path(directory)))


if __name__ == "__main__":
    sys.exit(main())
