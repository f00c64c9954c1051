"""Taking a voter out of the group, whoever asks and whoever leads.

A removed node gets no entries any more, so it does not read in the log that it was removed. It asks
for pre-votes, which nobody grants while a leader is heard, and so learns from the leader to keep
quiet. Where the agreed state decides who is in (`roster`), the leader makes the voters follow it,
and everybody refuses the connections of a removed disk, telling it why.
"""

from pysyncobj.node import Node

from croncord.raft.engine.joining import Joining
from croncord.raft.engine.pinned import LEADER, Message
from croncord.raft.engine.transfer import Transfer
from croncord.raft.roster import Roster

FOLLOW_SECONDS = 0.2
"""How often a leader looks whether somebody is to be taken out."""


class Removal(Joining, Transfer):
    """Removal of voters. A leader that is to go hands leadership over first."""

    def prepare(self) -> None:
        """Start without having looked."""
        super().prepare()
        self._followed_at = 0.0

    def follow_roster(self, roster: Roster) -> None:
        """Take over what the agreed state says about who is in."""
        self.roster = roster
        self.transport.addresses = roster.addresses
        self._refuse_removed()

    def members_changed(self) -> None:
        """See who is refused now."""
        super().members_changed()
        self._refuse_removed()

    def _refuse_removed(self) -> None:
        if self.roster is not None:
            self.transport.refuse(self.roster.refused(self.members()))

    def tick(self, timeout: float) -> None:
        """As leader, take out whom the agreed state has removed, one at a time."""
        if self.role == LEADER and self.roster is not None:
            now = self.now()
            if now - self._followed_at > FOLLOW_SECONDS:
                self._followed_at = now
                for name in self.roster.leaving(self.members())[:1]:
                    self.ask_removal(name)
        super().tick(timeout)

    def ask_removal(self, name: str) -> None:
        """Begin a removal, here or at the leader; ask again until it is in effect."""
        leads_itself = self.me is not None and name == self.me.id
        if self.role != LEADER:
            if self.leader is not None:
                self.send(self.leader, {"type": "remove", "name": name})
        elif leads_itself and self.accepts_commands:
            self.hand_leadership_over()
        elif not leads_itself:
            addresses = {node.id: node.address for node in self.peers}
            if name in addresses:
                self.request_change("rem", name, addresses[name])

    def on_message(self, node: Node, message: Message) -> None:
        """Take requests of other nodes."""
        if message["type"] == "remove":
            if self.role == LEADER:
                self.ask_removal(message["name"])
        elif message["type"] == "gone":
            self.expelled = self.removed = True
            self.topology += 1
        elif message["type"] == "removed":
            if message["term"] >= self.term and not self.leader_is_heard():
                self.removed = True
                self.topology += 1
        else:
            if message["type"] == "prevote":
                self._tell_if_removed(node)
            super().on_message(node, message)

    def _tell_if_removed(self, node: Node) -> None:
        """Tell a former voter that its removal is agreed: nobody else will."""
        settled = self.change_index is None or self.commit_index >= self.change_index
        if self.role == LEADER and settled and node not in self.peers:
            self.send(node, {"type": "removed", "term": self.term})
