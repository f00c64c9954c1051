"""How long pages and lists take while a burst runs.

    python benchmarks/cluster/pages.py [--jobs 10000] [--seconds 20] [--burst 300]

Three real nodes with so many jobs. Ten connections ask 50 times a second in all, in turn: a page of
100 jobs from the API, the page of a run, the overview, the list of jobs as a page, the last runs
from the API. They are sent at fixed instants whether or not earlier ones were answered, and a time
counts from that instant, so waiting in line is part of it. The first part is without other work; in
the second so many trivial jobs become due at once, again and again, as soon as the last lot ended.
The figures are of one follower, which answers from a state as new as the leader's. First it is
asked for one after another: then processor time is what all daemons took for it, beside doing nothing,
and that is the figure to look at on a machine with other work.
"""

import argparse
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

from stage import (
    Client,
    Fleet,
    FleetNode,
    cpu_percent,
    fleet,
    footprint,
    heading,
    machine,
    say,
    table_of_jobs,
    tell,
)

PER_SECOND = 50
CONNECTIONS = 10
ONE_AFTER_ANOTHER = 40


def ask(node: FleetNode, paths: dict[str, str], seconds: float) -> dict[str, list[float]]:
    """Ask at fixed instants; returns milliseconds by what was asked for."""
    names, times, lock = list(paths), defaultdict(list), threading.Lock()
    begun = time.perf_counter() + 0.2

    def work(first: int) -> None:
        client = Client(node)
        for number in range(first, int(seconds * PER_SECOND), CONNECTIONS):
            due = begun + number / PER_SECOND
            time.sleep(max(0.0, due - time.perf_counter()))
            # In turn within a connection too, as ten is a multiple of the number of paths.
            name = names[(number + number // CONNECTIONS) % len(names)]
            client.raw("GET", paths[name])
            with lock:
                times[name].append(1000 * (time.perf_counter() - due))

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(work, range(CONNECTIONS)))
    return times


def one_after_another(nodes: Fleet, node: FleetNode, paths: dict[str, str]) -> None:
    """Print what each costs by itself."""
    client = Client(node)
    idle = sum(cpu_percent(nodes.nodes, 5)) / 100
    heading("one after another, a follower asked")
    for name, path in paths.items():
        client.raw("GET", path)
        times, before = [], taken(nodes)
        for _ in range(ONE_AFTER_ANOTHER):
            begun = time.perf_counter()
            client.raw("GET", path)
            times.append(1000 * (time.perf_counter() - begun))
        own = taken(nodes) - before - idle * sum(times) / 1000
        tell(name, times, f"processor {1000 * own / len(times):.1f} ms each")


def taken(nodes: Fleet) -> float:
    """Processor seconds of all daemons so far."""
    return sum(footprint(node.process.pid).cpu_seconds for node in nodes.nodes)


def burst(nodes: Fleet, count: int, stop: threading.Event, done: list[int]) -> None:
    """Start one job so often at once, and again when all have ended."""
    client = Client(nodes.leader())
    while not stop.is_set():
        for _ in range(count):
            client.raw("POST", "/api/v1/jobs/quick/run", {})
        while client.call("GET", "/api/v1/runs?state=pending&limit=1")["items"]:
            time.sleep(0.2)
        done.append(count)


def main() -> None:
    """Fill, ask, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--burst", type=int, default=300)
    wanted = parser.parse_args()
    with fleet() as nodes:
        leader, asked = nodes.leader(), nodes.followers()[0]
        table_of_jobs(leader, wanted.jobs)
        quick = {"name": "quick", "schedule": "@manual", "script": "true\n", "overlap": "allow"}
        leader.post("/api/v1/jobs", quick)
        leader.post("/api/v1/jobs", quick | {"name": "seen", "script": "seq 200\n"})
        run = leader.post("/api/v1/jobs/seen/run")
        nodes.wait_run(run["id"])
        paths = {
            "GET /api/v1/jobs, page of 100": "/api/v1/jobs?limit=100",
            "page of a run": f"/runs/{run['id']}",
            "overview": "/",
            "page of jobs": "/jobs",
            "GET /api/v1/runs, page of 100": "/api/v1/runs?limit=100",
        }
        one_after_another(nodes, asked, paths)
        calm = ask(asked, paths, wanted.seconds)
        stop, done = threading.Event(), []
        bursting = threading.Thread(target=burst, args=(nodes, wanted.burst, stop, done))
        bursting.start()
        busy = ask(asked, paths, wanted.seconds)
        stop.set()
        bursting.join()
        heading(f"{wanted.jobs} jobs ({machine()})")
        for name, times in calm.items():
            tell(f"{name}, calm", times)
        for name, times in busy.items():
            tell(f"{name}, in a burst", times)
        say(f"runs meanwhile: about {sum(done)}")


if __name__ == "__main__":
    main()
