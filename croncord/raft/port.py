"""The port of the agreed state: read it, change it, watch it.

Everything here is called on the event loop's thread. `ClusterState` changes only on that thread,
between awaits, so a function that does not await sees one consistent state.
"""

from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

from croncord.raft.commands import AnyCommand
from croncord.raft.state import ClusterState, Outcome


class ReplicaStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What this node knows about the Raft group."""

    name: str
    role: Literal["leader", "follower", "candidate", "observer"]
    leader: str | None
    """The leader's node name, or None when this node knows none that still answers."""
    term: int
    commit_index: int
    applied_index: int
    has_quorum: bool
    """On the leader: a majority answered within an election timeout. Elsewhere: a leader is known."""
    contact_age_seconds: float
    """Since this node last heard from a leader (0 on the leader)."""
    members: tuple[str, ...]
    reachable: tuple[str, ...]
    """Members this node has a working Raft connection to, itself included."""
    learners: tuple[str, ...] = ()
    """On the leader: nodes that receive the log and do not vote."""
    disk: str = ""
    """Names this node's disk; a wiped node has another one."""
    is_settled: bool = True
    """False on a voter whose disk is empty or was wiped, until it may vote and count."""
    is_expelled: bool = False
    """Whether other nodes said that this node's disk was removed from the cluster, for good."""


AppliedListener = Callable[[int, AnyCommand, Outcome], None]
"""Called after each applied command, in order, with its index, the command and its outcome."""


async def nothing_to_wait_for() -> None:
    """Return at once: the journal may be cut at any time."""


class Replica(Protocol):
    """This node's copy of the agreed state, and the way to change it."""

    @property
    def state(self) -> ClusterState:
        """The state as of `status().applied_index`. Read only."""

    def status(self) -> ReplicaStatus:
        """Return a cheap snapshot of roles and indexes."""

    async def propose(
        self,
        command: AnyCommand,
        *,
        timeout_seconds: float = 5.0,
        request_id: bytes | None = None,
    ) -> Outcome:
        """Have the command agreed and applied, also on this node, and return its outcome.

        The same `request_id` (16 bytes) is applied once, however often it is proposed, and gives
        the first outcome, without its rows.
        Works on any node; followers pass it to the leader.
        Raises NoLeader when it surely was not sent, OutcomeUnknown when it may yet be applied.
        """

    async def barrier(self, *, timeout_seconds: float = 5.0) -> None:
        """Wait until this node has applied all that was committed when this was called.

        A read after it is linearizable. Raises NoLeader.
        """

    def subscribe(self, listener: AppliedListener) -> Callable[[], None]:
        """Call the listener for each applied command from now on; returns how to stop that."""

    def on_restored(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call the listener when a snapshot took the state's place; returns how to stop that.

        What the commands in between made final has passed this node by.
        """

    def on_status_change(self, listener: Callable[[ReplicaStatus], None]) -> Callable[[], None]:
        """Call the listener when role, leader, term or quorum change; returns how to stop that."""

    async def transfer_leadership(self, *, timeout_seconds: float = 5.0) -> None:
        """Give leadership to another node and return when this one no longer leads.

        Does nothing on a node that does not lead or is alone.
        """

    async def start(self) -> None:
        """Open the journal, restore the state, connect to the members."""

    async def stop(self) -> None:
        """Close everything; the journal is durable when this returns."""
