"""Taking a voter out of the group, whoever asks and whoever leads."""

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
        if message["type"] != "remove":
            super().on_message(node, message)
        elif self.role == LEADER:
            self.ask_removal(message["name"])
