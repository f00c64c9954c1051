"""The Raft engine: pysyncobj 0.3.17 with overrides, each a class with its reason.

`Engine` is the sum. The order matters where several classes handle the same step: the one named
first is asked first.
"""

from croncord.raft.engine.digests import Digests
from croncord.raft.engine.durable import Durable
from croncord.raft.engine.membership import Membership, Roles
from croncord.raft.engine.proposals import Foreign
from croncord.raft.engine.reads import Reads
from croncord.raft.engine.removal import Removal
from croncord.raft.engine.snapshots import Snapshots
from croncord.raft.engine.votes import Votes


class Engine(Roles, Foreign, Digests, Durable, Removal, Reads, Snapshots, Membership, Votes):
    """Everything together: what a node runs."""


__all__ = ["Engine"]
