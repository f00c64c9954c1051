"""A node's word to the leader, about once a second and whenever there is another one."""

import asyncio

import msgspec
from builders import NOON, node, vitals

from croncord.clock import SystemClock
from croncord.node.reporter import Reporter
from croncord.node.sightings import SightingBook
from croncord.raft.commands import PutNode
from croncord.raft.solo import SoloReplica


class Follower:
    """The replica as a follower sees it; who leads is said here."""

    def __init__(self, replica):
        self.leader = None
        self.state = replica.state
        self._replica = replica
        self._listener = None

    def status(self):
        return msgspec.structs.replace(self._replica.status(), role="follower", leader=self.leader)

    def on_status_change(self, listener):
        self._listener = listener
        return lambda: None

    def follow(self, leader):
        self.leader = leader
        self._listener(self.status())


class Mailbox:
    """Who was reported to; one that is dead never answers."""

    def __init__(self, dead):
        self.dead = dead
        self.asked = asyncio.Queue()

    async def send_vitals(self, leader_http, _vitals):
        self.asked.put_nowait(leader_http)
        if leader_http == self.dead:
            await asyncio.Event().wait()
        return ()


def measure(_runs, _index):
    return vitals("n3", NOON)


async def test_a_new_leader_is_told_at_once_and_the_old_one_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("croncord.node.reporter.PERIOD_SECONDS", 3600)
    replica = SoloReplica("n3")
    await replica.start()
    for name in ("n1", "n2", "n3"):
        await replica.propose(PutNode(at=NOON, node=node(name)))
    follower, mailbox, clock = Follower(replica), Mailbox(dead="http://n1"), SystemClock()
    follower.leader = "n1"
    reporter = Reporter(
        name="n3",
        replica=follower,
        clock=clock,
        book=SightingBook(clock),
        peers=mailbox,
        measure=measure,
    )
    reporting = asyncio.create_task(reporter.run())
    assert await mailbox.asked.get() == "http://n1"
    follower.follow("n2")
    follower.follow("n2")
    async with asyncio.timeout(20):
        assert await mailbox.asked.get() == "http://n2"
    assert mailbox.asked.empty()
    reporting.cancel()
    await asyncio.wait([reporting])
    await replica.stop()
