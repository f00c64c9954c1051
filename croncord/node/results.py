"""From how a process ended to the result that the cluster agrees on."""

from datetime import datetime, timedelta
from typing import Final

from croncord.lifecycle import Reason, RunState
from croncord.ports import LogKey, ProcessEnd
from croncord.raft.commands import RunResult

DETAIL_CHARACTERS: Final = 1000

_STATES: Final = {
    "timed_out": (RunState.TIMED_OUT, Reason.TIMEOUT),
    "killed": (RunState.KILLED, Reason.REQUESTED),
    "limit_memory": (RunState.FAILED, Reason.LIMIT_MEMORY),
    "limit_processes": (RunState.FAILED, Reason.LIMIT_PROCESSES),
    "limit_log": (RunState.FAILED, Reason.LIMIT_LOG),
    "start_failed": (RunState.FAILED, Reason.START_FAILED),
    "lost": (RunState.LOST, Reason.NODE_RESTARTED),
    "runner_killed": (RunState.LOST, Reason.RUNNER_KILLED),
}


def result_of(end: ProcessEnd, *, ahead: timedelta) -> RunResult:
    """Return the result of a process that ended.

    `ahead` is how much this node's clock is ahead of the leader's: rows tell the leader's time.
    """
    if end.outcome == "exited":
        state, reason = (RunState.SUCCEEDED if end.exit_code == 0 else RunState.FAILED), None
    else:
        state, reason = _STATES[end.outcome]
    return RunResult(
        run_id=end.key.run_id,
        attempt=end.key.attempt,
        state=state,
        reason=reason,
        started_at=None if end.started_at is None else end.started_at - ahead,
        finished_at=end.finished_at - ahead,
        exit_code=end.exit_code,
        signal=end.signal,
        cpu_seconds=end.cpu_seconds,
        max_rss_bytes=end.max_rss_bytes,
        log=end.log,
        excerpt=end.excerpt,
        detail=end.detail[:DETAIL_CHARACTERS],
        signalled_at=None if end.signalled_at is None else end.signalled_at - ahead,
        survivors=end.survivors,
        messages=end.messages,
    )


def unstarted(key: LogKey, state: RunState, reason: Reason, at: datetime, detail: str) -> RunResult:
    """Return the result of an attempt that has no process to tell about. `at`: leader's time."""
    return RunResult(
        run_id=key.run_id,
        attempt=key.attempt,
        state=state,
        reason=reason,
        finished_at=at,
        detail=detail[:DETAIL_CHARACTERS],
    )
