"""Runs that wait for their turn or a node, and runs in the hands of silent nodes. Pure."""

from datetime import datetime, timedelta

from croncord.lifecycle import Reason, RunState, Trigger
from croncord.model import Job, Run
from croncord.node import window
from croncord.node.backfilling import BackfillTurns
from croncord.node.facts import Facts, Limits
from croncord.node.lock_desk import LockDesk
from croncord.node.placement import Placed, Placer
from croncord.raft.commands import (
    AnyCommand,
    Assignment,
    AssignRuns,
    ConcludeRuns,
    Conclusion,
    RequestKill,
)
from croncord.raft.overlapping import rivals
from croncord.raft.state import ClusterState

_WITHOUT_NODE = frozenset(
    {Reason.NO_TARGET, Reason.LIMIT_UNSUPPORTED, Reason.NODE_DOWN, Reason.NO_CAPACITY}
)
"""Why a tick that was to start at once got no node yet."""


class Waiting:
    """Runs that wait for their turn or a node, and runs in the hands of silent nodes."""

    def __init__(
        self,
        state: ClusterState,
        facts: Facts,
        limits: Limits,
        *,
        placer: Placer,
        locks: LockDesk,
        silent: frozenset[str],
    ) -> None:
        self._state = state
        self._facts = facts
        self._limits = limits
        self._placer = placer
        self._locks = locks
        self._backfills = BackfillTurns(state)
        self._silent = silent
        self._started: set[str] = set()
        self._concluded: set[str] = set()
        self._kills: list[RequestKill] = []
        self._assignments: list[Assignment] = []
        self._conclusions: list[Conclusion] = []
        self.wake_at: datetime | None = None

    def commands(self) -> list[AnyCommand]:
        """Return what to propose, and note when to look again."""
        for name in self._state.nodes_with_runs():
            if name in self._silent or name not in self._state.nodes:
                self._rescue(name)
            else:
                self._give_up_unclaimed(name)
                if name in self._facts.pressed:
                    self._relieve(name)
        for run in self._state.queued_runs():
            self._start(run)
        found: list[AnyCommand] = [*self._kills]
        at, term = self._facts.now, self._facts.term
        by = self._facts.by
        if self._conclusions:
            ends = tuple(self._conclusions)
            found.append(ConcludeRuns(at=at, by=by, term=term, conclusions=ends))
        if self._assignments:
            assigned = tuple(self._assignments)
            found.append(AssignRuns(at=at, by=by, term=term, assignments=assigned))
        return found

    def _rescue(self, name: str) -> None:
        """Take pending runs from a silent node; give up its running ones after `lost_after`."""
        gone = name not in self._state.nodes
        lost = gone or self._facts.silent_seconds[name] > self._limits.lost_after_seconds
        for run in self._state.runs_of_node(name):
            if run.state is RunState.PENDING:
                if self._is_too_late(run):
                    self._conclude(run, RunState.MISSED, Reason.NODE_DOWN)
                else:
                    self._place(run)
            elif lost:
                self._conclude(run, RunState.LOST, Reason.NODE_DOWN)

    def _relieve(self, name: str) -> None:
        """Take from a node that is under pressure what it has not claimed."""
        for run in self._state.runs_of_node(name):
            if run.state is RunState.PENDING and run.id not in self._concluded:
                self._place(run)

    def _give_up_unclaimed(self, name: str) -> None:
        """End what a node that answers did not claim in its window, as it may not start any more."""
        for run in self._state.runs_of_node(name):
            if run.state is RunState.PENDING and self._is_too_late(run):
                self._conclude(run, RunState.MISSED, Reason.LATE, f"{name} did not claim it")

    def _is_too_late(self, run: Run) -> bool:
        job = self._state.job_version(run.job_id, run.job_version)
        return job is not None and window.has_passed(run, job.spec.misfire, self._facts.now)

    def _start(self, run: Run) -> None:
        starts_at = run.due_at - timedelta(seconds=self._limits.horizon_seconds)
        if starts_at > self._facts.now:
            self.wake_at = min(filter(None, (self.wake_at, starts_at)))
            return
        job = self._state.job_version(run.job_id, run.job_version)
        if job is None or (self._may_start(run, job) and self._gets_locks(run, job)):
            self._place(run)

    def _gets_locks(self, run: Run, job: Job) -> bool:
        """Whether all its locks are free; if not it waits, or is skipped as its overlap policy says."""
        blocker = self._locks.blocker(run.id, run.locks)
        if not blocker:
            return True
        once = run.attempt == 1 and run.trigger is not Trigger.BACKFILL
        if job.spec.overlap == "skip" and once:
            self._conclude(run, RunState.SKIPPED, Reason.LOCK_HELD, blocker)
        else:
            self._locks.wait(run.id, run.locks)
        return False

    def _may_start(self, run: Run, job: Job) -> bool:
        """Apply the overlap policy to a run that waits, also to one asked for by hand.

        Runs of a backfill are outside of it: they have a limit of their own.
        """
        if run.trigger is Trigger.BACKFILL:
            return self._backfills.has_turn(run)
        if job.spec.overlap == "allow":
            return True
        others = rivals(self._state, job, run.id, run.target)
        active = [other for other in others if other.is_active or other.id in self._started]
        if job.spec.overlap == "replace":
            self._replace(run, others)
        elif job.spec.overlap == "skip" and active and run.attempt == 1:
            detail = f"run {active[0].id} was in hand"
            self._conclude(run, RunState.SKIPPED, Reason.OVERLAP, detail)
        return not active and run.id not in self._concluded

    def _replace(self, run: Run, others: list[Run]) -> None:
        """End what an earlier tick started; of those that wait only the newest goes on."""
        if any(other.is_queued and other.id > run.id for other in others):
            self._conclude(run, RunState.SKIPPED, Reason.REPLACED)
            return
        for other in others:
            if other.is_active and other.kill is None:
                self._kills.append(
                    RequestKill(
                        at=self._facts.now,
                        by=self._facts.by,
                        run_id=other.id,
                        reason=Reason.REPLACED,
                    )
                )

    def _place(self, run: Run) -> None:
        job = self._state.job_version(run.job_id, run.job_version)
        if job is None:
            self._conclude(run, RunState.MISSED, Reason.DELETED)
            return
        if run.reason in _WITHOUT_NODE and self._is_too_late(run):
            # Nobody was there to say so when its window ended; a node that came since is too late.
            self._conclude(run, RunState.MISSED, run.reason)
            return
        avoid = run.attempts[-1].node if run.attempts and job.spec.retries.other_node else ""
        placed = self._placer.place(job, run.id, target=run.target, avoid=avoid)
        if isinstance(placed, Placed):
            self._started.add(run.id)
            self._locks.grant(run.id, run.locks)
            self._backfills.start(run)
            self._assignments.append(
                Assignment(
                    run_id=run.id,
                    attempt=run.attempt,
                    node=placed.node,
                    replicas=placed.replicas,
                )
            )
        elif run.trigger is not Trigger.BACKFILL and self._facts.now > run.due_at + timedelta(
            seconds=job.spec.misfire.window_seconds
        ):
            self._conclude(run, RunState.MISSED, placed)

    def _conclude(self, run: Run, state: RunState, reason: Reason, detail: str = "") -> None:
        conclusion = Conclusion(
            run_id=run.id, attempt=run.attempt, state=state, reason=reason, detail=detail
        )
        self._conclusions.append(conclusion)
        self._concluded.add(run.id)
