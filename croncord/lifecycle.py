"""The states of a run and the moves between them, as a table.

House rules: every change of a run's state looks its move up here; this file knows no command, no
node and no clock. The picture on the run page is drawn from the same table.
"""

from enum import StrEnum
from types import MappingProxyType


class RunState(StrEnum):
    """What is known about a run."""

    PENDING = "pending"
    """Decided; waiting for its instant, its turn, capacity, or its node's claim."""
    RUNNING = "running"
    """A node has claimed it, durably, and started or is about to start the process."""
    SUCCEEDED = "succeeded"
    """The process ended by itself with exit status 0."""
    FAILED = "failed"
    """The process ended by itself with another exit status, or could not be started."""
    TIMED_OUT = "timed_out"
    """CronCord ended the process at its time limit."""
    KILLED = "killed"
    """CronCord ended the process, or kept it from starting, because somebody asked."""
    SKIPPED = "skipped"
    """The tick was due and a rule said not to launch; the reason names the rule."""
    MISSED = "missed"
    """The tick was due and could not be launched in its window; the reason says why."""
    LOST = "lost"
    """The node went silent while this ran; it may or may not have finished."""


class RunEvent(StrEnum):
    """What can happen to a run."""

    CLAIM = "claim"
    ASSIGN = "assign"
    RETRY = "retry"
    SUCCEED = "succeed"
    FAIL = "fail"
    TIME_OUT = "time_out"
    KILL = "kill"
    SKIP = "skip"
    MISS = "miss"
    LOSE = "lose"


TRANSITIONS: MappingProxyType[RunState, dict[RunEvent, RunState]] = MappingProxyType(
    {
        RunState.PENDING: {
            RunEvent.ASSIGN: RunState.PENDING,
            RunEvent.CLAIM: RunState.RUNNING,
            RunEvent.KILL: RunState.KILLED,
            RunEvent.SKIP: RunState.SKIPPED,
            RunEvent.MISS: RunState.MISSED,
        },
        RunState.RUNNING: {
            RunEvent.SUCCEED: RunState.SUCCEEDED,
            RunEvent.FAIL: RunState.FAILED,
            RunEvent.TIME_OUT: RunState.TIMED_OUT,
            RunEvent.KILL: RunState.KILLED,
            RunEvent.LOSE: RunState.LOST,
            RunEvent.RETRY: RunState.PENDING,
        },
        # The truth replaces "lost" when the silent node comes back with a result.
        RunState.LOST: {
            RunEvent.SUCCEED: RunState.SUCCEEDED,
            RunEvent.FAIL: RunState.FAILED,
            RunEvent.TIME_OUT: RunState.TIMED_OUT,
            RunEvent.KILL: RunState.KILLED,
        },
        RunState.SUCCEEDED: {},
        RunState.FAILED: {},
        RunState.TIMED_OUT: {},
        RunState.KILLED: {},
        RunState.SKIPPED: {},
        RunState.MISSED: {},
    }
)

OPEN_STATES = frozenset({RunState.PENDING, RunState.RUNNING})


def move(state: RunState, event: RunEvent) -> RunState | None:
    """Return the state after the event, or None when the table has no such move."""
    return TRANSITIONS[state].get(event)


class Trigger(StrEnum):
    """Why a run exists."""

    SCHEDULE = "schedule"
    MANUAL = "manual"
    CATCH_UP = "catch_up"
    BACKFILL = "backfill"
    RETRY = "retry"
    AFTER = "after"
    EVERY_NODE = "every_node"


class Reason(StrEnum):
    """Which rule or fault gave a run its state."""

    OVERLAP = "overlap"
    PAUSED = "paused"
    CLUSTER_PAUSED = "cluster_paused"
    CALENDAR = "calendar"
    DST_GAP = "dst_gap"
    """The schedule's wall time did not exist. `why` says so; nothing was due, so no row has it."""
    DST_REPEAT = "dst_repeat"
    """The wall time came a second time; told by `why` only, like the gap."""
    QUEUE_FULL = "queue_full"
    LOCK_HELD = "lock_held"
    REPLACED = "replaced"
    LATE = "late"
    NO_QUORUM = "no_quorum"
    """Due while nobody led, and not caught up."""
    NO_TARGET = "no_target"
    NO_CAPACITY = "no_capacity"
    NODE_DOWN = "node_down"
    NODE_RESTARTED = "node_restarted"
    RUNNER_KILLED = "runner_killed"
    """What watched over the script was killed, so nobody knows how the script would have ended."""
    START_FAILED = "start_failed"
    DEPENDENCY_FAILED = "dependency_failed"
    LIMIT_MEMORY = "limit_memory"
    LIMIT_PROCESSES = "limit_processes"
    LIMIT_LOG = "limit_log"
    LIMIT_UNSUPPORTED = "limit_unsupported"
    """No matching node can hold the run to `limits.cpu_percent`."""
    REQUESTED = "requested"
    TIMEOUT = "timeout"
    EXPIRED = "expired"
    DELETED = "deleted"
    RESTORED = "restored"
    """Open when a backup was taken, or due between the backup and its restore."""
