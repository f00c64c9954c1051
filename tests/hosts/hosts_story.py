"""A cluster on real hosts under load: clients of every node, ticking jobs, faults and their repair."""

import json
import random
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import NamedTuple

from lab import Host, Lab, wait_for

CALM_SECONDS = 4
RECOVERY_SECONDS = 240
"""When to give up; the times measured are in the report."""
WITNESS = "/var/log/witness"
KEYED = f"""#!/bin/sh
echo "$KEY $CRONCORD_RUN_ID $CRONCORD_ATTEMPT $CRONCORD_NODE" >>{WITNESS}-keyed
"""


class Note(NamedTuple):
    """One request of a client and what became of it."""

    kind: str
    key: str
    node: str
    status: int
    clear: bool
    first: bool
    began: float
    ended: float
    id: str | None
    outcome: str | None


class Fault(NamedTuple):
    """Something that happens to the hosts, how long it lasts, and its end."""

    what: str
    begin: Callable[[], None]
    end: Callable[[], None]
    seconds: float


class Recovery(NamedTuple):
    """How long after the repair each node acknowledged a change that was asked of it."""

    what: str
    seconds: dict[str, float]


class Story:
    """The hosts, their clients and what happened to them."""

    def __init__(self, lab: Lab, directory: Path, seed: int) -> None:
        self.lab = lab
        self.rng = random.Random(seed)
        self.recoveries: list[Recovery] = []
        self._directory = directory
        self._rounds = 0
        self._lines: list[str] = []
        self.say(f"seed {seed}, notes in {directory}")

    def say(self, text: str) -> None:
        """Tell whoever watches with -s, and keep it."""
        self._lines.append(f"{time.strftime('%H:%M:%S')} {text}")
        sys.stdout.write(self._lines[-1] + "\n")
        (self._directory / "story.txt").write_text("\n".join(self._lines) + "\n")

    @contextmanager
    def clients(self, pause: float = 0.5):
        """Clients of every node, at work until the end of the block."""
        self._rounds += 1
        stem = self._directory / f"round{self._rounds}"
        stop, order = stem.with_suffix(".stop"), stem.with_suffix(".json")
        order.write_text(
            json.dumps(
                {
                    "nodes": {host.name: self.lab.url(host) for host in self.lab.hosts},
                    "ca": str(self.lab.ca_file),
                    "prefix": f"load{self._rounds}",
                    "token": self.lab.token_file.read_text().strip(),
                    "notes": str(stem),
                    "stop": str(stop),
                    "pause": pause,
                }
            )
        )
        program = str(Path(__file__).with_name("hosts_load.py"))
        process = Popen([self.lab.program, "exec", sys.executable, program, str(order)])
        try:
            yield
        finally:
            stop.touch()
            assert process.wait(180) == 0

    def notes(self) -> list[Note]:
        """Return everything the clients noted, by time."""
        files = sorted(self._directory.glob("round*.notes-*"))
        lines = [line for file in files for line in file.read_text().splitlines(keepends=True)]
        # The last line may be half written while a client is at work.
        found = [Note(**json.loads(line)) for line in lines if line.endswith("\n")]
        return sorted(found, key=lambda note: note.ended)

    def suffer(self, fault: Fault) -> None:
        """Let a fault happen and wait until every node serves changes again."""
        time.sleep(self.rng.uniform(0.5, 1.5) * CALM_SECONDS)
        self.say(fault.what)
        fault.begin()
        try:
            time.sleep(fault.seconds)
        finally:
            fault.end()
        healed = time.time()

        def served() -> dict[str, float] | None:
            found: dict[str, float] = {}
            for note in self.notes():
                if note.began > healed and note.clear and note.kind == "create":
                    found.setdefault(note.node, note.ended - healed)
            return found if len(found) == len(self.lab.hosts) else None

        seconds = wait_for(served, RECOVERY_SECONDS, f"every node to serve after {fault.what}")
        self.recoveries.append(Recovery(fault.what, seconds))
        told = ", ".join(f"{node} {after:.1f} s" for node, after in sorted(seconds.items()))
        self.say(f"  changes acknowledged again through {told}")

    def report(self, recoveries: list[Recovery]) -> None:
        """Say how long the recoveries took, and how much was asked and answered."""
        times = sorted(max(recovery.seconds.values()) for recovery in recoveries)
        first = sorted(min(recovery.seconds.values()) for recovery in recoveries)
        notes = self.notes()
        self.say(
            f"{len(times)} faults; changes acknowledged through the first node after "
            f"{first[len(first) // 2]:.1f} s (median), {first[-1]:.1f} s (longest), through every "
            f"node after {times[len(times) // 2]:.1f} s (median), {times[-1]:.1f} s (longest)"
        )
        for kind in ("create", "run", "delete"):
            asked = [note for note in notes if note.kind == kind]
            clear = sum(note.clear for note in asked)
            self.say(f"{kind}: {len(asked)} asked, {clear} acknowledged, {len(asked) - clear} not")


def others(lab: Lab, host: Host) -> list[Host]:
    """Return all hosts but one."""
    return [each for each in lab.hosts if each != host]
