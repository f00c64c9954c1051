"""The loop on the leader that decides."""

import asyncio

from croncord.clock import SystemClock
from croncord.node.dispatcher import Dispatcher
from croncord.node.sightings import SightingBook
from croncord.raft.solo import SoloReplica


async def test_a_dispatcher_that_is_stopped_at_the_moment_of_news_stops():
    replica, clock = SoloReplica("n1"), SystemClock()
    await replica.start()
    dispatcher = Dispatcher(name="n1", replica=replica, clock=clock, sightings=SightingBook(clock))
    deciding = asyncio.create_task(dispatcher.run())
    await asyncio.sleep(0.05)
    dispatcher.report_arrived()
    deciding.cancel()
    done, _ = await asyncio.wait([deciding], timeout=5)
    assert done == {deciding}
    await replica.stop()
