"""What the commands about settings do to the state."""

from croncord.lifecycle import Reason
from croncord.raft.commands import (
    InitCluster,
    PauseCluster,
    SetLabelLimits,
)
from croncord.raft.endings import ASKED_FOR, skip_pending
from croncord.raft.state import ClusterState, Outcome, refuse


def set_label_limits(state: ClusterState, command: SetLabelLimits) -> Outcome:
    """Replace all limits."""
    if any(limit < 0 for limit in command.limits.values()):
        return refuse("invalid", "must be 0 or more", "limits")
    state.label_limits.clear()
    for label in sorted(command.limits):
        state.label_limits[label] = command.limits[label]
    return Outcome(dict(command.limits))


def pause_cluster(state: ClusterState, command: PauseCluster) -> Outcome:
    """Stop or resume launching. Pausing skips what was decided but not claimed yet."""
    state.paused = command.paused
    if not command.paused:
        return Outcome(False)
    waiting = [run for run in state.open_runs.values() if run.trigger not in ASKED_FOR]
    return Outcome(True, rows=tuple(skip_pending(state, waiting, Reason.CLUSTER_PAUSED, command)))


def init_cluster(state: ClusterState, command: InitCluster) -> Outcome:
    """Take the first cluster id and session key proposed."""
    if not state.cluster_id:
        state.cluster_id = command.cluster_id
        state.session_key = command.session_key
    return Outcome(state.cluster_id)
