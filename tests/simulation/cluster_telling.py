"""Runs and processes in words, short enough to read in a failure."""

from datetime import UTC, datetime

from cluster_machine import Witness

from croncord.model import Run

EPOCH = datetime(2026, 11, 24, 11, 59, 30, tzinfo=UTC)
"""True time at the beginning of a simulation."""


def told(value: object) -> str:
    """A run or a process, short enough to read."""
    if isinstance(value, Run):
        node = f" on {value.node}" if value.node else ""
        target = f" for {value.target}" if value.target else ""
        before = [f"{a.number}:{a.state}/{a.reason} on {a.node}" for a in value.attempts]
        return (
            f"[{value.job_id} v{value.job_version} {value.trigger} of {clock(value.nominal_time)}"
            f"{target}: {value.state} {value.reason or ''}{node}, attempt {value.attempt} {before},"
            f" due {clock(value.due_at)} decided {clock(value.decided_at)} assigned {clock(value.assigned_at)}"
            f" claimed {clock(value.claimed_at)} finished {clock(value.finished_at)}"
            f" kill {value.kill is not None} {value.detail!r} {value.id[-6:]}]"
        )
    if isinstance(value, Witness):
        ended = "…" if value.ended is None else f"{value.ended:.2f}"
        return (
            f"({value.job_id} on {value.node}, attempt {value.key.attempt} of {value.nominal[11:]}:"
            f" {value.began:.2f}–{ended} {value.how} {value.key.run_id[-6:]})"
        )
    return str(value)


def clock(instant: datetime | None) -> str:
    """An instant as seconds of the simulation."""
    return "-" if instant is None else f"{seconds(instant):.2f}"


def seconds(instant: datetime) -> float:
    """True time of an instant of the simulation."""
    return (instant - EPOCH).total_seconds()
