"""Who belongs to the group: one change at a time, in effect as soon as it is in the log.

Scenario s2: pysyncobj means to allow one change at a time but never records the pending one, so
two in flight can make two majorities that do not overlap. Single-server changes are those of
Ongaro's thesis, section 4.1, with the correction that a leader first commits a no-op of its term.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from pysyncobj.node import Node

from croncord.raft.engine.append import Append
from croncord.raft.engine.pinned import LEADER, MEMBERSHIP, Message, Pinned
from croncord.raft.engine.votes import Votes
from croncord.raft.entrylog import EntryLog

_decode = msgspec.json.Decoder().decode


class Member(Node):  # type: ignore[misc]  # pysyncobj ships no types
    """A node by name. Its hash is kept, because the engine looks nodes up all the time."""

    def __init__(self, name: str, address: str, incarnation: int = 0) -> None:
        super().__init__(name, address=address, incarnation=incarnation)
        self.kept_hash = hash(name)

    def __hash__(self) -> int:
        kept: int = self.kept_hash
        return kept

    def __eq__(self, other: object) -> bool:
        return self is other or super().__eq__(other)


def voter(name: str, address: str, incarnation: int = 0) -> Member:
    """Return the engine's form of a voter."""
    return Member(name, address, incarnation)


def change_entry(what: str, name: str, address: str, incarnation: int) -> bytes:
    """Return the log entry that adds ("add") or removes ("rem") a voter."""
    return MEMBERSHIP + msgspec.json.encode([what, name, address, incarnation])


def founding_entry(members: Mapping[str, str]) -> bytes:
    """Return the first entry of a log: the voters the group was founded with."""
    return MEMBERSHIP + msgspec.json.encode(["init", dict(members)])


def request_of(command: bytes) -> list[Any] | None:
    """Return what a membership entry asks for; None for the founding entry and all others."""
    if command[:1] != MEMBERSHIP:
        return None
    request: list[Any] = _decode(command[1:])
    return None if request[0] == "init" else request


def founding_members_of(log: EntryLog) -> dict[str, str] | None:
    """Return the voters the group was founded with, while the log still holds them."""
    first = log.at(1)
    if first is None or first[0][:1] != MEMBERSHIP:
        return None
    members: dict[str, str] = _decode(first[0][1:])[1]
    return members


class Membership(Votes, Append):
    """The voters, as the log says."""

    def prepare(self) -> None:
        """Start as a member; the log may say otherwise."""
        super().prepare()
        self.topology = 0
        """Grows whenever the voters or the connections change."""
        self.removed = False
        """Whether the log says that this node is no voter; it then keeps quiet."""

    def parse_change(self, command: bytes) -> list[Any] | None:
        """Read a change; the founding entry is none."""
        return request_of(command)

    def founding_members(self) -> dict[str, str] | None:
        """Return the voters the group was founded with, while the log still holds them."""
        return founding_members_of(self.log)

    def change_cluster(self, request: list[Any]) -> bool:
        """Accept a change as leader, unless another one or the term's no-op is not committed."""
        pending = self.change_index
        if pending is not None and self.commit_index < pending:
            return False
        accepted = super().change_cluster(request)
        if accepted:
            self.change_index = self.log.last_index + 1
        return accepted

    def request_change(self, what: str, name: str, address: str, incarnation: int = 0) -> bool:
        """As leader, put a change into the log; False when it cannot be made now."""
        if self.role != LEADER or not self.change_cluster([what, name, address, incarnation]):
            return False
        entry = change_entry(what, name, address, incarnation)
        self.log.add(entry, self.log.last_index + 1, self.term)
        return True

    def do_change(self, request: list[Any], *, reverse: bool = False) -> bool:
        """Put a change into effect. Changes of this node itself only set `removed`."""
        what, name, address, incarnation = request
        self.topology += 1
        if self.me is not None and name == self.me.id:
            self.removed = (what == "rem") != reverse
            self.members_changed()
            return False
        node = voter(name, address, incarnation)
        changed = super().do_change([what, name, node], reverse=reverse)
        self.members_changed()
        return changed

    def members_changed(self) -> None:
        """Note that the voters are others than before."""

    def may_campaign(self) -> bool:
        """Refuse on a removed node: it starts no elections."""
        return super().may_campaign() and not self.removed

    def connected_to(self, node: Node) -> None:
        """Note the change."""
        self.topology += 1
        super().connected_to(node)

    def disconnected_from(self, node: Node) -> None:
        """Note the change."""
        self.topology += 1
        super().disconnected_from(node)

    def members(self) -> dict[str, str]:
        """Return the voters and their addresses, by name."""
        members = {node.id: node.address for node in self.peers}
        if self.me is not None and not self.removed:
            members[self.me.id] = self.me.address
        return dict(sorted(members.items()))

    def members_as_of(self, index: int) -> dict[str, str]:
        """Return the voters as of a log index: today's without the later changes."""
        members = self.members()
        for command, _index, _term in reversed(self.log[index + 1 - self.log.first_index :]):
            request = self.parse_change(command)
            if request is not None and request[0] == "add":
                members.pop(request[1], None)
            elif request is not None:
                members[request[1]] = request[2]
        return dict(sorted(members.items()))

    def adopt_members(self, members: Mapping[str, str]) -> None:
        """Make these the voters, whatever was known before."""
        self.topology += 1
        if self.me is not None:
            self.removed = self.me.id not in members
        for node in list(self.peers):
            if node.id not in members:
                self.do_change(["rem", node.id, node.address, 0])
        known = {node.id for node in self.peers}
        for name, address in members.items():
            if name not in known and (self.me is None or name != self.me.id):
                self.do_change(["add", name, address, 0])


class Roles(Pinned):
    """Observers may ask and acknowledge, nothing else (scenario s17: one could act as leader)."""

    FROM_OBSERVERS = frozenset(
        {"next_node_idx", "snapshot_at", "propose", "read", "join", "remove"}
    )

    def on_message(self, node: Node, message: Message) -> None:
        """Drop what the sender's role does not allow."""
        if node in self.observers and message["type"] not in self.FROM_OBSERVERS:
            return
        super().on_message(node, message)
