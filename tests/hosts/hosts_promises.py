"""What a cluster promises, held against what its clients were told and what its scripts wrote."""

import time
from collections import Counter, defaultdict
from datetime import datetime
from pathlib import PurePosixPath

from hosts_story import KEYED, WITNESS, Note, Story
from lab import ENDED, Host, wait_for
from soak_jobs import HORIZON_SECONDS, SoakJob, soak_jobs
from soak_verdict import Line, judge, parse_witness

SETTLE_SECONDS = 300
TICKING_PERIODS = {2, 5, 15, 60}
TICKING_JOBS = 10
STATUSES = {0, 200, 201, 202, 204, 409, 502, 503, 504}
"""What a client may be told; 0 is no answer. 404 is asked for apart."""


class Ticking:
    """Jobs that are due by arithmetic, and since when their ticks count."""

    def __init__(self, story: Story) -> None:
        self._story, self._lab = story, story.lab
        self.jobs: dict[str, SoakJob] = {}
        self.born: dict[str, float] = {}
        some = [job for job in soak_jobs(200) if job.period in TICKING_PERIODS]
        for n, job in enumerate(some[:: len(some) // TICKING_JOBS]):
            fields = job.fields(PurePosixPath(WITNESS)) | {"retention": {"runs": 50_000}}
            answer = self._lab.call(
                self._lab.hosts[n % len(self._lab.hosts)], "POST", "/api/v1/jobs", fields
            )
            assert answer.status == 201, answer
            self.jobs[job.name] = job
            # What is due within the moment of its making may count or not.
            created = datetime.fromisoformat(answer.json()["created_at"])
            self.born[job.name] = created.timestamp() + 1.0

    def lines(self) -> list[Line]:
        """Return what the scripts wrote on all hosts."""
        found = []
        for host in self._lab.hosts:
            said = self._lab.ssh(
                host, f"date +%s.%N; cat /proc/uptime; cat {WITNESS} 2>/dev/null; true"
            )
            now, uptime, *lines = said.splitlines()
            found += parse_witness(lines, boot=float(now) - float(uptime.split()[0]))
        return found


def prepare(story: Story) -> Ticking:
    """Create the job that clients run by key, and the ticking ones."""
    lab = story.lab
    keyed = {"name": "keyed", "script": KEYED, "schedule": "@manual", "overlap": "allow"}
    keyed["retention"] = {"runs": 50_000}
    assert lab.call(lab.hosts[0], "POST", "/api/v1/jobs", keyed).status == 201
    return Ticking(story)


def broken_promises(story: Story, ticking: Ticking) -> list[str]:
    """Bring the cluster to rest; return the promises it broke, as sentences.

    The clients have ended before.
    """
    stopped = _settle(story)
    broken: list[str] = []
    _compare_digests(story, broken)
    notes = story.notes()
    _judge_requests(story, notes, broken)
    ledgers = {host.name: _all_pages(story, host, "/api/v1/runs") for host in story.lab.hosts}
    _judge_keyed_runs(story, notes, ledgers, broken)
    lives = {name: (born, stopped - HORIZON_SECONDS) for name, born in ticking.born.items()}
    verdict = judge(
        ticking.jobs,
        lives,
        ticking.lines(),
        {
            name: [row for row in rows if row["job"] in ticking.jobs]
            for name, rows in ledgers.items()
        },
    )
    states = ", ".join(f"{n} {state}" for state, n in sorted(verdict.states.items()))
    story.say(f"{verdict.due} due ticks, {verdict.begun} begun; rows: {states}")
    broken += [f"{kind}: {text}" for kind, found in verdict.broken.items() for text in found]
    assert lab_call(story, "POST", "/api/v1/cluster/resume") == 200
    for text in broken[:40]:
        story.say(f"BROKEN {text}")
    return broken


def lab_call(story: Story, method: str, path: str) -> int:
    """Ask the first host; returns the status."""
    return story.lab.call(story.lab.hosts[0], method, path).status


def _settle(story: Story) -> float:
    """Stop scheduling and wait until nothing is open; returns when it was stopped."""
    lab = story.lab
    for host in lab.hosts:
        wait_for(lambda host=host: lab.is_ready(host), SETTLE_SECONDS, f"{host.name} to serve")
    time.sleep(15)
    stopped = time.time()
    wait_for(lambda: lab_call(story, "POST", "/api/v1/cluster/pause") == 200, 60, "the pause")

    def at_rest() -> bool:
        return all(
            lab.get(host, "/api/v1/cluster?stale=allow")["open_runs"] == 0 for host in lab.hosts
        )

    wait_for(at_rest, SETTLE_SECONDS, "no run to be open")
    return stopped


def _compare_digests(story: Story, broken: list[str]) -> None:
    """The states are equal on all nodes at the same index."""

    def seen() -> dict[str, tuple[int, str]] | None:
        views = {
            host.name: story.lab.get(host, "/api/v1/cluster?stale=allow")
            for host in story.lab.hosts
        }
        found = {name: (view["applied_index"], view["digest"]) for name, view in views.items()}
        return found if len({index for index, _ in found.values()}) == 1 else None

    found = wait_for(seen, SETTLE_SECONDS, "all nodes to have applied the same")
    index, digest = next(iter(found.values()))
    story.say(f"all nodes applied {index} entries; digests {digest[:16]} and equal")
    if len(set(found.values())) > 1:
        broken.append(f"the states differ: {found}")


def _all_pages(story: Story, host: Host, path: str) -> list[dict]:
    """Return what a node itself has of a list."""
    items: list[dict] = []
    cursor: str | None = ""
    while cursor is not None:
        page = story.lab.get(host, f"{path}?stale=allow&limit=1000&cursor={cursor}")
        items += page["items"]
        cursor = page.get("next_cursor") or None
    return items


def _judge_requests(story: Story, notes: list[Note], broken: list[str]) -> None:
    """Each acknowledged change of a client is there, once; each refused one is not there twice."""
    for note in notes:
        expected = note.status in STATUSES or (note.kind == "delete" and not note.first)
        if not expected or (note.first and note.status == 409):
            broken.append(f"a strange answer: {note}")
    created = {note.key for note in notes if note.kind == "create" and note.clear}
    asked = {note.key for note in notes if note.kind == "create"}
    deleted = {note.key for note in notes if note.kind == "delete" and note.clear}
    doubtful = {note.key for note in notes if note.kind == "delete"} - deleted
    for host in story.lab.hosts:
        names = Counter(job["name"] for job in _all_pages(story, host, "/api/v1/jobs"))
        ours = {name for name in names if name.startswith("load")}
        twice = sorted(name for name, times in names.items() if times > 1)
        lost = sorted(created - deleted - doubtful - ours)
        undead = sorted(deleted & ours)
        for what, found in (
            ("twice", twice),
            ("acknowledged and gone", lost),
            ("deleted and there", undead),
            ("never asked for", sorted(ours - asked)),
        ):
            broken.extend(f"job {name} is {what} on {host.name}" for name in found)
    story.say(
        f"{len(created)} jobs acknowledged, {len(deleted)} of them deleted; looked for on "
        f"{len(story.lab.hosts)} nodes"
    )


def _judge_keyed_runs(
    story: Story, notes: list[Note], ledgers: dict[str, list[dict]], broken: list[str]
) -> None:
    """Each acknowledged request to run is one row on every node, and started once at most."""
    ids: dict[str, set[str]] = defaultdict(set)
    for note in notes:
        if note.kind == "run" and note.clear:
            ids[note.key].add(note.id or "")
    starts: dict[str, list[str]] = defaultdict(list)
    for host in story.lab.hosts:
        for line in story.lab.ssh(host, f"cat {WITNESS}-keyed 2>/dev/null; true").splitlines():
            key, run_id, _attempt, _node = line.split()
            starts[key].append(run_id)
    broken += [f"key {key} began {n} times" for key, n in _counts(starts) if n > 1]
    broken += [f"key {key} has {len(found)} runs" for key, found in ids.items() if len(found) > 1]
    for node, rows in ledgers.items():
        keyed = [row for row in rows if row["job"] == "keyed"]
        times = Counter(row["id"] for row in keyed)
        states = {row["id"]: row["state"] for row in keyed}
        broken += [f"run {run} has {n} rows on {node}" for run, n in times.items() if n > 1]
        for key, (run, *_) in ids.items():
            state = states.get(run, "absent")
            if state not in ENDED:
                broken.append(f"run {run} of key {key} is {state} on {node}")
            if state == "succeeded" and starts[key] != [run]:
                broken.append(f"run {run} of key {key} succeeded, and it began as {starts[key]}")
    story.say(f"{len(ids)} runs by key acknowledged, {len(starts)} begun")


def _counts(starts: dict[str, list[str]]) -> list[tuple[str, int]]:
    return [(key, len(found)) for key, found in starts.items()]
