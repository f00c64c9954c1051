"""A node without a majority says so by itself, once, and says when it is over. And signs of life."""

import asyncio
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from notify_stage import DOWN, Seat, Sink, open_stage

from croncord.notification import Heartbeat as HeartbeatRule
from croncord.notification import NotifySettings
from croncord.notify.heartbeat import Heartbeat
from croncord.notify.quorum_alarm import QuorumAlarm
from croncord.raft.notify_commands import SetNotifySettings


@asynccontextmanager
async def watched(stage, name="n2"):
    seat, sink = Seat(stage.replica, name), Sink()
    alarm = QuorumAlarm(name=name, replica=seat, clock=stage.clock, send=sink.send)
    task = asyncio.create_task(alarm.run())
    await stage.settle()
    yield seat, sink
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_loss_is_told_once_and_its_end(stage):
    async with watched(stage) as (seat, sink):
        seat.has_quorum = False
        await stage.passes(19)
        assert sink.kinds() == []
        await stage.passes(300, step=5)
        assert sink.kinds() == ["no_quorum"]
        seat.has_quorum = True
        await stage.passes(5)
        assert sink.kinds() == ["no_quorum", "quorum"]
        seat.has_quorum = False
        await stage.passes(30)
        assert sink.kinds() == ["no_quorum", "quorum", "no_quorum"]


async def test_an_election_is_no_loss(stage):
    async with watched(stage) as (seat, sink):
        for _ in range(5):
            seat.has_quorum = False
            await stage.passes(10)
            seat.has_quorum = True
            await stage.passes(2)
        assert sink.calls == 0


async def test_what_nobody_took_comes_later_and_in_order(stage):
    async with watched(stage) as (seat, sink):
        sink.fault = DOWN
        seat.has_quorum = False
        await stage.passes(40)
        seat.has_quorum = True
        await stage.passes(600, step=10)
        sink.fault = None
        await stage.passes(130, step=5)
        assert sink.kinds() == ["no_quorum", "quorum"]


@pytest.mark.parametrize("why", ["an observer", "nobody wants to know", "no channel"])
async def test_who_has_nothing_to_tell_is_silent(stage, why):
    if why != "an observer":
        channels = () if why == "no channel" else ("ops",)
        rule = NotifySettings(channels=channels, no_quorum=why == "no channel")
        await stage.do(SetNotifySettings(at=stage.clock.now(), settings=rule))
    async with watched(stage, "n9" if why == "an observer" else "n2") as (seat, sink):
        seat.has_quorum = False
        await stage.passes(60)
        seat.has_quorum = True
        await stage.passes(10)
        assert sink.calls == 0


async def test_only_a_leader_with_a_majority_gives_signs_of_life(caplog):
    async with open_stage() as stage:
        beats = []

        async def beat(_state):
            beats.append(stage.clock.monotonic())
            if len(beats) == 2:
                raise DOWN

        seat = Seat(stage.replica, "n1")
        heartbeat = Heartbeat(replica=seat, clock=stage.clock, beat=beat)
        task = asyncio.create_task(heartbeat.run())
        seat.leads = True
        await stage.passes(20)
        assert beats == []
        rule = NotifySettings(heartbeat=HeartbeatRule(shown="https://x/…", every_seconds=10))
        await stage.do(SetNotifySettings(at=stage.clock.now(), settings=rule))
        await stage.passes(35)
        assert [later - first for first, later in pairwise(beats)] == [10] * 3
        assert caplog.text.count("the heartbeat") == 2
        seat.has_quorum = False
        await stage.passes(30)
        seat.has_quorum, seat.leads = True, False
        await stage.passes(30)
        assert len(beats) == 4
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
