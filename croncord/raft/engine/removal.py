"""Taking a voter out of the group, whoever asks and whoever leads.

A removed node gets no entries any more, so it does not read in the log that it was removed. It asks
for pre-votes, which nobody grants while a leader is heard, and so learns from the leader to keep
quiet.
"""

from pysyncobj.node import Node

from croncord.raft.engine.joining import Joining
from croncord.raft.engine.pinned import LEADER, Message
from croncord.raft.engine.transfer import Transfer


class Removal(Joining, Transfer):
    """Removal of voters. A leader that is to go hands leadership over first."""

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
