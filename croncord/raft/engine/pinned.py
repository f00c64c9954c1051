"""pysyncobj with its private parts named: the one file that spells `_SyncObj__…`.

pysyncobj drives the roles, the tick and the log. The classes beside this module replace its steps
one by one by overriding the plainly named methods below; a class that is left out leaves
pysyncobj's own behaviour in place, which is how the tests show what each of them is for.

Python spells SyncObj's private method `__x` as `_SyncObj__x`. That is no interface, so the version
is pinned and checked when this module is imported.
"""
# ruff: noqa: N802 - the names that are overridden are pysyncobj's

from collections.abc import Callable, Iterable
from typing import Any, Final

from pysyncobj import SyncObj, SyncObjConf, syncobj
from pysyncobj.node import Node
from pysyncobj.version import VERSION

from croncord.errors import CronCordError
from croncord.raft.engine.machine import Machine
from croncord.raft.entrylog import EntryLog
from croncord.raft.snapshotport import SnapshotStore

PINNED: Final = "0.3.17"
if VERSION != PINNED:
    raise ImportError(
        f"pysyncobj {VERSION} is installed, but croncord.raft overrides private methods of {PINNED}"
        " and would be unsafe with another. To move the pin: read the changes of syncobj.py against"
        " every override in croncord/raft/engine, run tests/simulation with `-m slow`, and change"
        " PINNED and pyproject.toml together."
    )

FOLLOWER: Final = 0
CANDIDATE: Final = 1
LEADER: Final = 2

REGULAR: Final = b"\x00"
NO_OP: Final = b"\x01"
MEMBERSHIP: Final = b"\x02"

Message = dict[str, Any]


class Halted(CronCordError):
    """The node must stop: going on could lose or invent agreed entries."""

    title = "Consensus halted"


class Pinned(SyncObj):  # type: ignore[misc]  # pysyncobj ships no types
    """The engine without any override: pysyncobj's behaviour, our names, no pickle."""

    def __init__(
        self,
        me: Node | None,
        peers: Iterable[Node],
        *,
        conf: SyncObjConf,
        log: EntryLog,
        machine: Machine,
        transport: Any,
        snapshots: SnapshotStore,
    ) -> None:
        self.machine = machine
        self.snapshots = snapshots
        self.transport = transport
        self.last_contact = 0.0
        """When a live leader last spoke to this node, on the engine's clock."""
        self.prepare()
        super().__init__(me, list(peers), conf, nodeClass=Node, transport=transport)
        self._SyncObj__raftLog = log
        self._SyncObj__needLoadDumpFile = False
        if not log.entries:
            log.add(NO_OP, 1, 0)
        self.recover()

    def prepare(self) -> None:
        """Set an override's own fields; called before pysyncobj's constructor."""

    def recover(self) -> None:
        """Take over what the log holds: term, vote, commit index."""
        self._SyncObj__raftCurrentTerm = max(self.log.term, self.log.entries[-1][2])
        self._SyncObj__votedForNodeId = self.log.vote
        self._SyncObj__raftCommitIndex = min(self.log.commit, self.log.last_index)
        self.log.sync()

    # -- what pysyncobj knows, by plain names ------------------------------------------------

    @property
    def log(self) -> EntryLog:
        """The Raft log."""
        log: EntryLog = self._SyncObj__raftLog
        return log

    @property
    def me(self) -> Node | None:
        """This node, or None on an observer."""
        return self._SyncObj__selfNode

    @property
    def peers(self) -> set[Node]:
        """The other voters."""
        peers: set[Node] = self._SyncObj__otherNodes
        return peers

    @property
    def observers(self) -> set[Node]:
        """Connected nodes that receive the log and never vote."""
        observers: set[Node] = self._SyncObj__readonlyNodes
        return observers

    @property
    def connected(self) -> set[Node]:
        """Nodes with a working connection."""
        connected: set[Node] = self._SyncObj__connectedNodes
        return connected

    @property
    def role(self) -> int:
        """FOLLOWER, CANDIDATE or LEADER."""
        role: int = self._SyncObj__raftState
        return role

    @role.setter
    def role(self, role: int) -> None:
        self._SyncObj__setState(role)

    @property
    def term(self) -> int:
        """The current term."""
        term: int = self._SyncObj__raftCurrentTerm
        return term

    @property
    def voted_for(self) -> str | None:
        """Who got this node's vote in the current term."""
        voted: str | None = self._SyncObj__votedForNodeId
        return voted

    @property
    def leader(self) -> Node | None:
        """The leader of the current term, as far as it is known."""
        return self._SyncObj__raftLeader

    @leader.setter
    def leader(self, leader: Node | None) -> None:
        self._SyncObj__raftLeader = leader

    @property
    def commit_index(self) -> int:
        """The newest index that is known to be committed."""
        index: int = self._SyncObj__raftCommitIndex
        return index

    @commit_index.setter
    def commit_index(self, index: int) -> None:
        self._SyncObj__raftCommitIndex = index
        self.log.setRaftCommitIndex(index)

    @property
    def applied_index(self) -> int:
        """The newest index that was handed to the machine."""
        index: int = self._SyncObj__raftLastApplied
        return index

    @applied_index.setter
    def applied_index(self, index: int) -> None:
        self._SyncObj__raftLastApplied = index

    @property
    def no_op_index(self) -> int | None:
        """Where this leader's term begins in the log."""
        index: int | None = self._SyncObj__noopIDx
        return index

    @property
    def next_index(self) -> dict[Node, int]:
        """Per node, the next entry to send."""
        table: dict[Node, int] = self._SyncObj__raftNextIndex
        return table

    @property
    def match_index(self) -> dict[Node, int]:
        """Per node, the newest entry that is known to be on its disk."""
        table: dict[Node, int] = self._SyncObj__raftMatchIndex
        return table

    @property
    def last_response(self) -> dict[Node, float]:
        """Per node, when it last answered this leader."""
        table: dict[Node, float] = self._SyncObj__lastResponseTime
        return table

    @property
    def election_deadline(self) -> float:
        """When this node starts an election unless a leader is heard before."""
        deadline: float = self._SyncObj__raftElectionDeadline
        return deadline

    @election_deadline.setter
    def election_deadline(self, deadline: float) -> None:
        self._SyncObj__raftElectionDeadline = deadline

    @property
    def change_index(self) -> int | None:
        """Index of the membership change that is not committed yet."""
        index: int | None = self._SyncObj__changeClusterIDx
        return index

    @change_index.setter
    def change_index(self, index: int | None) -> None:
        self._SyncObj__changeClusterIDx = index

    def now(self) -> float:
        """Read the engine's monotonic clock, in seconds."""
        now: float = syncobj.monotonicTime()
        return now

    def election_timeout(self) -> float:
        """Return a fresh random election timeout, in seconds."""
        seconds: float = self._SyncObj__generateRaftTimeout()
        return seconds

    def set_term(self, term: int, vote: str | None = None) -> None:
        """Enter a term, durably, with a vote or without."""
        self._SyncObj__setCurrentTerm(term, vote)

    def step_down(self, term: int) -> None:
        """Follow in a newer term whose leader is not known yet."""
        self.set_term(term)
        self.role = FOLLOWER
        self.leader = None

    def send(self, node: Node, message: Message) -> None:
        """Send to a connected node; what cannot be sent is lost."""
        self.transport.send(node, message)

    def majority(self, count: int) -> bool:
        """Whether this many voters, the own one included, are more than half."""
        return count * 2 > len(self.peers) + 1

    # -- steps that the overrides replace ----------------------------------------------------

    def tick(self, timeout: float) -> None:
        """One round: elections, commit, hand-over, sending, then wait for the network."""
        super()._onTick(timeout)

    def on_message(self, node: Node, message: Message) -> None:
        """Handle one message."""
        super()._SyncObj__onMessageReceived(node, message)

    def send_appends(self) -> None:
        """As leader, send everybody what it lacks, or a heartbeat."""
        super()._SyncObj__sendAppendEntries()

    def hand_over(self) -> bool:
        """Hand committed entries to the machine."""
        return bool(super()._SyncObj__applyLogEntries())

    def take_commands(self) -> None:
        """Append or forward what was proposed on this node."""
        super()._checkCommandsToApply()

    def become_leader(self) -> None:
        """Take office: reset what is known of the others, append a no-op."""
        super()._SyncObj__onBecomeLeader()

    def leader_changed(self) -> None:
        """Somebody else leads now."""
        super()._SyncObj__onLeaderChanged()

    def change_cluster(self, request: list[Any]) -> bool:
        """As leader, accept or refuse a membership change."""
        return bool(super()._SyncObj__changeCluster(request))

    def do_change(self, request: list[Any], *, reverse: bool = False) -> bool:
        """Put a membership change into effect, or take it back."""
        return bool(super()._SyncObj__doChangeCluster(request, reverse))

    def compact(self) -> None:
        """Drop entries that a snapshot covers."""
        super()._SyncObj__tryLogCompaction()

    def connected_to(self, node: Node) -> None:
        """Note that a connection came up."""
        super()._SyncObj__onNodeConnected(node)

    def disconnected_from(self, node: Node) -> None:
        """Note that a connection went down."""
        super()._SyncObj__onNodeDisconnected(node)

    def parse_change(self, command: bytes) -> list[Any] | None:
        """Return a membership entry's request, None for other entries. Overridden with a codec."""
        raise NotImplementedError

    # -- pysyncobj's calls, routed to the steps above ----------------------------------------

    def _onTick(self, timeToWait: float = 0.0) -> None:  # noqa: N803 - pysyncobj's
        self.tick(timeToWait)

    def _SyncObj__onMessageReceived(self, node: Node, message: Message) -> None:
        self.on_message(node, message)

    def _SyncObj__sendAppendEntries(self) -> None:
        self.send_appends()

    def _SyncObj__applyLogEntries(self) -> bool:
        return self.hand_over()

    def _checkCommandsToApply(self) -> None:
        self.take_commands()

    def _SyncObj__onBecomeLeader(self) -> None:
        self.become_leader()

    def _SyncObj__onLeaderChanged(self) -> None:
        self.leader_changed()

    def _SyncObj__changeCluster(self, request: list[Any]) -> bool:
        return self.change_cluster(request)

    def _SyncObj__doChangeCluster(self, request: list[Any], reverse: bool = False) -> bool:  # noqa: FBT001, FBT002 - pysyncobj's
        return self.do_change(request, reverse=reverse)

    def _SyncObj__tryLogCompaction(self) -> None:
        self.compact()

    def _SyncObj__onNodeConnected(self, node: Node) -> None:
        self.connected_to(node)

    def _SyncObj__onNodeDisconnected(self, node: Node) -> None:
        self.disconnected_from(node)

    def _SyncObj__parseChangeClusterRequest(self, command: bytes) -> list[Any] | None:
        return self.parse_change(command)

    def _SyncObj__doApplyCommand(self, command: bytes) -> None:
        """Replace unpickling and calling by a hand-over of opaque bytes (scenario s14)."""
        entry = self.log.at(self.applied_index + 1)
        if command[:1] == REGULAR and entry is not None:
            self.machine.committed(entry[1], entry[2], command[1:])


class AroundPoller:
    """pysyncobj's poller, with a step before it waits and one after it returned."""

    def __init__(self, poller: Any, before: Callable[[], bool], after: Callable[[], None]) -> None:
        self._poller, self._before, self._after = poller, before, after

    def subscribe(self, descriptor: int, callback: Any, events: int) -> None:
        """Watch a descriptor."""
        self._poller.subscribe(descriptor, callback, events)

    def unsubscribe(self, descriptor: int) -> None:
        """Stop watching a descriptor."""
        self._poller.unsubscribe(descriptor)

    def poll(self, timeout: float) -> None:
        """Wait for the network, unless there is work left to do at once."""
        self._poller.poll(0.0 if self._before() else timeout)
        self._after()
