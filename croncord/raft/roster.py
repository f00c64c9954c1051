"""What the agreed state says about who may take part, in the form that the engine's thread uses.

The state decides who is in; Raft's own membership follows it. The engine lives on another thread
than the state, so it gets this copy whenever something in it changed.
"""

from collections.abc import Collection, Mapping

import msgspec

from croncord.model import Node, RemovedNode


class Roster(msgspec.Struct, frozen=True):
    """Names to disks and addresses of the nodes, and the disks that are out for good."""

    disks: Mapping[str, str]
    """Of each node that was let in; empty for one that has not told its disk yet."""
    addresses: Mapping[str, str]
    """Where each was last known to listen for Raft; newer than what the log says."""
    removed: Mapping[str, str]
    """Disks that were removed, and the names they had."""

    def admits(self, name: str, disk: str) -> bool:
        """Whether a node that asks to join was let in, with this disk."""
        return name in self.disks and self.disks[name] in ("", disk) and disk not in self.removed

    def leaving(self, members: Collection[str]) -> list[str]:
        """Voters that the state has removed and Raft still counts."""
        gone = set(self.removed.values()) - self.disks.keys()
        return sorted(gone.intersection(members))

    def refused(self, members: Collection[str]) -> frozenset[str]:
        """Disks that get no connection any more.

        One that is being removed keeps it until Raft counts it no more, so that a leader can hand
        over before it goes; but not when another disk has its name already.
        """
        return frozenset(
            disk for disk, name in self.removed.items() if name not in members or name in self.disks
        )


NOBODY = Roster({}, {}, {})


def roster_of(nodes: Mapping[str, Node], removed: Mapping[str, RemovedNode]) -> Roster:
    """Copy what concerns the engine out of the state's tables."""
    return Roster(
        {node.name: node.disk for node in nodes.values()},
        {node.name: node.raft for node in nodes.values()},
        {disk: record.name for disk, record in removed.items()},
    )


def disk_name(identity: int) -> str:
    """Return the form in which a disk's number is agreed on; empty for none."""
    return f"{identity:014x}" if identity else ""
