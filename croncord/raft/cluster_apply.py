"""What the commands about settings and access do to the state."""

from croncord.lifecycle import Reason
from croncord.raft.commands import (
    InitCluster,
    PauseCluster,
    PutLink,
    PutToken,
    PutUser,
    RemoveUser,
    RevokeToken,
    SetLabelLimits,
    UseLink,
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


def put_token(state: ClusterState, command: PutToken) -> Outcome:
    """Store a token."""
    state.tokens[command.token.id] = command.token
    return Outcome(command.token)


def revoke_token(state: ClusterState, command: RevokeToken) -> Outcome:
    """Remove a token."""
    token = state.tokens.pop(command.token_id, None)
    return refuse("not_found", "no such token") if token is None else Outcome(token)


def put_user(state: ClusterState, command: PutUser) -> Outcome:
    """Create or replace a user."""
    if command.expect_new and command.user.name in state.users:
        return refuse("conflict", f"a user named {command.user.name!r} exists already", "name")
    state.users[command.user.name] = command.user
    return Outcome(command.user)


def remove_user(state: ClusterState, command: RemoveUser) -> Outcome:
    """Remove a user."""
    user = state.users.pop(command.name, None)
    return refuse("not_found", "no such user") if user is None else Outcome(user)


def put_link(state: ClusterState, command: PutLink) -> Outcome:
    """Store a link and drop those that expired."""
    for key, link in list(state.links.items()):
        if link.expires_at <= command.at:
            del state.links[key]
    state.links[command.link.sha256] = command.link
    return Outcome(command.link)


def use_link(state: ClusterState, command: UseLink) -> Outcome:
    """Spend a link."""
    link = state.links.pop(command.sha256, None)
    if link is None or link.expires_at <= command.at:
        return refuse("not_found", "the link was used already or has expired")
    return Outcome(link)
