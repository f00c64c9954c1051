"""Many jobs in the table: creating them, the memory they take, an idle node, a new leader.

    python benchmarks/cluster/job_table.py [JOBS ...]

Three real nodes. For each size (1000 and 10000; 100000 takes some minutes) the table is filled up
to it, with daily jobs that are not due meanwhile. Then:

- created in bulk: how many a second, 16 connections at once, each job agreed and durable;
- one by one: milliseconds of each creation on one kept-alive connection, one after another;
- memory of each daemon's own, per job more than with none, and pages of its files in memory;
- the share of a processor that each daemon takes when nothing is due;
- the leader is killed while one tick a second is due: seconds from the kill to the first decision
  of the next leader, beside the same with an empty table.
"""

import argparse
import statistics
import time
from datetime import datetime

from stage import (
    Client,
    Fleet,
    cpu_percent,
    daily_job,
    each_at_once,
    fleet,
    footprint,
    heading,
    machine,
    one_tick_a_second,
    say,
    tell,
)

AT_ONCE = 16
ONE_BY_ONE = 300
KILLS = 5
IDLE_SECONDS = 30


def memory(nodes: Fleet) -> tuple[float, float]:
    """Mebibytes that a daemon has of its own, and of files, on average."""
    found = [footprint(node.process.pid) for node in nodes.nodes]
    return statistics.mean(f.own_mib for f in found), statistics.mean(f.mapped_mib for f in found)


def fill(nodes: Fleet, first: int, last: int) -> float:
    """Create jobs over many connections to the leader; returns how many a second."""

    def create(client: Client, number: int) -> None:
        client.raw("POST", "/api/v1/jobs", daily_job(number))

    begun = time.perf_counter()
    each_at_once(nodes.leader(), AT_ONCE, range(first, last), create)
    return (last - first) / (time.perf_counter() - begun)


def one_by_one(nodes: Fleet, mark: int) -> list[float]:
    """Create and delete jobs one after another; returns milliseconds per creation."""
    client, times = Client(nodes.leader()), []
    for number in range(ONE_BY_ONE):
        job = daily_job(number) | {"name": f"single-{mark}-{number}"}
        begun = time.perf_counter()
        client.raw("POST", "/api/v1/jobs", job)
        times.append(1000 * (time.perf_counter() - begun))
    for number in range(ONE_BY_ONE):
        client.raw("DELETE", f"/api/v1/jobs/single-{mark}-{number}")
    return times


def first_decisions(nodes: Fleet, kills: int) -> list[float]:
    """Kill leaders; returns seconds from each kill to the first decision of the next one."""
    found = []
    one_tick_a_second(nodes.leader(), nodes.directory / "witness")
    for _ in range(kills):
        leader = nodes.leader()
        term = leader.get("/api/v1/cluster")["term"]
        time.sleep(2)
        killed = time.time()
        leader.kill()
        time.sleep(4)
        rows = nodes.leader().get("/api/v1/runs?limit=50")["items"]
        decided = [
            datetime.fromisoformat(row["decided_at"]).timestamp()
            for row in rows
            if row["decided_term"] > term
        ]
        found.append(min(decided) - killed)
        leader.start()
        nodes.wait_ready()
    for second in range(10):
        nodes.leader().call("DELETE", f"/api/v1/jobs/tick-{second}")
    return found


def idle(nodes: Fleet) -> None:
    """Print what daemons take when nothing is due."""
    time.sleep(10)
    taken = cpu_percent(nodes.nodes, IDLE_SECONDS)
    say(" " * 13 + "processor when idle: " + ", ".join(f"{one:.2f} %" for one in taken))


def main() -> None:
    """Fill, look, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("jobs", nargs="*", type=int, default=[1000, 10_000])
    sizes = parser.parse_args().jobs
    with fleet() as nodes:
        say(f"three nodes ({machine()})")
        time.sleep(5)
        (own, mapped), before = memory(nodes), 0
        say(f"{0:>7} jobs: {own:.0f} MiB a daemon and {mapped:.0f} MiB of files")
        idle(nodes)
        kills = {0: first_decisions(nodes, KILLS)}
        times = {}
        empty = memory(nodes)[0]
        for size in sizes:
            rate = fill(nodes, before, size)
            before = size
            times[size] = one_by_one(nodes, size)
            time.sleep(5)
            own, mapped = memory(nodes)
            say(
                f"{size:>7} jobs: {rate:.0f} created a second in bulk; {own:.0f} MiB a daemon,"
                f" {(own - empty) * 2**20 / size:.0f} bytes a job, and {mapped:.0f} MiB of files"
            )
            idle(nodes)
            kills[size] = first_decisions(nodes, KILLS)
        heading("create one by one")
        for size, found in times.items():
            tell(f"with {size} jobs", found, f"{1000 / statistics.mean(found):.0f} a second")
        heading("leader killed, to the first decision of the next", "s")
        for size, found in kills.items():
            tell(f"with {size} jobs", found)


if __name__ == "__main__":
    main()
