"""From the kill of the leader to the start of the next due tick.

    python benchmarks/cluster/failover.py [KILLS]

Three real nodes, one tick due each second. Again and again the leader is ended by `kill -9` at any
moment, and comes back when the others have gone on. From what the scripts noted:

- kill to the start of the next tick that was due after it (up to a second of that is waiting for
  the tick to be due; it may have been decided before the kill, which is the point of deciding ahead);
- kill to the start of the first tick that the new leader decided;
- how late the latest tick of the six seconds after the kill was started, which is what a user
  would notice.
"""

import argparse
import random
import time
from datetime import datetime
from pathlib import Path

from stage import Fleet, fleet, heading, machine, one_tick_a_second, say, starts, tell

WATCHED_SECONDS = 6.0
"""How long ticks after a kill count."""


def kill_leader(nodes: Fleet, witness: Path) -> tuple[float, float, float, int]:
    """Kill and look: seconds to the next start, to the new leader's first, latest, ticks missed."""
    leader = nodes.leader()
    time.sleep(random.uniform(1, 2))
    before = leader.get("/api/v1/cluster")["term"]
    killed = time.time()
    leader.kill()
    time.sleep(WATCHED_SECONDS + 1)
    after = [s for s in starts(witness) if killed < s.nominal <= killed + WATCHED_SECONDS]
    due = int(killed + WATCHED_SECONDS) - int(killed)
    rows = nodes.leader().get("/api/v1/runs?limit=40")["items"]
    newly = [
        datetime.fromisoformat(row["started_at"]).timestamp()
        for row in rows
        if row["decided_term"] > before and row["started_at"]
    ]
    leader.start()
    nodes.wait_ready()
    first = min(start.at for start in after) - killed
    missing = due - len({start.nominal for start in after})
    return first, min(newly) - killed, max(start.late_ms for start in after) / 1000, missing


def main() -> None:
    """Kill and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kills", nargs="?", type=int, default=10)
    kills = parser.parse_args().kills
    with fleet() as nodes:
        witness = nodes.directory / "witness"
        one_tick_a_second(nodes.leader(), witness)
        time.sleep(5)
        found = [kill_leader(nodes, witness) for _ in range(kills)]
    nexts, newly, late, missing = zip(*found, strict=True)
    heading(f"leader killed ({machine()})", "s")
    tell("kill to start of the next due tick", nexts)
    tell("kill to start of the first tick by the new leader", newly)
    tell(f"latest start of a tick due within {WATCHED_SECONDS:g} s", late)
    say(f"ticks that did not start: {sum(missing)} of about {int(kills * WATCHED_SECONDS)}")


if __name__ == "__main__":
    main()
