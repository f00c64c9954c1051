"""What the scripts wrote, against what was due and what every node's ledger says."""

import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from soak_jobs import SoakJob

RAN = frozenset({"succeeded", "failed", "timed_out"})
NOT_RAN = frozenset({"skipped", "missed"})


@dataclass
class Line:
    """One line of a script."""

    kind: str
    job: str
    nominal: int
    attempt: int
    fence: int
    node: str
    at: float


@dataclass
class Verdict:
    """Broken promises by name; none when all is well."""

    due: int = 0
    begun: int = 0
    states: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    broken: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def blame(self, kind: str, text: str) -> None:
        self.broken[kind].append(text)


def read_witness(path: Path) -> list[Line]:
    """Read what the scripts wrote; times become seconds since 1970."""
    boot = time.time() - float(Path("/proc/uptime").read_text().split()[0])
    return parse_witness(path.read_text().splitlines(), boot)


def parse_witness(texts: Iterable[str], boot: float) -> list[Line]:
    """Read lines of scripts of a machine that was booted `boot` seconds after 1970."""
    lines = []
    for text in texts:
        kind, job, nominal, attempt, fence, node, up = text.split()
        at = boot + float(up)
        lines.append(Line(kind, job, epoch(nominal), int(attempt), int(fence), node, at))
    return lines


def epoch(instant: str) -> int:
    """Whole seconds since 1970 of an ISO instant."""
    return round(datetime.fromisoformat(instant).timestamp())


def judge(  # noqa: C901, PLR0912 - one loop over ticks, rows and starts each
    jobs: dict[str, SoakJob],
    lives: dict[str, tuple[float, float]],
    lines: list[Line],
    ledgers: dict[str, list[dict]],
) -> Verdict:
    """Match due ticks, witness lines and the ledger of each node.

    `lives` has from when to when the ticks of each job count.
    """
    verdict = Verdict()
    begun: dict[tuple[str, int], list[Line]] = defaultdict(list)
    ended: set[tuple[str, int, int]] = set()
    for line in lines:
        if line.kind == "begin":
            begun[line.job, line.nominal].append(line)
        else:
            ended.add((line.job, line.nominal, line.attempt))
    verdict.begun = sum(map(len, begun.values()))
    for node, rows in ledgers.items():
        by_tick: dict[tuple[str, int], list[dict]] = defaultdict(list)
        for row in rows:
            by_tick[row["job"], epoch(row["nominal_time"])].append(row)
        for name, job in jobs.items():
            for tick in job.due(*lives[name]):
                found = by_tick.get((name, tick), [])
                if len(found) != 1:
                    kind = "double row" if found else "unexplained"
                    verdict.blame(kind, f"{name} {tick}: {len(found)} rows on {node}")
        for tick, found in by_tick.items():
            if tick[0] in jobs:
                _compare(verdict, node, found[0], begun.get(tick, []), ended)
    verdict.due = sum(len(job.due(*lives[name])) for name, job in jobs.items())
    for row in next(iter(ledgers.values()), []):
        verdict.states[f"{row['state']} {row['reason'] or ''}".strip()] += 1
    known = {(row["job"], epoch(row["nominal_time"])) for row in next(iter(ledgers.values()), [])}
    for tick, starts in begun.items():
        _count_starts(verdict, jobs[tick[0]], tick, starts)
        if tick not in known:
            verdict.blame("ledger-lie", f"{tick} ran and has no row")
        if (tick[1] - jobs[tick[0]].phase) % jobs[tick[0]].period:
            verdict.blame("extra", f"{tick} was never due")
    return verdict


def _count_starts(verdict: Verdict, job: SoakJob, tick, starts: list[Line]) -> None:
    attempts = [line.attempt for line in starts]
    if len(set(attempts)) != len(attempts):
        verdict.blame("double", f"{tick}: {starts}")
    elif len(attempts) > 1 and job.delivery == "at_most_once":
        verdict.blame("double", f"{tick} was launched again: {starts}")
    for line in starts:
        if line.at < line.nominal - 0.5:
            verdict.blame("early", f"{line.nominal - line.at:.2f} s: {line}")


def _compare(verdict: Verdict, node: str, row: dict, starts: list[Line], ended) -> None:
    state, attempt = row["state"], row["attempt"]
    now = [line for line in starts if line.attempt == attempt]
    said = f"{row['job']} {row['nominal_time']} {state} {row['reason']} on {node}'s ledger"
    if state in NOT_RAN and now:
        verdict.blame("ledger-lie", f"{said}, and it ran: {now}")
    elif state == "succeeded":
        if not now:
            verdict.blame("ledger-lie", f"{said}, and nothing ran")
        elif (row["job"], now[0].nominal, attempt) not in ended:
            verdict.blame("ledger-lie", f"{said}, and it did not end: {now}")
    elif state in ("pending", "running"):
        verdict.blame("open", said)
