"""What the leader decides next: pure, from the state, the time and what nodes have reported.

It takes facts and returns commands; `croncord.node.dispatcher` reads the clock, proposes and sleeps.
Ticks are decided in `croncord.node.ticking`; runs that wait in
`croncord.node.waiting`; this module looks after nodes.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec

from croncord.node.facts import Facts, Limits
from croncord.node.lock_desk import LockDesk
from croncord.node.misfire import Lateness
from croncord.node.placement import Placer
from croncord.node.ticking import decide_due
from croncord.node.waiting import Waiting
from croncord.raft.commands import AnyCommand, DecideTicks, MarkNodes
from croncord.raft.state import ClusterState

__all__ = ["Facts", "Limits", "Plan", "plan"]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to propose, in this order, and when to plan again at the latest."""

    commands: tuple[AnyCommand, ...]
    wake_at: datetime


def plan(state: ClusterState, facts: Facts, limits: Limits) -> Plan:
    """Decide everything that can be decided now."""
    silent = frozenset(
        name
        for name, seconds in facts.silent_seconds.items()
        if seconds > limits.node_timeout_seconds and name != facts.leader
    )
    commands: list[AnyCommand] = list(_mark_nodes(state, facts, silent))
    placer = Placer(
        state,
        leader=facts.leader,
        silent=silent,
        offsets_ms=facts.offsets_ms,
        pressed=frozenset(facts.pressed),
        quiet=facts.quiet,
        holding_cpu=facts.holding_cpu,
    )
    locks = LockDesk(state)
    waiting = Waiting(state, facts, limits, placer=placer, locks=locks, silent=silent)
    commands += waiting.commands()
    lateness = Lateness(
        now=facts.now,
        after=timedelta(seconds=limits.late_after_seconds),
        led_since=facts.led_since,
    )
    due = decide_due(
        state,
        placer,
        locks,
        lateness=lateness,
        horizon=timedelta(seconds=limits.horizon_seconds),
        limit=limits.batch,
    )
    if due.jobs:
        commands.append(DecideTicks(at=facts.now, by=facts.by, term=facts.term, jobs=due.jobs))
    wakes = [facts.now + timedelta(seconds=limits.idle_seconds), waiting.wake_at, due.wake_at]
    return Plan(commands=tuple(commands), wake_at=min(at for at in wakes if at is not None))


def _mark_nodes(state: ClusterState, facts: Facts, silent: frozenset[str]) -> Iterator[MarkNodes]:
    down = tuple(n.name for n in state.nodes.values() if n.up and n.name in silent)
    up = tuple(
        n.name for n in state.nodes.values() if not n.up and not n.joining and n.name not in silent
    )
    if down or up:
        yield MarkNodes(at=facts.now, by=facts.by, term=facts.term, up=up, down=down)
