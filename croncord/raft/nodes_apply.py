"""What the commands about machines do to the state: who is in, who answers, who is out for good."""

import msgspec

from croncord.lifecycle import Reason, Trigger
from croncord.model import JoinToken, JoinUse, Node, RemovedNode, Run, run_id
from croncord.policy import matches
from croncord.raft.command import Command
from croncord.raft.commands import (
    AdmitNode,
    DrainNode,
    FreezeNode,
    MarkNodes,
    PutJoinToken,
    PutNode,
    RemoveNode,
    SetLogLevel,
)
from croncord.raft.endings import end_run
from croncord.raft.runs_apply import outdated
from croncord.raft.starting import new_run, skipped
from croncord.raft.state import ClusterState, Outcome, Refusal, refuse

REMOVED_KEPT = 1000
"""Disks that are remembered as removed."""


def mark_nodes(state: ClusterState, command: MarkNodes) -> Outcome:
    """Record which nodes answer and which are silent."""
    if refusal := outdated(state, command):
        return refusal
    for names, up in ((command.up, True), (command.down, False)):
        for name in names:
            node = state.nodes.get(name)
            if node is not None and node.up is not up and not node.joining:
                state.nodes[name] = msgspec.structs.replace(node, up=up, changed_at=command.at)
    return Outcome(None)


def put_node(state: ClusterState, command: PutNode) -> Outcome:
    """Add a node or renew what it says about itself; what others said of it is kept.

    A node under the name of another disk replaces that one. Jobs that run when a node joins get a
    row for a new one.
    """
    old = state.nodes.get(command.node.name)
    node = command.node
    if node.disk in state.removed:
        return refuse("conflict", f"{node.name} was removed from the cluster", "disk")
    if old is not None:
        node = msgspec.structs.replace(
            node,
            draining=old.draining,
            joined_at=old.joined_at,
            log_level=old.log_level,
            log_level_until=old.log_level_until,
        )
        if old.disk != node.disk:
            _ban(state, old, command)
    state.nodes[node.name] = node
    rows = [] if old is not None and not old.joining else _run_on_join(state, node, command)
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


def freeze_node(state: ClusterState, command: FreezeNode) -> Outcome:
    """Refuse what is no node; the drill itself is nothing that is agreed on."""
    if command.name not in state.nodes:
        return refuse("not_found", f"no node is named {command.name!r}")
    return Outcome(None)


def drain_node(state: ClusterState, command: DrainNode) -> Outcome:
    """Stop giving a node new runs, or start again."""
    node = state.nodes.get(command.name)
    if node is None:
        return refuse("not_found", f"no node named {command.name!r}")
    node = msgspec.structs.replace(node, draining=command.draining, changed_at=command.at)
    state.nodes[node.name] = node
    return Outcome(node)


def set_log_level(state: ClusterState, command: SetLogLevel) -> Outcome:
    """Note how much a node is to say about itself."""
    node = state.nodes.get(command.name)
    if node is None:
        return refuse("not_found", f"no node named {command.name!r}")
    node = msgspec.structs.replace(
        node,
        log_level=command.level,
        log_level_until=command.until if command.level else None,
    )
    state.nodes[node.name] = node
    return Outcome(node)


def remove_node(state: ClusterState, command: RemoveNode) -> Outcome:
    """Forget a node that is down, or has nothing in hand, and remember its disk as removed."""
    node = state.nodes.get(command.name)
    if node is None:
        return refuse("not_found", f"no node named {command.name!r}")
    if node.up and state.runs_of_node(command.name) and not command.force:
        return refuse(
            "conflict", "the node has runs in hand; drain it and wait for them, or force it"
        )
    del state.nodes[command.name]
    _ban(state, node, command)
    return Outcome(node)


def _ban(state: ClusterState, node: Node, command: Command) -> None:
    if not node.disk:
        return
    state.removed[node.disk] = RemovedNode(name=node.name, at=command.at, by=command.by)
    while len(state.removed) > REMOVED_KEPT:
        del state.removed[next(iter(state.removed))]


def put_join_token(state: ClusterState, command: PutJoinToken) -> Outcome:
    """Store a join token and drop those that expired."""
    for key, token in list(state.join_tokens.items()):
        if token.expires_at <= command.at:
            del state.join_tokens[key]
    state.join_tokens[command.token.id] = command.token
    return Outcome(command.token)


def admit_node(state: ClusterState, command: AdmitNode) -> Outcome:
    """Spend a use of the token and take the machine in; the value is the role it is to ask for."""
    role = command.role
    token = state.join_tokens.get(command.token_id) if command.token_id else None
    if command.token_id:
        if token is None or token.expires_at <= command.at:
            return refuse("forbidden", "the join token has expired or is not known")
        role = command.role if token.role == "auto" else token.role
        if any(use.request_sha256 == command.request_sha256 for use in token.uses):
            return Outcome(role)
        if refusal := _spent(token):
            return Outcome(refusal=refusal)
    old = state.nodes.get(command.name)
    if old is not None and old.up and not old.joining:
        return refuse("conflict", f"a node named {command.name!r} is a member and answers", "name")
    if token is not None:
        use = JoinUse(name=command.name, request_sha256=command.request_sha256, at=command.at)
        state.join_tokens[token.id] = msgspec.structs.replace(
            token, uses_left=token.uses_left - 1, uses=(*token.uses, use)
        )
    if old is not None:
        _ban(state, old, command)
    state.nodes[command.name] = Node(
        name=command.name,
        http=command.http,
        raft=command.raft,
        role=role,
        up=False,
        joining=True,
        joined_at=command.at,
        changed_at=command.at,
    )
    return Outcome(role)


def _spent(token: JoinToken) -> Refusal | None:
    if token.uses_left > 0:
        return None
    last = token.uses[-1] if token.uses else None
    by = f" by {last.name}" if last else ""
    return Refusal("forbidden", f"the join token was used already{by}")
