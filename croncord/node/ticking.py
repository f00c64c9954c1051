"""What becomes of each tick that is due: launch, queue, skip or miss. Pure.

The order of the rules: pause of the job, pause of the cluster, misfire for what is late, overlap, and
last whether there is a node.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice

import msgspec

from croncord.lifecycle import Reason, RunState, Trigger
from croncord.model import Job, Run, run_id
from croncord.node.placement import Placed, Placer
from croncord.raft.commands import Decision, JobDecisions
from croncord.raft.state import ClusterState
from croncord.ticks import due_at, ticks_after

TICKS_PER_JOB = 100
"""Ticks of one job decided in one go; after a long outage several rounds follow."""
_QUEUE_LIMITS = {"queue_one": 1, "queue_all": 100, "replace": TICKS_PER_JOB}
"""Runs that may wait. One that replaces waits until what it replaces is gone."""


class DueDecisions(msgspec.Struct, frozen=True, kw_only=True):
    """Decisions for a DecideTicks command, and when to look again."""

    jobs: tuple[JobDecisions, ...]
    wake_at: datetime | None


def decide_due(
    state: ClusterState,
    placer: Placer,
    *,
    now: datetime,
    horizon: timedelta,
    late_after: timedelta,
    limit: int,
) -> DueDecisions:
    """Decide the ticks up to `now + horizon` of at most `limit` jobs.

    A job that has runs in hand waits for the tick's own instant, because its overlap policy must
    see what runs then.
    """
    due, left_out = state.due_jobs(now + horizon, limit)
    wakes = [left_out - horizon] if left_out is not None else []
    decided: list[JobDecisions] = []
    for job in due:
        until = now + horizon
        if job.spec.overlap != "allow" and state.runs_of_job(job.id):
            until = now
            if job.next_due is not None and job.next_due > now:
                wakes.append(job.next_due)
                continue
        decided.append(_Ticking(state, placer, job, now, late_after).decide(until))
    return DueDecisions(
        jobs=tuple(decided),
        wake_at=min(wakes, default=None),
    )


def lane(job: Job, run: Run) -> str:
    """Return what overlaps with what: all runs of a job, for every-node jobs those of one node."""
    return run.target if job.spec.target.every_node else ""


class _Ticking:
    """Decides the ticks of one job in order, keeping count of what it has launched."""

    def __init__(
        self, state: ClusterState, placer: Placer, job: Job, now: datetime, late_after: timedelta
    ) -> None:
        self._paused = state.paused
        self._placer = placer
        self._job = job
        self._now = now
        self._late_after = late_after
        runs = state.runs_of_job(job.id)
        self._active = Counter(lane(job, run) for run in runs if run.is_active)
        self._queued = Counter(lane(job, run) for run in runs if run.is_queued)

    def decide(self, until: datetime) -> JobDecisions:
        job = self._job
        due = job.next_due
        assert due is not None, "only jobs with a next tick are due"
        just_before = due - timedelta(milliseconds=1)
        ticks = ticks_after(job.spec, job.id, job.anchor, just_before)
        batch: list[datetime] = []
        next_due: datetime | None = None
        for tick in islice(ticks, TICKS_PER_JOB + 1):
            if tick > until or len(batch) == TICKS_PER_JOB:
                next_due = tick
                break
            batch.append(tick)
        if not batch or batch[0] != due:
            # The zone data or the evaluator changed since this tick was agreed: it still counts.
            batch.insert(0, due)
        newest_late = self._newest_late(batch, next_due)
        decisions = [made for tick in batch for made in self._decide_tick(tick, newest_late)]
        return JobDecisions(
            job_id=job.id,
            job_version=job.version,
            due=due,
            next_due=next_due,
            decisions=tuple(decisions),
        )

    def _newest_late(self, batch: list[datetime], next_due: datetime | None) -> datetime | None:
        """Return the one late tick that `run_once` launches, if it is in this batch."""
        late = [tick for tick in batch if self._is_late(tick)]
        if not late or (next_due is not None and self._is_late(next_due)):
            return None
        return late[-1]

    def _is_late(self, tick: datetime) -> bool:
        return self._now - tick > self._late_after

    def _decide_tick(self, tick: datetime, newest_late: datetime | None) -> Iterator[Decision]:
        late = self._is_late(tick)
        trigger = Trigger.CATCH_UP if late else Trigger.SCHEDULE
        if self._job.spec.paused:
            yield self._final(tick, RunState.SKIPPED, Reason.PAUSED, Trigger.SCHEDULE)
        elif self._paused:
            yield self._final(tick, RunState.SKIPPED, Reason.CLUSTER_PAUSED, Trigger.SCHEDULE)
        elif late and not self._is_caught_up(tick, newest_late):
            yield self._final(tick, RunState.MISSED, Reason.LATE, Trigger.SCHEDULE)
        elif self._job.spec.target.every_node:
            yield from self._decide_every_node(tick)
        else:
            yield self._launch(tick, trigger, target="", shard=(0, 1))

    def _is_caught_up(self, tick: datetime, newest_late: datetime | None) -> bool:
        misfire = self._job.spec.misfire
        if self._now - tick > timedelta(seconds=misfire.window_seconds):
            return False
        if misfire.policy == "run_once":
            return tick == newest_late
        return misfire.policy == "run_all"

    def _decide_every_node(self, tick: datetime) -> Iterator[Decision]:
        nodes = self._placer.matching(self._job)
        if not nodes:
            yield self._final(tick, RunState.MISSED, Reason.NO_TARGET, Trigger.EVERY_NODE)
        for index, node in enumerate(nodes):
            shard = (index, len(nodes))
            if self._placer.is_up(node.name):
                yield self._launch(tick, Trigger.EVERY_NODE, target=node.name, shard=shard)
            else:
                yield self._final(
                    tick,
                    RunState.MISSED,
                    Reason.NODE_DOWN,
                    Trigger.EVERY_NODE,
                    target=node.name,
                    shard=shard,
                )

    def _launch(
        self, tick: datetime, trigger: Trigger, *, target: str, shard: tuple[int, int]
    ) -> Decision:
        run = run_id(self._job.id, tick, target=target)
        verdict = self._overlap(target)
        if isinstance(verdict, Reason):
            return self._final(tick, RunState.SKIPPED, verdict, trigger, target=target, shard=shard)
        placed = self._placer.place(self._job, run, target=target) if verdict else None
        on = placed if isinstance(placed, Placed) else None
        (self._active if on else self._queued)[target] += 1
        return Decision(
            run_id=run,
            nominal_time=tick,
            due_at=due_at(self._job, tick),
            trigger=trigger,
            state=RunState.PENDING,
            reason=placed if isinstance(placed, Reason) else None,
            node=on.node if on else None,
            replicas=on.replicas if on else (),
            target=target,
            shard_index=shard[0],
            shard_count=shard[1],
        )

    def _overlap(self, target: str) -> bool | Reason:
        """Return True to start now, False to wait for what is in hand, or why it is skipped."""
        policy = self._job.spec.overlap
        active, queued = self._active[target], self._queued[target]
        if policy == "allow" or not active + queued:
            return True
        if policy == "skip":
            return Reason.OVERLAP
        if queued >= _QUEUE_LIMITS[policy]:
            return Reason.QUEUE_FULL
        return False

    def _final(
        self,
        tick: datetime,
        state: RunState,
        reason: Reason,
        trigger: Trigger,
        *,
        target: str = "",
        shard: tuple[int, int] = (0, 1),
    ) -> Decision:
        return Decision(
            run_id=run_id(self._job.id, tick, target=target),
            nominal_time=tick,
            due_at=due_at(self._job, tick),
            trigger=trigger,
            state=state,
            reason=reason,
            target=target,
            shard_index=shard[0],
            shard_count=shard[1],
        )
