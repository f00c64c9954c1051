"""Every figure of docs/performance.md, one program after another.

    python benchmarks/all.py [--long]

The short form takes less than 20 minutes on two quiet cores; the long one repeats more and goes up to
100,000 jobs and a million rows. A program that fails is named at the end, and the others still run.
etcd is measured beside the consensus when it is installed, cron and APScheduler beside the lateness.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent


class Program(NamedTuple):
    """A program, and what it is given in the short and in the long form."""

    path: str
    short: str
    long: str


PROGRAMS = (
    Program("cluster/failover.py", "8", "100"),
    Program("cluster/lateness.py", "--seconds 60", "--seconds 600"),
    Program("cluster/run_now.py", "100", "500"),
    Program("runs/burst.py", "1000", "1000"),
    Program("runs/run.py", "200", "500"),
    Program("planner/decisions.py", "", "--rows 10 1000 100000 1000000"),
    Program("cluster/job_table.py", "1000 5000", "1000 10000 100000"),
    Program("cluster/pages.py", "--jobs 3000 --seconds 10", "--jobs 100000 --seconds 60"),
    Program("cluster/observers.py", "--observers 6 --steps 1", "--observers 27 --steps 3"),
    Program("ledger/rows.py", "--rows 100000", "--rows 1000000"),
    Program("logs/store.py", "--megabytes 20", ""),
    Program("logs/capture.py", "--megabytes 20 --rounds 2", "--rounds 5"),
    Program("logs/churn.py", "--runs 5000", ""),
    Program("web/pages.py", "--jobs 2000 --rows 50000", ""),
    Program("consensus/run.py", "--rounds 2 --seconds 1", ""),
)


def main() -> int:
    """Run them; returns 1 when one failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--long", action="store_true")
    is_long = parser.parse_args().long
    failed = []
    for program in PROGRAMS:
        arguments = program.long if is_long else program.short
        print(f"\n== {program.path} {arguments}", flush=True)
        begun = time.monotonic()
        command = [sys.executable, str(HERE / program.path), *arguments.split()]
        if subprocess.run(command, check=False).returncode:
            failed.append(program.path)
        print(f"   ({time.monotonic() - begun:.0f} s)", flush=True)
    for path in failed:
        print(f"FAILED: {path}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
