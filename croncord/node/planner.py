"""What the leader decides next: pure, from the state, the time and what nodes have reported.

It takes facts and returns commands; `croncord.node.dispatcher` reads the clock, proposes and sleeps.
Ticks are decided in `croncord.node.ticking`; this module looks after nodes and after runs that wait.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

import msgspec

from croncord.lifecycle import Reason, RunState
from croncord.model import Job, Run
from croncord.node.placement import Placed, Placer
from croncord.node.ticking import decide_due, lane
from croncord.raft.commands import (
    AnyCommand,
    Assignment,
    AssignRuns,
    ConcludeRuns,
    Conclusion,
    DecideTicks,
    MarkNodes,
    RequestKill,
)
from croncord.raft.state import ClusterState


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The planner's own time limits."""

    horizon_seconds: float = 1.0
    """How far ahead ticks are decided, so that all is agreed when their instant comes."""
    node_timeout_seconds: float = 5.0
    """A node that has not reported for so long is down."""
    lost_after_seconds: float = 60.0
    """What runs on a node that has been silent for so long is lost."""
    late_after_seconds: float = 30.0
    """A tick decided later than that is a misfire; less is only a late start."""
    idle_seconds: float = 1.0
    """Plan at least that often."""
    batch: int = 1000
    """Jobs per DecideTicks command."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the leader knows besides the state."""

    now: datetime
    term: int
    leader: str
    silent_seconds: Mapping[str, float]
    """Since each node was heard of; a node that never reported counts from the election."""
    offsets_ms: Mapping[str, int] = {}
    """Each node's clock minus the leader's."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to propose, in this order, and when to plan again at the latest."""

    commands: tuple[AnyCommand, ...]
    wake_at: datetime


def plan(state: ClusterState, facts: Facts, limits: Limits) -> Plan:
    """Decide everything that can be decided now."""
    silent = frozenset(
        name
        for name, seconds in facts.silent_seconds.items()
        if seconds > limits.node_timeout_seconds and name != facts.leader
    )
    commands: list[AnyCommand] = list(_mark_nodes(state, facts, silent))
    placer = Placer(state, leader=facts.leader, silent=silent, offsets_ms=facts.offsets_ms)
    waiting = _Waiting(state, facts, limits, placer, silent)
    commands += waiting.commands()
    due = decide_due(
        state,
        placer,
        now=facts.now,
        horizon=timedelta(seconds=limits.horizon_seconds),
        late_after=timedelta(seconds=limits.late_after_seconds),
        limit=limits.batch,
    )
    if due.jobs:
        commands.append(DecideTicks(at=facts.now, term=facts.term, jobs=due.jobs))
    wakes = [facts.now + timedelta(seconds=limits.idle_seconds), waiting.wake_at, due.wake_at]
    return Plan(commands=tuple(commands), wake_at=min(at for at in wakes if at is not None))


def _mark_nodes(state: ClusterState, facts: Facts, silent: frozenset[str]) -> Iterator[MarkNodes]:
    down = tuple(n.name for n in state.nodes.values() if n.up and n.name in silent)
    up = tuple(n.name for n in state.nodes.values() if not n.up and n.name not in silent)
    if down or up:
        yield MarkNodes(at=facts.now, term=facts.term, up=up, down=down)


class _Waiting:
    """Runs that wait for their turn or a node, and runs in the hands of silent nodes."""

    def __init__(
        self,
        state: ClusterState,
        facts: Facts,
        limits: Limits,
        placer: Placer,
        silent: frozenset[str],
    ) -> None:
        self._state = state
        self._facts = facts
        self._limits = limits
        self._placer = placer
        self._silent = silent
        self._started: set[str] = set()
        self._concluded: set[str] = set()
        self._kills: list[RequestKill] = []
        self._assignments: list[Assignment] = []
        self._conclusions: list[Conclusion] = []
        self.wake_at: datetime | None = None

    def commands(self) -> list[AnyCommand]:
        for name in self._state.nodes_with_runs():
            if name in self._silent or name not in self._state.nodes:
                self._rescue(name)
        for run in self._state.queued_runs():
            self._start(run)
        found: list[AnyCommand] = [*self._kills]
        at, term = self._facts.now, self._facts.term
        if self._conclusions:
            found.append(ConcludeRuns(at=at, term=term, conclusions=tuple(self._conclusions)))
        if self._assignments:
            found.append(AssignRuns(at=at, term=term, assignments=tuple(self._assignments)))
        return found

    def _rescue(self, name: str) -> None:
        """Take pending runs from a silent node; give up its running ones after `lost_after`."""
        gone = name not in self._state.nodes
        lost = gone or self._facts.silent_seconds[name] > self._limits.lost_after_seconds
        for run in self._state.runs_of_node(name):
            if run.state is RunState.PENDING:
                self._place(run)
            elif lost:
                self._conclude(run, RunState.LOST, Reason.NODE_DOWN)

    def _start(self, run: Run) -> None:
        starts_at = run.due_at - timedelta(seconds=self._limits.horizon_seconds)
        if starts_at > self._facts.now:
            self.wake_at = min(filter(None, (self.wake_at, starts_at)))
            return
        job = self._state.job_version(run.job_id, run.job_version)
        if job is None or self._may_start(run, job):
            self._place(run)

    def _may_start(self, run: Run, job: Job) -> bool:
        """Apply the overlap policy to a run that waits, also to one asked for by hand."""
        if job.spec.overlap == "allow":
            return True
        others = [
            other
            for other in self._state.runs_of_job(run.job_id)
            if other.id != run.id and lane(job, other) == lane(job, run)
        ]
        active = [other for other in others if other.is_active or other.id in self._started]
        if job.spec.overlap == "replace":
            self._replace(run, others)
        elif job.spec.overlap == "skip" and active and run.attempt == 1:
            self._conclude(run, RunState.SKIPPED, Reason.OVERLAP)
        return not active and run.id not in self._concluded

    def _replace(self, run: Run, others: list[Run]) -> None:
        """End what an earlier tick started; of those that wait only the newest goes on."""
        if any(other.is_queued and other.id > run.id for other in others):
            self._conclude(run, RunState.SKIPPED, Reason.REPLACED)
            return
        for other in others:
            if other.is_active and other.kill is None:
                self._kills.append(
                    RequestKill(at=self._facts.now, run_id=other.id, reason=Reason.REPLACED)
                )

    def _place(self, run: Run) -> None:
        job = self._state.job_version(run.job_id, run.job_version)
        if job is None:
            self._conclude(run, RunState.MISSED, Reason.DELETED)
            return
        avoid = run.attempts[-1].node if run.attempts and job.spec.retries.other_node else ""
        placed = self._placer.place(job, run.id, target=run.target, avoid=avoid)
        if isinstance(placed, Placed):
            self._started.add(run.id)
            self._assignments.append(
                Assignment(
                    run_id=run.id,
                    attempt=run.attempt,
                    node=placed.node,
                    replicas=placed.replicas,
                )
            )
        elif self._facts.now > run.due_at + timedelta(seconds=job.spec.misfire.window_seconds):
            self._conclude(run, RunState.MISSED, placed)

    def _conclude(self, run: Run, state: RunState, reason: Reason) -> None:
        conclusion = Conclusion(run_id=run.id, attempt=run.attempt, state=state, reason=reason)
        self._conclusions.append(conclusion)
        self._concluded.add(run.id)
