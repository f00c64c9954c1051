"""What became of runs while this process watched. Every node counts every row of the cluster."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from croncord.figures import DURATIONS, SECONDS, Family, Histogram, counter
from croncord.lifecycle import OPEN_STATES, RunState, Trigger
from croncord.model import Run
from croncord.raft.commands import AnyCommand, CloseLogs
from croncord.raft.port import Replica
from croncord.raft.state import Outcome

_FINAL: Final = [state for state in RunState if state not in OPEN_STATES]
_SECOND: Final = timedelta(seconds=1)
_ON_TIME: Final = frozenset({Trigger.SCHEDULE, Trigger.EVERY_NODE})
"""Triggers whose runs are meant to start at their time."""


class RunTally:
    """Counts rows as they become final, how late they began and how long they took."""

    def __init__(self, replica: Replica) -> None:
        self._states: Counter[str] = Counter()
        self._reasons: Counter[tuple[str, str, str]] = Counter()
        self._lateness = Histogram(SECONDS)
        self._durations = Histogram(DURATIONS)
        replica.subscribe(self._applied)

    def _applied(self, _index: int, command: AnyCommand, outcome: Outcome) -> None:
        if isinstance(command, CloseLogs):
            return  # these rows were final before; only what is known of their output is new
        for row in outcome.rows:
            if not row.is_open:
                self._count(row)

    def _count(self, row: Run) -> None:
        self._states[row.state] += 1
        self._reasons[row.state, row.reason or "", row.trigger] += 1
        if row.started_at is None:
            return
        if row.trigger in _ON_TIME and row.attempt == 1:
            self._lateness.observe(max(0.0, (row.started_at - row.due_at) / _SECOND))
        if row.finished_at is not None:
            self._durations.observe(max(0.0, (row.finished_at - row.started_at) / _SECOND))

    def families(self) -> Iterator[Family]:
        """Yield what was counted."""
        watched = "while this node watched, on any node"
        yield counter(
            "croncord_runs_ended_total",
            f"Rows of the launch ledger that became final {watched}",
            [({"state": state}, self._states[state]) for state in _FINAL],
        )
        yield counter(
            "croncord_runs_ended_by_reason_total",
            f"The same, by what the row says about why; from the first of its kind on, {watched}",
            [
                ({"state": state, "reason": reason, "trigger": trigger}, count)
                for (state, reason, trigger), count in sorted(self._reasons.items())
            ],
        )
        yield self._lateness.family(
            "croncord_run_start_lateness_seconds",
            "From the time a scheduled run was due to its start; counted when the run has ended",
        )
        yield self._durations.family(
            "croncord_run_duration_seconds", "From the start to the end of runs that have ended"
        )
