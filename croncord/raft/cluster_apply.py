"""What the commands about nodes, settings and access do to the state."""

import msgspec

from croncord.lifecycle import Reason, Trigger
from croncord.model import Node, Run, run_id
from croncord.policy import matches
from croncord.raft.commands import (
    DrainNode,
    InitCluster,
    MarkNodes,
    PauseCluster,
    PutLink,
    PutNode,
    PutToken,
    PutUser,
    RemoveNode,
    RemoveUser,
    RevokeToken,
    SetLabelLimits,
    UseLink,
)
from croncord.raft.endings import ASKED_FOR, end_run, skip_pending
from croncord.raft.runs_apply import outdated
from croncord.raft.starting import new_run, skipped
from croncord.raft.state import ClusterState, Outcome, refuse


def mark_nodes(state: ClusterState, command: MarkNodes) -> Outcome:
    """Record which nodes answer and which are silent."""
    if refusal := outdated(state, command):
        return refusal
    for names, up in ((command.up, True), (command.down, False)):
        for name in names:
            node = state.nodes.get(name)
            if node is not None and node.up is not up:
                state.nodes[name] = msgspec.structs.replace(node, up=up, changed_at=command.at)
    return Outcome(None)


def put_node(state: ClusterState, command: PutNode) -> Outcome:
    """Add a node or renew what it says about itself; draining and its join time are kept.

    Jobs that run when a node joins get a row for a new one.
    """
    old = state.nodes.get(command.node.name)
    node = command.node
    if old is not None:
        node = msgspec.structs.replace(node, draining=old.draining, joined_at=old.joined_at)
    state.nodes[node.name] = node
    rows = [] if old is not None else _run_on_join(state, node, command)
    return Outcome(node, rows=tuple(rows))


def _run_on_join(state: ClusterState, node: Node, command: PutNode) -> list[Run]:
    rows: list[Run] = []
    wanted = [j for j in state.jobs.values() if j.spec.target.on_join]
    for job in sorted(wanted, key=lambda job: job.id):
        if not matches(job.spec.target, node):
            continue
        row = msgspec.structs.replace(
            new_run(
                job,
                command,
                run_id=run_id(job.id, command.at, "join", node.name),
                nominal_time=command.at,
                trigger=Trigger.EVERY_NODE,
            ),
            decided_by="",
            by=f"node:{node.name}",
            target=node.name,
        )
        if job.spec.paused or state.paused:
            reason = Reason.PAUSED if job.spec.paused else Reason.CLUSTER_PAUSED
            rows += end_run(state, skipped(row, reason), command)
        elif state.run(row.id) is None:
            state.put_run(row)
    return rows


def set_label_limits(state: ClusterState, command: SetLabelLimits) -> Outcome:
    """Replace all limits."""
    if any(limit < 0 for limit in command.limits.values()):
        return refuse("invalid", "must be 0 or more", "limits")
    state.label_limits.clear()
    for label in sorted(command.limits):
        state.label_limits[label] = command.limits[label]
    return Outcome(dict(command.limits))


def drain_node(state: ClusterState, command: DrainNode) -> Outcome:
    """Stop giving a node new runs, or start again."""
    node = state.nodes.get(command.name)
    if node is None:
        return refuse("not_found", f"no node named {command.name!r}")
    node = msgspec.structs.replace(node, draining=command.draining, changed_at=command.at)
    state.nodes[node.name] = node
    return Outcome(node)


def remove_node(state: ClusterState, command: RemoveNode) -> Outcome:
    """Forget a node that is down, or has nothing in hand."""
    node = state.nodes.get(command.name)
    if node is None:
        return refuse("not_found", f"no node named {command.name!r}")
    if node.up and state.runs_of_node(command.name):
        return refuse("conflict", "the node has runs in hand; drain it and wait for them")
    del state.nodes[command.name]
    return Outcome(node)


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
