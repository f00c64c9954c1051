"""What the programs of this directory share: real nodes, quick calls, witnesses, and figures.

The nodes are those of the tests (`tests/fleet.py`). Scripts are their own witnesses: their first
act is to note the time by their own clock, so nothing that CronCord says about itself is believed.
"""

import contextlib
import http.client
import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

# Found by the line above.
from fleet import TOKEN, Fleet, FleetNode, wait_for
from growing_fleet import GrowingFleet

__all__ = ["Fleet", "FleetNode", "GrowingFleet", "wait_for"]

TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
WITNESS = 'echo "$EPOCHREALTIME ${CRONCORD_NOMINAL_TIME:-$1} $CRONCORD_JOB $N" >> %s\n'
"""A script whose first act is to note the time."""


@contextlib.contextmanager
def fleet(count: int = 3, *arguments: str) -> Iterator[Fleet]:
    """Start a cluster in a temporary directory; end and remove it afterwards."""
    with tempfile.TemporaryDirectory(prefix="croncord-bench-") as place:
        Path(place).chmod(0o755)
        with Fleet(Path(place), count, *arguments) as nodes:
            yield nodes


class Client:
    """One kept-alive connection to one node, as a browser or a program has."""

    def __init__(self, node: FleetNode) -> None:
        self._host = node.url.removeprefix("http://")
        self._connection = http.client.HTTPConnection(self._host, timeout=60)
        self._headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}

    def raw(self, method: str, path: str, body: object = None) -> bytes:
        """Ask, and return the body of an answer that is not an error."""
        data = None if body is None else json.dumps(body).encode()
        try:
            self._connection.request(method, path, data, self._headers)
        except OSError:  # it was idle for long; the next one is opened by itself
            self._connection.close()
            self._connection.request(method, path, data, self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status >= 400:
            message = f"{method} {path}: {answer.status} {content[:300]!r}"
            raise RuntimeError(message)
        return content

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Ask, and return the JSON."""
        return json.loads(self.raw(method, path, body) or b"null")


def each_at_once(node: FleetNode, at_once: int, deeds: Sequence[Any], do: Callable) -> None:
    """Have `do(client, deed)` done for all deeds by so many connections."""
    shares = [deeds[start::at_once] for start in range(at_once)]

    def work(share: Sequence[Any]) -> None:
        client = Client(node)
        for deed in share:
            do(client, deed)

    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(work, shares))


class Start(NamedTuple):
    """A line of a witness: when a script began by its own clock, and for which instant."""

    at: float
    nominal: float
    job: str
    mark: str

    @property
    def late_ms(self) -> float:
        """Milliseconds after the nominal instant."""
        return 1000 * (self.at - self.nominal)


def starts(witness: Path) -> list[Start]:
    """Read what the scripts noted so far, whole lines only."""
    text = witness.read_text() if witness.exists() else ""
    found = []
    for line in text[: text.rfind("\n") + 1].splitlines():
        at, nominal, job, mark = (*line.split(" "), "", "")[:4]
        found.append(Start(float(at), _epoch(nominal), job, mark))
    return found


def _epoch(nominal: str) -> float:
    if nominal.replace(".", "").isdigit():
        return float(nominal)
    return datetime.fromisoformat(nominal).timestamp() if nominal else math.nan


def one_tick_a_second(node: FleetNode, witness: Path) -> None:
    """Create ten jobs that are due every ten seconds, one of them each second."""
    for second in range(10):
        fields = {
            "name": f"tick-{second}",
            "schedule": f"{second}/10 * * * * *",
            "script": WITNESS % witness,
            "retention": {"runs": 100_000},
        }
        node.post("/api/v1/jobs", fields)


def table_of_jobs(node: FleetNode, count: int, *, at_once: int = 16) -> float:
    """Create so many daily jobs over some connections; returns seconds."""

    def create(client: Client, number: int) -> None:
        client.raw("POST", "/api/v1/jobs", daily_job(number))

    begun = time.perf_counter()
    each_at_once(node, at_once, range(count), create)
    return time.perf_counter() - begun


def daily_job(number: int) -> dict[str, Any]:
    """Return a job that is due once a day and not within the next hours."""
    hour = (datetime.now(UTC).hour + 6 + number % 12) % 24
    return {
        "name": f"daily-{number:06}",
        "description": f"backup of machine {number}",
        "schedule": f"{number % 60} {hour} * * *",
        "script": f"rsync -a /srv/data-{number}/ backup:/srv/data-{number}/\n",
        "tags": ["backup", f"rack-{number % 40}"],
    }


class Footprint(NamedTuple):
    """What a process has taken so far."""

    cpu_seconds: float
    own_mib: float
    """Memory of its own."""
    mapped_mib: float
    """Pages of its files that are in memory; the machine takes them back when it needs them."""
    descriptors: int


def footprint(pid: int) -> Footprint:
    """Look up a process; processor time is without that of children."""
    place = Path(f"/proc/{pid}")
    fields = (place / "stat").read_text().rpartition(")")[2].split()
    status = dict(line.split(":", 1) for line in (place / "status").read_text().splitlines())
    return Footprint(
        (int(fields[11]) + int(fields[12])) * TICK_SECONDS,
        int(status["RssAnon"].split()[0]) / 1024,
        int(status["RssFile"].split()[0]) / 1024,
        len(list((place / "fd").iterdir())),
    )


def cpu_percent(nodes: Sequence[FleetNode], seconds: float) -> list[float]:
    """Let time pass, and return how much of one processor each daemon took meanwhile."""
    pids = [node.process.pid for node in nodes]
    before, begun = [footprint(pid).cpu_seconds for pid in pids], time.monotonic()
    time.sleep(seconds)
    passed = time.monotonic() - begun
    return [
        100 * (footprint(pid).cpu_seconds - then) / passed
        for pid, then in zip(pids, before, strict=True)
    ]


def say(text: str = "") -> None:
    print(text, flush=True)


def heading(what: str, unit: str = "ms") -> None:
    """Print the columns of `tell`."""
    say(f"{what:<52} {'n':>6} {'p50':>9} {'p90':>9} {'p99':>9} {'longest':>9}  {unit}")


def tell(what: str, values: Sequence[float], note: str = "") -> None:
    """Print one line: how many, the middle, the spread."""
    if not values:
        say(f"{what:<52} {0:>6}  none")
        return
    told = [statistics.median(values), share(values, 0.9), share(values, 0.99), max(values)]
    say(
        f"{what:<52} {len(values):>6} " + " ".join(f"{value:>9.2f}" for value in told) + f"  {note}"
    )


def share(values: Sequence[float], part: float) -> float:
    """Return the value that `part` of all do not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(part * len(values)) - 1)]


def machine() -> str:
    """Say on what it is measured, and what else goes on."""
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} processors, load average {load:.1f}, niceness {os.nice(0)}"
