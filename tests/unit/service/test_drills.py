"""Freezing a node: by admins, one that is up, and never so that the rest is no majority."""

import msgspec
import pytest
from desks import ADMIN, OPERATOR, Office, fast_directory

from croncord.audit import AuditFilter
from croncord.errors import Conflict, Forbidden, Invalid, NotFound, Unreachable
from croncord.model import Node
from croncord.raft.commands import MarkNodes, PutNode
from croncord.raft.solo import SoloReplica


class ThreeVoters(SoloReplica):
    """A replica that says that three nodes vote."""

    def status(self):
        return msgspec.structs.replace(super().status(), members=("n1", "n2", "n3"))


class Peers:
    """Other nodes, which note what they are asked."""

    def __init__(self):
        self.frozen = []

    async def freeze(self, node_http, order):
        self.frozen.append((node_http, order.seconds, order.by))


@pytest.fixture
async def office():
    with fast_directory() as path:
        peers = Peers()
        office = await Office.open(path, replica=ThreeVoters("n1"), peers=peers)
        office.frozen = peers.frozen
        now = office.clock.now()
        node = Node(name="n3", http="http://n3:1", raft="n3:2", joined_at=now, changed_at=now)
        await office.do(PutNode(at=now, node=node))
        yield office
        await office.close()


async def test_a_node_is_frozen_while_the_rest_is_a_majority(office):
    drills = office.desk.drills
    assert await drills.freeze(ADMIN, "n3", {"seconds": 7}) == {"node": "n3", "seconds": 7}
    assert office.frozen == [("http://n3:1", 7, "user:ada")]
    (entry,) = (await office.desk.audit.page(ADMIN, AuditFilter(action="node.freeze")))["items"]
    assert (entry["subject"], entry["by"], entry["detail"]) == ("node:n3", "user:ada", "7 s")
    at, term = office.clock.now(), office.replica.state.term
    await office.do(MarkNodes(at=at, term=term, down=("n2",)))
    with pytest.raises(Conflict, match="without n3, 1 of 3 voters answer and a majority is 2"):
        await drills.freeze(ADMIN, "n3", {})
    with pytest.raises(Conflict, match="n2 is down already"):
        await drills.freeze(ADMIN, "n2", {})
    assert len(office.frozen) == 1


async def test_who_may_not_or_asks_nonsense_freezes_nothing(office):
    drills = office.desk.drills
    with pytest.raises(Forbidden):
        await drills.freeze(OPERATOR, "n3", {})
    with pytest.raises(NotFound):
        await drills.freeze(ADMIN, "n9", {})
    for wrong in ({"seconds": 31}, {"seconds": 0}, {"by": "somebody"}):
        with pytest.raises(Invalid):
            await drills.freeze(ADMIN, "n3", wrong)
    with pytest.raises(Unreachable):
        await drills.freeze(ADMIN, "n1", {})
    assert office.frozen == []
