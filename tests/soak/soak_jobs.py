"""The jobs of the soak: what is due is arithmetic, and each script is its own witness."""

from dataclasses import dataclass
from pathlib import Path

HORIZON_SECONDS = 1.5
OVERLAPS = ("allow", "skip", "queue_all", "queue_one")
SHARES = ((1, 2), (2, 6), (5, 12), (15, 40), (30, 60), (60, 80))
"""Period in seconds, and how many of 200 jobs have it."""

SCRIPT = """#!/bin/sh
say() {{
  read -r up rest < /proc/uptime
  echo "$1 $CRONCORD_JOB $CRONCORD_NOMINAL_TIME $CRONCORD_ATTEMPT $CRONCORD_FENCE $CRONCORD_NODE $up" >> {witness}
}}
say begin
{body}
say end
"""


@dataclass(frozen=True)
class SoakJob:
    """A job that is due at every epoch second that is `phase` modulo `period`."""

    name: str
    period: int
    phase: int
    overlap: str
    seconds: float
    delivery: str

    def fields(self, witness: Path) -> dict:
        """Return what the API takes."""
        second = f"{self.phase}/{self.period}" if self.period < 60 else str(self.phase)
        body = f"sleep {self.seconds}" if self.seconds else ":"
        return {
            "name": self.name,
            "schedule": f"{second} * * * * *",
            "script": SCRIPT.format(witness=witness, body=body),
            "overlap": self.overlap,
            "delivery": self.delivery,
            "misfire": {"policy": "run_all", "window_seconds": 120, "max_runs": 5},
            # By default 1,000 rows are kept of a job: 17 minutes of one that is due every second.
            "retention": {"runs": 100_000},
        }

    def due(self, after: float, until: float) -> list[int]:
        """Epoch seconds at which it is due, strictly after the first instant."""
        first = int(after) + 1
        first += (self.phase - first) % self.period
        return list(range(first, int(until) + 1, self.period))


def soak_jobs(count: int) -> list[SoakJob]:
    """Return so many jobs in the usual mix of periods and policies."""
    periods = [period for period, share in SHARES for _ in range(max(1, share * count // 200))]
    return [
        SoakJob(
            name=f"soak-{index:03}",
            period=period,
            phase=index * 7 % period,
            overlap=OVERLAPS[index % len(OVERLAPS)],
            seconds=(0, 0, 0.5, 3)[index // 3 % 4],
            delivery="at_least_once" if index % 10 == 9 else "at_most_once",
        )
        for index, period in enumerate(periods[:count])
    ]
