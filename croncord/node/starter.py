"""From a claimed run to a started script: wait until it is nearly due, ask once more, note it, launch."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

import msgspec

from croncord.clock import Clock
from croncord.errors import CronCordError, NotFound, StoreError
from croncord.lifecycle import Reason, RunState
from croncord.model import Job, Run
from croncord.node import window
from croncord.node.agent_journal import AgentJournal, Note
from croncord.node.attempt_environment import attempt_environment
from croncord.node.job_secrets import job_secrets
from croncord.node.results import unstarted
from croncord.ports import LaunchRequest, LogKey, Vault
from croncord.raft.commands import RunResult
from croncord.raft.port import Replica

LATE_SECONDS: Final = 5.0
"""Who is so late with a start, because the machine slept or restarted, asks the cluster first."""
HEAD_START_SECONDS: Final = 0.1
"""So long before its instant a start is noted and its shim made, which then waits for it."""

_LOOK_SECONDS = 1.0
_RETRY_SECONDS = 0.5


class CalledOff(Exception):
    """The run is no longer this node's to start."""


class Starter:
    """Starts runs that this node has claimed."""

    def __init__(
        self,
        *,
        name: str,
        replica: Replica,
        clock: Clock,
        leader_now: Callable[[], datetime],
        journal: AgentJournal,
        launch: Callable[[LaunchRequest], Awaitable[None]],
        vault: Vault | None = None,
    ) -> None:
        """`leader_now` is this node's clock corrected by its offset to the leader."""
        self._name = name
        self._replica = replica
        self._clock = clock
        self._leader_now = leader_now
        self._journal = journal
        self._launch = launch
        self._vault = vault

    async def start(self, key: LogKey) -> RunResult | None:
        """Return None when it is launched, else how it ended without a start. Raises CalledOff."""
        run = await self._wait_until_due(key)
        job = self._replica.state.job_version(run.job_id, run.job_version)
        if job is None:
            return self._not_started(key, "the definition of its job is gone")
        if run.kill is None and window.has_passed(run, job.spec.misfire, self._leader_now()):
            detail = "it was claimed, not started in time, and is too late now"
            return self._ended(key, RunState.LOST, Reason.NODE_RESTARTED, detail)
        if run.kill is None:
            try:
                await self._journal.write(Note.STARTING, [key])
            except StoreError as error:
                return self._not_started(key, error.message)
            run = self._current(key)
        if run.kill is not None:
            detail = "it was ended before it started"
            return self._ended(key, RunState.KILLED, run.kill.reason, detail)
        upstream = self._replica.state.run(run.upstream) if run.upstream else None
        try:
            secrets = job_secrets(self._replica.state, job.spec, self._vault)
        except (NotFound, StoreError) as error:
            return self._not_started(key, f"{error.message}. {error.hint}".strip())
        request = msgspec.structs.replace(
            _request(run, job, self._name, upstream),
            secrets=secrets,
            not_before=self._instant_of(run),
        )
        await self._launch(request)
        return None

    def _instant_of(self, run: Run) -> float:
        """Return when the script may start, on this machine's monotonic clock."""
        early_seconds = (run.due_at - self._leader_now()).total_seconds()
        return self._clock.monotonic() + max(0.0, early_seconds)

    async def _wait_until_due(self, key: LogKey) -> Run:
        """Return the run as it is just before it may start, or as soon as its end is asked for."""
        is_confirmed = False
        while True:
            run = self._current(key)
            early_seconds = (run.due_at - self._leader_now()).total_seconds()
            if run.kill is not None:
                return run
            if early_seconds > HEAD_START_SECONDS:
                # In short steps: the clock or its offset may be corrected meanwhile.
                await self._clock.sleep(min(early_seconds - HEAD_START_SECONDS, _LOOK_SECONDS))
            elif not is_confirmed and self._lateness_seconds(run) > LATE_SECONDS:
                is_confirmed = await self._ask_again()
            else:
                return run

    async def _ask_again(self) -> bool:
        """Catch up with what was agreed meanwhile; returns whether that worked."""
        try:
            await self._replica.barrier()
        except CronCordError:  # no majority: nothing starts this late without its word
            await self._clock.sleep(_RETRY_SECONDS)
            return False
        return True

    def _current(self, key: LogKey) -> Run:
        run = self._replica.state.open_runs.get(key.run_id)
        if run is None or run.node != self._name or run.attempt != key.attempt:
            raise CalledOff
        return run

    def _lateness_seconds(self, run: Run) -> float:
        promised_at = max(run.due_at, run.claimed_at or run.due_at)
        return (self._leader_now() - promised_at).total_seconds()

    def _not_started(self, key: LogKey, detail: str) -> RunResult:
        return self._ended(key, RunState.FAILED, Reason.START_FAILED, detail)

    def _ended(self, key: LogKey, state: RunState, reason: Reason, detail: str) -> RunResult:
        return unstarted(key, state, reason, self._leader_now(), detail)


def _request(run: Run, job: Job, node: str, upstream: Run | None) -> LaunchRequest:
    spec = job.spec
    return LaunchRequest(
        key=LogKey(run.id, run.attempt),
        script=spec.script.encode(errors="surrogateescape"),
        environment=attempt_environment(run, job, node, upstream),
        working_directory=spec.working_directory,
        user=spec.user,
        timeout_seconds=spec.timeout_seconds,
        kill_grace_seconds=spec.kill_grace_seconds,
        log_bytes=min(spec.limits.log_bytes, spec.retention.bytes or spec.limits.log_bytes),
        on_limit=spec.limits.on_limit,
        memory_bytes=spec.limits.memory_bytes,
        processes=spec.limits.processes,
        open_files=spec.limits.open_files,
        umask=int(spec.umask, 8),
        nice=spec.nice,
        ionice=spec.ionice,
        cpu_percent=spec.limits.cpu_percent,
    )
