"""Which outputs this node keeps a copy of, read off the agreed state.

The leader names a run's replica set when it assigns the run. A member that is not the executing node
follows the output while the run is running. When the row is closed each member, the executing one
too, takes what it lacks until its copy has the digest that the row names. After a restart the newest
rows are looked through for copies that are not whole.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from croncord.lifecycle import RunState
from croncord.model import LogInfo, Run
from croncord.ports import Ledger, LogKey, RunFilter
from croncord.raft.commands import AnyCommand, ClaimRuns, ConcludeRuns, FinishRuns
from croncord.raft.port import Replica
from croncord.raft.state import Outcome

ROWS_REPAIRED_AT_START = 1000


class Follower(Protocol):
    """What copies an output from other nodes; see `croncord.logs.replication`."""

    def want(self, key: LogKey, source_nodes: Sequence[str], closed: LogInfo | None) -> None:
        """Copy from the first source that answers; `closed` tells what a whole copy is."""


class CopyKeeper:
    """Tells the follower what to copy, as runs are claimed and end."""

    def __init__(self, *, name: str, replica: Replica, ledger: Ledger, follower: Follower) -> None:
        self._name = name
        self._replica = replica
        self._ledger = ledger
        self._follower = follower

    def start(self) -> Callable[[], None]:
        """Take up all that is open or was ended lately, then watch; returns how to stop."""
        rows = self._ledger.page(RunFilter(), limit=ROWS_REPAIRED_AT_START)
        self._consider((*self._replica.state.open_runs.values(), *rows))
        return self._replica.subscribe(self._on_applied)

    def _on_applied(self, _index: int, command: AnyCommand, outcome: Outcome) -> None:
        if isinstance(command, ClaimRuns | FinishRuns | ConcludeRuns) and outcome.refusal is None:
            open_runs = self._replica.state.open_runs
            touched = [open_runs[run_id] for run_id in outcome.value if run_id in open_runs]
            self._consider((*touched, *outcome.rows))

    def _consider(self, runs: Iterable[Run]) -> None:
        for run in runs:
            for attempt in run.attempts:
                self._want(LogKey(run.id, attempt.number), attempt.replicas, attempt.log)
            if run.state is RunState.RUNNING:
                self._want(LogKey(run.id, run.attempt), run.replicas, None)
            elif run.claimed_at is not None:
                self._want(LogKey(run.id, run.attempt), run.replicas, run.log)

    def _want(self, key: LogKey, replicas: Sequence[str], closed: LogInfo | None) -> None:
        """Ask for a copy; the executing node asks only for what it has lost of a whole output."""
        executes = replicas[:1] == (self._name,)
        if self._name in replicas and (not executes or (closed is not None and closed.complete)):
            self._follower.want(key, replicas, closed)
