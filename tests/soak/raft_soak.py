"""An hour of steady commands on two busy cores: does anybody call an election for nothing?

    python tests/soak/raft_soak.py --minutes 60

Three node processes on loopback (journal synced, connections sealed) agree on commands proposed on
all of them at a steady rate, while burners keep every core busy. Nothing is killed, so the first
leader must lead to the end. Prints a line per minute and a verdict; exit status 1 when the term
changed, when a command was not confirmed or when the states differ at the end.
"""

# ruff: noqa: T201 - a tool talks to people on standard output

import argparse
import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "unit" / "raft"))

from raft_group import agree, group

SAMPLE_SECONDS = 0.5
REPORT_SECONDS = 60
IN_FLIGHT = 16


@contextlib.contextmanager
def burners(count: int, niceness: int) -> Iterator[None]:
    """Keep the cores busy with processes that only compute."""
    processes = [
        subprocess.Popen(
            ["nice", "-n", str(niceness), sys.executable, "-c", "while True: sum(range(10000))"]
        )
        for _ in range(count)
    ]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


class Cores:
    """How busy all cores were since last asked, from /proc/stat."""

    def __init__(self) -> None:
        self._last = self._read()

    @staticmethod
    def _read() -> tuple[int, int]:
        times = [int(n) for n in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return sum(times), times[3] + times[4]

    def busy(self) -> float:
        """Return the share of time that was not idle."""
        (total, idle), (total_before, idle_before) = self._read(), self._last
        self._last = total, idle
        return 1 - (idle - idle_before) / max(total - total_before, 1)


async def watch(nodes, end, report) -> Counter:
    """Sample who leads until the end; returns how often each (leader, term) was seen."""
    seen: Counter = Counter()
    longest: Counter = Counter()
    reported, cores = time.monotonic(), Cores()
    while time.monotonic() < end:
        for node in nodes.values():
            status = await node.ask("status", 30)
            if status["ok"]:
                seen[status["leader"], status["term"]] += 1
                longest |= Counter(status["pauses"])
            elif not node.is_up:
                print(f"{node.name} ended with {node.ended_with}:\n{node.last_words()}", flush=True)
                seen["ended", 0] += 1
                return seen
            else:
                seen["no answer", 0] += 1
        if time.monotonic() - reported > REPORT_SECONDS:
            report(seen, longest, cores.busy())
            reported, longest = time.monotonic(), Counter()
        await asyncio.sleep(SAMPLE_SECONDS)
    return seen


async def run(options: argparse.Namespace, directory: Path) -> int:
    """Run the soak; returns the exit status."""
    begin, busy_shares, longest = time.monotonic(), [], Counter()

    def report(seen: Counter, pauses: Counter, busy: float) -> None:
        nonlocal longest
        longest |= pauses
        busy_shares.append(busy)
        print(
            f"{(time.monotonic() - begin) / 60:5.1f} min, cores {busy:4.0%} busy, load "
            f"{os.getloadavg()[0]:5.1f}, longest silence of the leader "
            f"{pauses['silence'] * 1e3:4.0f} ms, longest sync {pauses['sync'] * 1e3:4.0f} ms, "
            f"(leader, term) seen: {dict(seen)}",
            flush=True,
        )

    async with group(directory) as nodes:
        for node in nodes.values():
            await node.ask("barrier", 30)
        end = time.monotonic() + 60 * options.minutes
        rate = {"in_flight": IN_FLIGHT, "per_second": options.per_second / len(nodes)}
        seconds = 60 * options.minutes
        loads = [
            asyncio.create_task(node.ask("load", seconds + 60, for_seconds=seconds, **rate))
            for node in nodes.values()
        ]
        seen = await watch(nodes, end, report)
        if ("ended", 0) in seen:
            return 1
        answers = await asyncio.gather(*loads)
        await agree(nodes.values())
    done = sum((Counter(answer.get("done", {})) for answer in answers), Counter())
    terms = {term for _leader, term in seen if term}
    broken = len(terms) != 1 or set(done) != {"ok"} or not all(a["ok"] for a in answers)
    print(f"commands: {dict(done)}, {done['ok'] / seconds:.0f} per second; states are equal")
    print(f"terms seen: {sorted(terms)}, false elections: {len(terms) - 1}")
    if busy_shares:
        print(
            f"cores busy {sum(busy_shares) / len(busy_shares):.1%} of the time "
            f"(least in a minute {min(busy_shares):.0%}), longest silence of the leader "
            f"{longest['silence'] * 1e3:.0f} ms, longest sync {longest['sync'] * 1e3:.0f} ms"
        )
    return 1 if broken else 0


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--per-second", type=float, default=450, help="commands, on all nodes")
    parser.add_argument("--burners", type=int, default=os.cpu_count())
    parser.add_argument("--burners-nice", type=int, default=0)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="croncord-raft-soak-") as directory,
        burners(options.burners, options.burners_nice),
    ):
        return asyncio.run(run(options, Path(directory)))


if __name__ == "__main__":
    sys.exit(main())
