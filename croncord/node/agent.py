"""Does what the cluster agreed that this node should do: claim, start, end, report.

It watches its own copy of the agreed state and nothing else. What it does with an attempt:

    pending, assigned here     claim it, many in one proposal
    running, not in hand       judge it by its note, see `croncord.node.agent_journal`
    running, in hand           see it through; end it when its end is asked for
    in hand, no longer ours    declared lost: see it through, the truth follows; else end it

What a claim proposal returns is not needed: a claim counts when the applied state says so, also when
the proposal itself seemed to fail.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from croncord.clock import Clock
from croncord.errors import Conflict, CronCordError, NotFound
from croncord.lifecycle import Reason, RunState
from croncord.model import Run
from croncord.node import window
from croncord.node.agent_journal import AgentJournal, Note
from croncord.node.result_desk import ResultDesk
from croncord.node.results import result_of, unstarted
from croncord.node.starter import CalledOff, Starter
from croncord.ports import LaunchRequest, LogKey, Runner, Vault
from croncord.raft.commands import Claim, ClaimRuns, ReportKill, RunResult
from croncord.raft.port import Replica

log = logging.getLogger(__name__)

CLAIM_AHEAD_SECONDS: Final = 2.0
"""A run is claimed that long before it is due, not earlier: until then it can be called off."""
CLAIMS: Final = 500
"""How many claims go into one proposal."""
SUPERSEDED_GRACE_SECONDS: Final = 10
PRESSURE_LOOK_SECONDS: Final = 1.0
"""How soon a node that is short of something looks whether that is over."""

_RETRY_SECONDS = 0.5
_DRAIN_LOOK_SECONDS = 0.05


class Agent:
    """Runs on every node. It starts the runner and stops it."""

    def __init__(
        self,
        *,
        name: str,
        replica: Replica,
        runner: Runner,
        clock: Clock,
        journal: AgentJournal,
        offset: Callable[[], int],
        pressure: Callable[[], str] = str,
        vault: Vault | None = None,
    ) -> None:
        """Take what it works with.

        `offset` tells how many milliseconds this node's clock is ahead of the leader's, `pressure`
        what the machine is too short of to take new runs.
        """
        self._name = name
        self._replica = replica
        self._runner = runner
        self._clock = clock
        self._journal = journal
        self._offset = offset
        self._pressure = pressure
        self._told_pressure = ""
        self._desk = ResultDesk(
            name=name,
            replica=replica,
            clock=clock,
            leader_now=self._leader_now,
            on_agreed=self._forget,
        )
        self._starter = Starter(
            name=name,
            replica=replica,
            clock=clock,
            leader_now=self._leader_now,
            journal=journal,
            launch=self._launch,
            vault=vault,
        )
        self._news = asyncio.Event()
        self._in_hand: dict[LogKey, asyncio.Task[None]] = {}
        """Attempts this node takes care of, until their results are agreed."""
        self._launched: set[LogKey] = set()
        """Those of them that the runner knows."""
        self._ending: set[LogKey] = set()
        """Those of them that were told to end."""
        self._told: set[LogKey] = set()
        """Attempts whose results are agreed; kept while the state still shows them as running."""
        self._errands: set[asyncio.Task[None]] = set()
        self._claiming: asyncio.Task[None] | None = None
        self._alarm: asyncio.Task[None] | None = None
        self._is_caught_up = False
        self._is_draining = False

    async def run(self) -> None:
        """Take care of this node's runs for ever; cancel to stop. Scripts go on then."""
        self._errand(self._desk.run())
        unsubscribe = self._replica.subscribe(lambda *_: self._news.set())
        try:
            for key in await self._runner.start():
                self._launched.add(key)
                self._take_in_hand(key, self._follow(key))
            self._errand(self._catch_up())
            while True:
                self._news.clear()
                self._reconcile()
                await self._news.wait()
        finally:
            unsubscribe()
            tasks = {*self._in_hand.values(), *self._errands}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._runner.stop()

    async def drain(self, *, timeout_seconds: float) -> None:
        """Claim nothing more; return when what was claimed runs and all results are agreed.

        Returns after the timeout in any case: the next start of this node does the rest.
        """
        self._is_draining = True
        give_up_at = self._clock.monotonic() + timeout_seconds
        while self._clock.monotonic() < give_up_at:
            is_starting = self._claiming is not None or self._in_hand.keys() - self._launched
            if not is_starting and self._desk.is_empty:
                return
            await self._clock.sleep(_DRAIN_LOOK_SECONDS)

    def _leader_now(self) -> datetime:
        return self._clock.now() - self._ahead()

    def _ahead(self) -> timedelta:
        return timedelta(milliseconds=self._offset())

    async def _catch_up(self) -> None:
        """Wait until this copy holds all that was agreed before now.

        Until then what it says may be outdated: nothing is started for it. What was told to end is
        ended all the same, for that is never taken back.
        """
        while True:
            try:
                await self._replica.barrier()
            except CronCordError as error:
                log.info("waiting for the cluster before taking up runs: %s", error)
                await self._clock.sleep(_RETRY_SECONDS)
            else:
                break
        current = set(self._mine())
        await self._journal.forget(set(self._journal.keys()) - current - self._in_hand.keys())
        self._is_caught_up = True
        self._news.set()

    def _mine(self) -> dict[LogKey, Run]:
        runs = self._replica.state.runs_of_node(self._name)
        return {LogKey(run.id, run.attempt): run for run in runs}

    # Comparing what is agreed with what is in hand

    def _reconcile(self) -> None:
        mine = self._mine()
        self._told &= mine.keys()
        pending: dict[LogKey, Run] = {}
        for key, run in mine.items():
            if run.state is RunState.PENDING:
                pending[key] = run
            elif key not in self._in_hand and key not in self._told:
                if self._is_caught_up:
                    self._take_in_hand(key, self._judge(key))
            elif run.kill is not None and key in self._launched:
                is_reported = run.kill.signalled_at is not None
                self._end(key, run.kill.grace_seconds, report=not is_reported)
        for key in self._launched - mine.keys():
            if self._is_unwanted(key):
                self._end(key, SUPERSEDED_GRACE_SECONDS, report=False)
        self._claim_due(pending)

    def _claim_due(self, pending: dict[LogKey, Run]) -> None:
        now = self._leader_now()
        early = {key: (run.due_at - now).total_seconds() for key, run in pending.items()}
        due = [
            key
            for key, run in pending.items()
            if early[key] <= CLAIM_AHEAD_SECONDS and not self._is_too_late(run)
        ]
        short_of = self._short_of() if due else ""
        may_claim = self._is_caught_up and not self._is_draining and not short_of
        if due and may_claim and self._claiming is None:
            self._claiming = self._errand(self._claim(due[:CLAIMS]))
        later = [seconds for seconds in early.values() if seconds > CLAIM_AHEAD_SECONDS]
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        waits = [min(later) - CLAIM_AHEAD_SECONDS] if later else []
        if short_of:
            waits.append(PRESSURE_LOOK_SECONDS)
        if waits:
            self._alarm = self._errand(self._wake_in(min(waits)))

    def _short_of(self) -> str:
        short_of = self._pressure()
        if short_of != self._told_pressure:
            self._told_pressure = short_of
            log.warning("this node is %s", short_of or "short of nothing any more: it claims again")
        return short_of

    def _is_too_late(self, run: Run) -> bool:
        """Whether it may not start any more; the leader will say so in its row."""
        job = self._replica.state.job_version(run.job_id, run.job_version)
        return job is not None and window.has_passed(run, job.spec.misfire, self._leader_now())

    def _is_unwanted(self, key: LogKey) -> bool:
        """Whether the process of an attempt that is not ours any more should end."""
        run = self._replica.state.run(key.run_id)
        if run is None:  # not lost, or nothing could correct the row any more
            return self._is_caught_up
        # What was declared lost is seen through, unless somebody had asked for its end.
        is_over = not run.is_open and (run.state is not RunState.LOST or run.kill is not None)
        return run.attempt > key.attempt or is_over

    async def _wake_in(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._news.set()

    async def _claim(self, keys: Sequence[LogKey]) -> None:
        command = ClaimRuns(
            at=self._leader_now(),
            by=f"node:{self._name}",
            node=self._name,
            claims=tuple(Claim(run_id=key.run_id, attempt=key.attempt) for key in keys),
        )
        try:
            await self._journal.write(Note.CLAIMING, keys)
            await self._replica.propose(command)
        except CronCordError as error:
            log.warning("%d runs could not be claimed: %s", len(keys), error)
            await self._clock.sleep(_RETRY_SECONDS)
        else:
            refused = set(keys) - self._mine().keys()
            await self._journal.forget(refused)
        finally:
            self._claiming = None
            self._news.set()

    # One attempt

    def _take_in_hand(self, key: LogKey, story: Coroutine[Any, Any, RunResult]) -> None:
        self._in_hand[key] = asyncio.create_task(self._tell(key, story))

    async def _tell(self, key: LogKey, story: Coroutine[Any, Any, RunResult]) -> None:
        try:
            result = await story
        except CalledOff:
            self._let_go(key)
            await self._journal.forget([key])
            return
        # Whatever broke, the run must not stay open for ever: this node cannot tell how it ends.
        except Exception as error:
            log.exception("attempt %d of run %s cannot be followed", key.attempt, key.run_id)
            detail = f"its node failed to follow it: {error!r}"
            result = self._lost(key, detail)
        self._desk.hand_in(result)

    async def _judge(self, key: LogKey) -> RunResult:
        """Take up an attempt that the state gives to this node and that nobody here knows of."""
        note = self._journal.note(key)
        if note is Note.STARTING:
            return self._lost(key, "its node restarted when it was about to start or ran")
        if note is None:
            return self._lost(key, "its node lost its own notes: it may have run")
        return await self._starter.start(key) or await self._follow(key)

    async def _launch(self, request: LaunchRequest) -> None:
        self._launched.add(request.key)
        await self._runner.launch(request)
        self._news.set()

    async def _follow(self, key: LogKey) -> RunResult:
        end = await self._runner.wait(key)
        return result_of(end, ahead=self._ahead())

    def _lost(self, key: LogKey, detail: str) -> RunResult:
        return unstarted(key, RunState.LOST, Reason.NODE_RESTARTED, self._leader_now(), detail)

    def _end(self, key: LogKey, grace_seconds: int, *, report: bool) -> None:
        if key not in self._ending:
            self._ending.add(key)
            self._errand(self._kill(key, grace_seconds, report=report))

    async def _kill(self, key: LogKey, grace_seconds: int, *, report: bool) -> None:
        try:
            await self._runner.kill(key, grace_seconds=grace_seconds)
        except NotFound:  # it ended and its result was agreed meanwhile
            return
        except OSError as error:
            log.warning("run %s could not be told to end: %s", key.run_id, error)
            await self._clock.sleep(_RETRY_SECONDS)
            self._ending.discard(key)
            self._news.set()
            return
        command = ReportKill(
            at=self._leader_now(),
            by=f"node:{self._name}",
            node=self._name,
            run_id=key.run_id,
            attempt=key.attempt,
            signalled_at=self._leader_now(),
        )
        while report and key in self._mine():
            try:
                await self._replica.propose(command)
            except CronCordError as error:
                log.warning("the kill of run %s is not reported yet: %s", key.run_id, error)
                await self._clock.sleep(_RETRY_SECONDS)
            else:
                return

    async def _forget(self, results: Sequence[RunResult]) -> None:
        keys = [LogKey(result.run_id, result.attempt) for result in results]
        for key in keys:
            self._told.add(key)
            self._let_go(key)
        try:
            await self._runner.forget(*keys)
        except Conflict as error:  # only after `_tell` gave up on it: the next start adopts it
            log.warning("what is reported still runs: %s", error.message)
        await self._journal.forget(keys)
        self._news.set()

    def _let_go(self, key: LogKey) -> None:
        self._in_hand.pop(key, None)
        self._launched.discard(key)
        self._ending.discard(key)

    def _errand(self, errand: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(errand)
        self._errands.add(task)
        task.add_done_callback(self._errand_done)
        return task

    def _errand_done(self, task: asyncio.Task[None]) -> None:
        self._errands.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("an errand of the agent failed", exc_info=error)
