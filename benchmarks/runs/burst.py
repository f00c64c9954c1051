"""Many trivial jobs due in the same second: how fast they start, and what they cost.

    python benchmarks/runs/burst.py [COUNT] [--nodes N]

Starts a cluster of real nodes on loopback in a temporary directory, gives it COUNT jobs (1000) that
print nothing and are due at one instant, and waits for all. Beside it, in the same process and just
before, what the bare machine needs to spawn as many `bash -c :`, as many at once as it has
processors. The table gives per run:

- daemons: processor time of all nodes, of which the leader; with everything they do for a run
  (decide, agree, claim, store output, keep the ledger), and what they spend in that time anyhow;
- runner processes: the zygotes that fork shims;
- shims and scripts together, as the kernel charges them to the zygotes;
- the time from the instant that all were due to the last start, and the rate between the start of
  the first and the last tenth of them.
"""

# A program to be read and run by people: it prints, and starts what it measures.

import argparse
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from croncord.node.group_home import remove_home

TOKEN = "benchmark-token-0123456789"  # noqa: S105  of a cluster that lives for a minute
TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
LEAD_SECONDS = 8.0
"""Between the creation of the last job and the instant at which all are due."""


class Spent(NamedTuple):
    """Processor seconds of one node's daemon, of its zygote, and of all that the zygote forked."""

    daemon: float
    zygote: float
    shims: float

    def since(self, before: "Spent") -> "Spent":
        """Return what was spent since an earlier look."""
        return Spent(*(now - then for now, then in zip(self, before, strict=True)))


class Node:
    """One `croncord serve` process."""

    def __init__(self, place: Path, name: str, ports: tuple[int, int], common: list[str]) -> None:
        self.name = name
        self.url = f"http://127.0.0.1:{ports[0]}"
        self.data = place / name
        command = [sys.executable, "-m", "croncord", "serve", *common, "--name", name]
        command += ["--data-dir", str(self.data), "--http", f"127.0.0.1:{ports[0]}"]
        command += ["--raft", f"127.0.0.1:{ports[1]}", "--log-level", "warning"]
        with (place / f"{name}.log").open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Ask over HTTP; returns the JSON."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method)  # noqa: S310
        request.add_header("Authorization", f"Bearer {TOKEN}")
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.loads(answer.read())

    def spent(self) -> Spent:
        """Look up what it has spent so far."""
        daemon = _times(self.process.pid)
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        zygote = next((int(pid) for pid in children.split() if _is_zygote(int(pid))), None)
        own = _times(zygote) if zygote else (0.0, 0.0)
        return Spent(daemon[0], own[0], own[1])


class Result(NamedTuple):
    """What a burst did."""

    spent: dict[str, Spent]
    idle_seconds: float
    """Processor time that the daemons would have spent in that time without a run."""
    leader: str
    last_start_seconds: float
    all_ended_seconds: float
    per_second: float
    scripts_cpu_seconds: float
    states: dict[str, int]


def _times(pid: int) -> tuple[float, float]:
    """Return processor seconds of a process, and of the children it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own, children = (int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14]))
    return own * TICK_SECONDS, children * TICK_SECONDS


def _is_zygote(pid: int) -> bool:
    return b"zygote.py" in Path(f"/proc/{pid}/cmdline").read_bytes()


def bare(count: int) -> tuple[float, float]:
    """Spawn `bash -c :` so often; returns seconds and processor seconds."""

    def once(_number: int) -> None:
        pid = os.posix_spawn("/bin/bash", ["bash", "-c", ":"], os.environ)
        os.waitpid(pid, 0)

    before = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    started = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(once, range(count)))
    seconds = time.perf_counter() - started
    return seconds, sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - before


def start(place: Path, count: int) -> list[Node]:
    """Start a cluster and wait until it is ready."""
    for name, content in (("token", TOKEN), ("secret", "a secret for a benchmark, 32 chars")):
        (place / name).write_text(content)
        (place / name).chmod(0o600)
    ports = _free_ports(2 * count)
    pairs = [(ports[2 * index], ports[2 * index + 1]) for index in range(count)]
    common = ["--bootstrap-token-file", str(place / "token")]
    if count > 1:
        common += ["--secret-file", str(place / "secret")]
        for index, (http, raft) in enumerate(pairs, 1):
            common += ["--peer", f"n{index}=127.0.0.1:{raft},http://127.0.0.1:{http}"]
    nodes = [Node(place, f"n{index}", pair, common) for index, pair in enumerate(pairs, 1)]
    for node in nodes:
        _wait_ready(node)
    return nodes


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _wait_ready(node: Node) -> None:
    while node.process.poll() is None:
        try:
            node.call("GET", "/readyz")
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
        else:
            return
    message = f"{node.name} did not start"
    raise SystemExit(message)


def burst(nodes: list[Node], count: int) -> Result:
    """Have so many jobs run at one instant and wait for all."""
    door = nodes[0]
    # Far ahead at first, so that none is due before all are there.
    draft = {"script": "true\n", "schedule": "@at 2099-01-01T00:00:00Z", "tags": ["burst"]}
    with ThreadPoolExecutor(8) as pool:
        names = [f"burst-{number:05}" for number in range(count)]
        list(
            pool.map(lambda name: door.call("POST", "/api/v1/jobs", draft | {"name": name}), names)
        )
        seconds = LEAD_SECONDS + count / 100
        due = (datetime.now(UTC) + timedelta(seconds=seconds)).replace(microsecond=0)
        patch = {"schedule": f"@at {due.isoformat().replace('+00:00', 'Z')}"}
        list(pool.map(lambda name: door.call("PATCH", f"/api/v1/jobs/{name}", patch), names))
    time.sleep(1)  # what follows from the creation
    idle, begun = _spent(nodes), time.monotonic()
    time.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds() - 2))
    leader = door.call("GET", "/api/v1/cluster")["leader"]
    before = _spent(nodes)
    idle_share = sum(after.since(idle[name]).daemon for name, after in before.items()) / (
        time.monotonic() - begun
    )
    begun = time.monotonic()
    runs = _wait_runs(door, count)
    time.sleep(1)  # what follows a run: ledgers, directories
    spent = {name: after.since(before[name]) for name, after in _spent(nodes).items()}
    idle_seconds = idle_share * (time.monotonic() - begun)
    starts = sorted(_seconds(run["started_at"], due) for run in runs if run["started_at"])
    ends = sorted(_seconds(run["finished_at"], due) for run in runs if run["finished_at"])
    tenth = len(starts) // 10
    states: dict[str, int] = {}
    for run in runs:
        states[run["state"]] = states.get(run["state"], 0) + 1
    return Result(
        spent,
        idle_seconds,
        leader,
        starts[-1],
        ends[-1],
        (len(starts) - 2 * tenth) / max(0.001, starts[-tenth - 1] - starts[tenth]),
        sum(run["cpu_seconds"] or 0 for run in runs),
        states,
    )


def _wait_runs(door: Node, count: int) -> list[dict[str, Any]]:
    """Wait until all have ended, asking little: what is asked is paid by the daemons."""
    time.sleep(3)
    for state in ("pending", "running"):
        while door.call("GET", f"/api/v1/runs?state={state}&limit=1")["items"]:
            time.sleep(1)
    runs: list[dict[str, Any]] = []
    cursor = ""
    while len(runs) < count and cursor is not None:
        page = door.call("GET", f"/api/v1/runs?limit=500&cursor={cursor}")
        runs += page["items"]
        cursor = page["next_cursor"]
    return runs


def _spent(nodes: list[Node]) -> dict[str, Spent]:
    return {node.name: node.spent() for node in nodes}


def _seconds(instant: str, since: datetime) -> float:
    return (datetime.fromisoformat(instant) - since).total_seconds()


def show(count: int, bare_seconds: float, bare_cpu: float, result: Result) -> None:
    """Print the table."""
    spent = result.spent
    daemons = sum(one.daemon for one in spent.values())
    rows = [
        ("bare: bash -c :", bare_cpu),
        ("daemons, all nodes", daemons),
        ("  of which the leader", spent[result.leader].daemon),
        ("  of which they spend idle", result.idle_seconds),
        ("runner processes (zygotes)", sum(one.zygote for one in spent.values())),
        ("shims and scripts", sum(one.shims for one in spent.values())),
        ("  of which scripts", result.scripts_cpu_seconds),
    ]
    print(f"{count} jobs due at once on {len(spent)} nodes; {result.states}")
    print(f"{'processor time':34}{'ms/run':>9}{'ratio':>8}")
    for name, seconds in rows:
        print(f"{name:34}{seconds / count * 1000:9.2f}{seconds / bare_cpu:8.2f}")
    print(f"{'wall time':34}{'s':>9}{'ratio':>8}")
    for name, seconds in (
        ("bare: bash -c :", bare_seconds),
        ("due to last start", result.last_start_seconds),
        ("due to last end", result.all_ended_seconds),
    ):
        print(f"{name:34}{seconds:9.2f}{seconds / bare_seconds:8.2f}")
    bare_rate = count / bare_seconds
    print(f"{'runs per second':34}{'':9}{'ratio':>8}")
    print(f"{'bare: bash -c :':34}{bare_rate:9.0f}{1:8.2f}")
    rate = result.per_second
    print(f"{'from first to last tenth':34}{rate:9.0f}{rate / bare_rate:8.2f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("count", nargs="?", type=int, default=1000)
    parser.add_argument("--nodes", type=int, default=3)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        nodes = start(place, wanted.nodes)
        try:
            bare_seconds, bare_cpu = bare(wanted.count)
            result = burst(nodes, wanted.count)
        finally:
            for node in nodes:
                node.process.terminate()
            for node in nodes:
                node.process.wait(30)
                remove_home(node.data / "runs")
        show(wanted.count, bare_seconds, bare_cpu, result)


if __name__ == "__main__":
    main()
