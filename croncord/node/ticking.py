"""What becomes of each tick that is due: launch, queue, skip or miss. Pure.

The order of the rules: pause of the job, pause of the cluster, calendars, misfire for what is late, overlap,
locks, and last whether there is a node.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import chain, islice, takewhile

import msgspec

from croncord.calendars import closed_by
from croncord.lifecycle import Reason, RunState, Trigger
from croncord.model import Job, Run, run_id
from croncord.node.lock_desk import LockDesk
from croncord.node.misfire import Lateness, caught_up, starts, was_caught_up
from croncord.node.placement import Placed, Placer
from croncord.policy import lane
from croncord.raft.commands import Decision, JobDecisions
from croncord.raft.state import ClusterState
from croncord.ticks import due_at, ticks_after

TICKS_PER_JOB = 100
"""Ticks of one job decided in one go; after a long outage several rounds follow."""
_LOOK_AHEAD = 10_000
"""Late ticks looked at for one that a calendar lets run."""
_QUEUE_LIMITS = {"queue_one": 1, "queue_all": 100, "replace": TICKS_PER_JOB}
"""Runs that may wait. One that replaces waits until what it replaces is gone."""


class DueDecisions(msgspec.Struct, frozen=True, kw_only=True):
    """Decisions for a DecideTicks command, and when to look again."""

    jobs: tuple[JobDecisions, ...]
    wake_at: datetime | None


def decide_due(
    state: ClusterState,
    placer: Placer,
    locks: LockDesk,
    *,
    lateness: Lateness,
    horizon: timedelta,
    limit: int,
) -> DueDecisions:
    """Decide the ticks up to `now + horizon` of at most `limit` jobs.

    A job that has runs in hand, or needs locks, waits for the tick's own instant, because its
    overlap policy must see what runs then.
    """
    now = lateness.now
    due, left_out = state.due_jobs(now + horizon, limit)
    wakes: list[datetime] = []
    decided: list[JobDecisions] = []
    for job in due:
        until = now + horizon
        if job.spec.locks or (job.spec.overlap != "allow" and state.runs_of_job(job.id)):
            until = now
            if job.next_due is not None and job.next_due > now:
                wakes.append(job.next_due)
                continue
        decided.append(_Ticking(state, placer, locks, job, lateness).decide(until))
    if left_out is not None and (decided or left_out > now + horizon):
        # Else the whole batch waits for its instant, and what was left out comes after it.
        wakes.append(left_out - horizon)
    return DueDecisions(
        jobs=tuple(decided),
        wake_at=min(wakes, default=None),
    )


class _Ticking:
    """Decides the ticks of one job in order, keeping count of what it has launched."""

    def __init__(
        self, state: ClusterState, placer: Placer, locks: LockDesk, job: Job, lateness: Lateness
    ) -> None:
        self._paused = state.paused
        self._placer = placer
        self._locks = locks
        self._job = job
        self._calendars = state.calendars_of(job)
        self._lateness = lateness
        runs = state.runs_of_job(job.id)
        in_turn = [
            run
            for run in runs
            if run.trigger is not Trigger.BACKFILL
            and (run.is_active or not _is_paced(run, lateness))
        ]
        self._active = Counter(
            lane(job.spec.target, run.target) for run in in_turn if run.is_active
        )
        self._queued = Counter(
            lane(job.spec.target, run.target) for run in in_turn if run.is_queued
        )
        self._in_hand = {lane(job.spec.target, run.target): run.id for run in in_turn}
        self._starts = starts(job.spec.misfire, lateness, runs)

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
        later = chain([next_due], ticks) if next_due is not None else iter(())
        newer: Iterator[datetime] = takewhile(self._lateness.is_late, later)
        if self._calendars:
            newer = filter(self._is_open, islice(newer, _LOOK_AHEAD))
        opened = [tick for tick in batch if self._is_open(tick)]
        launched = caught_up(job.spec.misfire, self._lateness, opened, newer)
        decisions = [made for tick in batch for made in self._decide_tick(tick, launched)]
        return JobDecisions(
            job_id=job.id,
            job_version=job.version,
            due=due,
            next_due=next_due,
            decisions=tuple(decisions),
        )

    def _is_open(self, tick: datetime) -> bool:
        return not closed_by(self._calendars, tick)

    def _decide_tick(self, tick: datetime, launched: frozenset[datetime]) -> Iterator[Decision]:
        late = self._lateness.is_late(tick)
        trigger = Trigger.CATCH_UP if late else Trigger.SCHEDULE
        if self._job.spec.paused:
            yield self._final(tick, RunState.SKIPPED, Reason.PAUSED, Trigger.SCHEDULE)
        elif self._paused:
            yield self._final(tick, RunState.SKIPPED, Reason.CLUSTER_PAUSED, Trigger.SCHEDULE)
        elif closed := closed_by(self._calendars, tick):
            detail = f"the calendar {closed}"
            yield self._final(
                tick, RunState.SKIPPED, Reason.CALENDAR, Trigger.SCHEDULE, detail=detail
            )
        elif late and tick not in launched:
            reason = self._lateness.reason(tick)
            yield self._final(tick, RunState.MISSED, reason, Trigger.SCHEDULE)
        elif self._job.spec.target.every_node:
            yield from self._decide_every_node(tick)
        else:
            yield self._launch(tick, trigger, target="", shard=(0, 1))

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
        starts_at = due_at(self._job, tick)
        if self._lateness.is_late(tick):
            starts_at = max(starts_at, next(self._starts))
        if starts_at > self._lateness.now and self._lateness.is_late(tick):
            # Its turn comes later; the overlap policy looks at it then.
            return self._pending(tick, starts_at, trigger, None, target=target, shard=shard)
        verdict = self._overlap(target)
        detail = f"run {self._in_hand[target]} was in hand" if target in self._in_hand else ""
        placed: Placed | Reason | None = None
        if verdict is True:
            detail = self._locks.blocker(run, self._job.spec.locks)
            if not detail:
                placed = self._placer.place(self._job, run, target=target)
            elif self._job.spec.overlap == "skip":
                verdict = Reason.LOCK_HELD
            else:
                placed = Reason.LOCK_HELD
                self._locks.wait(run, self._job.spec.locks)
        if isinstance(verdict, Reason):
            return self._final(
                tick,
                RunState.SKIPPED,
                verdict,
                trigger,
                target=target,
                shard=shard,
                detail=detail,
            )
        if isinstance(placed, Placed):
            self._locks.grant(run, self._job.spec.locks)
        (self._active if isinstance(placed, Placed) else self._queued)[target] += 1
        self._in_hand.setdefault(target, run)
        return self._pending(
            tick, starts_at, trigger, placed, target=target, shard=shard, detail=detail
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

    def _pending(
        self,
        tick: datetime,
        starts_at: datetime,
        trigger: Trigger,
        placed: Placed | Reason | None,
        *,
        target: str,
        shard: tuple[int, int],
        detail: str = "",
    ) -> Decision:
        on = placed if isinstance(placed, Placed) else None
        return Decision(
            run_id=run_id(self._job.id, tick, target=target),
            nominal_time=tick,
            due_at=starts_at,
            trigger=trigger,
            state=RunState.PENDING,
            reason=placed if isinstance(placed, Reason) else None,
            node=on.node if on else None,
            replicas=on.replicas if on else (),
            target=target,
            shard_index=shard[0],
            shard_count=shard[1],
            detail=detail,
        )

    def _final(
        self,
        tick: datetime,
        state: RunState,
        reason: Reason,
        trigger: Trigger,
        *,
        target: str = "",
        shard: tuple[int, int] = (0, 1),
        detail: str = "",
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
            detail=detail,
        )


def _is_paced(run: Run, lateness: Lateness) -> bool:
    """Whether it is a caught-up run whose turn comes later, which is in nobody's way until then."""
    return was_caught_up(run, lateness) and run.attempt == 1 and run.due_at > lateness.now
