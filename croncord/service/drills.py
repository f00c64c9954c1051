"""Failover drills: a node stands still for some seconds while the others go on."""

from collections.abc import Awaitable, Callable
from functools import partial

from croncord.drills import Freeze, FreezeOrder
from croncord.errors import Conflict, NotFound, Unreachable
from croncord.fields import read_fields
from croncord.ports import Peers
from croncord.raft.commands import FreezeNode
from croncord.service.agreement import Agreement
from croncord.service.views import Json
from croncord.service.who import Who

Freezer = Callable[[FreezeOrder], Awaitable[None]]


class DrillService:
    """Has nodes frozen, never so many that the rest has no majority."""

    def __init__(
        self, agreement: Agreement, name: str, peers: Peers | None, freeze: Freezer | None
    ) -> None:
        """Take what freezes this node; None where that is not possible."""
        self._agreement = agreement
        self._name = name
        self._peers = peers
        self._freeze = freeze

    async def freeze(self, who: Who, name: str, fields: Json) -> Json:
        """Have a node frozen for some seconds; it comes back by itself.

        Raises NotFound, Conflict when it is down or the rest would be no majority, Unreachable.
        """
        who.require("admin")
        order = FreezeOrder(seconds=read_fields(Freeze, fields).seconds, by=who.name)
        agreed = await self._agreement.read()
        node = agreed.nodes.get(name)
        if node is None:
            raise NotFound(f"no node is named {name[:64]!r}", hint="See the list of nodes.")
        if not node.up:
            raise Conflict(f"{name} is down already")
        self.check_majority_without(name)
        freeze = self._way_to(name, node.http)
        await self._agreement.change(
            lambda at: FreezeNode(at=at, by=who.name, name=name, seconds=order.seconds)
        )
        await freeze(order)
        return {"node": name, "seconds": order.seconds}

    def _way_to(self, name: str, http: str) -> Freezer:
        """Return what freezes that node. Raises Unreachable."""
        if name == self._name and self._freeze is not None:
            return self._freeze
        if name != self._name and self._peers is not None:
            return partial(self._peers.freeze, http)
        raise Unreachable(f"{name} cannot be frozen from here")

    def check_majority_without(self, name: str) -> None:
        """Raise Conflict when the voters that answer, without this one, are no majority."""
        voters = self._agreement.replica.status().members
        nodes = self._agreement.state.nodes
        left = [v for v in voters if v != name and v in nodes and nodes[v].up]
        needed = len(voters) // 2 + 1
        if name in voters and len(left) < needed:
            raise Conflict(
                f"without {name}, {len(left)} of {len(voters)} voters answer and a majority is "
                f"{needed}: nothing would be decided",
                hint="Drill with at least three voters that all answer.",
            )
