"""From the call of *Run now* to the first act of the script.

    python benchmarks/cluster/run_now.py [CALLS]

Three real nodes and one job, called over a kept-alive connection, one call after another with a
pause between, on the leader and on a follower. Beside it, a bare `posix_spawn` of the same script
from this process.
"""

import argparse
import os
import time
from pathlib import Path

from stage import WITNESS, Client, FleetNode, fleet, heading, machine, starts, tell

PAUSE_SECONDS = 0.2


def call_each(node: FleetNode, witness: Path, calls: int, mark: str) -> tuple[list[float], ...]:
    """Ask for runs; returns milliseconds until each answer, and until each script began."""
    client, called, answered = Client(node), {}, []
    for number in range(calls):
        name = f"{mark}{number}"
        called[name] = time.time()
        client.call("POST", "/api/v1/jobs/now/run", {"environment": {"N": name}})
        answered.append(1000 * (time.time() - called[name]))
        time.sleep(PAUSE_SECONDS)
    time.sleep(1)
    began = {start.mark: start.at for start in starts(witness)}
    return answered, [1000 * (began[name] - at) for name, at in called.items()]


def bare(place: Path, calls: int) -> list[float]:
    """Spawn the script from here; returns milliseconds until it began."""
    witness, script, called = place / "bare.witness", place / "bare.sh", []
    script.write_text(WITNESS % witness)
    for number in range(calls):
        called.append(time.time())
        os.waitpid(os.posix_spawn("/bin/bash", ["bash", str(script), str(number)], os.environ), 0)
        time.sleep(PAUSE_SECONDS / 4)
    return [1000 * (s.at - at) for s, at in zip(starts(witness), called, strict=True)]


def main() -> None:
    """Call and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("calls", nargs="?", type=int, default=200)
    calls = parser.parse_args().calls
    with fleet() as nodes:
        witness = nodes.directory / "witness"
        leader, follower = nodes.leader(), nodes.followers()[0]
        job = {"name": "now", "schedule": "@manual", "overlap": "allow"}
        leader.post("/api/v1/jobs", job | {"script": WITNESS % witness})
        call_each(leader, witness, 10, "warm")
        heading(f"run now ({machine()})")
        for where, node in (("the leader", leader), ("a follower", follower)):
            answered, began = call_each(node, witness, calls, where[2])
            tell(f"call of {where} to its answer", answered)
            tell(f"call of {where} to the script's first act", began)
        tell("bare posix_spawn to the script's first act", bare(nodes.directory, calls))


if __name__ == "__main__":
    main()
