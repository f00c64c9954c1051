"""When a node says that it is alive, and when it keeps silent so that it is started again."""

import asyncio
from datetime import UTC, datetime

import pytest
from notify_socket import NotifySocket

from croncord.clock import ManualClock
from croncord.liveness import Liveness
from croncord.service_manager import ServiceManager


class Life:
    """A node's liveness on a clock that is moved by hand."""

    def __init__(self, other_end) -> None:
        self.other_end = other_end
        self.clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
        self.liveness = Liveness(ServiceManager(other_end.address, watchdog_seconds=8), self.clock)

    async def pass_by(self, seconds):
        """Let time pass; returns what was said meanwhile."""
        self.other_end.forget()
        await self.clock.advance(seconds)
        return self.other_end.messages()


@pytest.fixture
async def life(tmp_path):
    with NotifySocket(str(tmp_path / "notify")) as other_end:
        life = Life(other_end)
        task = asyncio.create_task(life.liveness.run())
        await asyncio.sleep(0)
        yield life
        task.cancel()


def said(messages, name):
    return [message[name] for message in messages if name in message]


async def test_a_long_start_asks_for_time_and_does_not_say_that_it_is_done(life):
    messages = await life.pass_by(10)
    assert len(said(messages, "EXTEND_TIMEOUT_USEC")) == 5
    assert said(messages, "READY") == []


async def test_a_node_that_serves_has_started_whether_there_is_a_leader_or_not(life):
    life.liveness.serving(lambda: "not ready: no leader is known")
    assert said(life.other_end.messages(), "READY") == ["1"]
    assert said(life.other_end.messages(), "STATUS") == ["not ready: no leader is known"]
    assert len(said(await life.pass_by(8), "WATCHDOG")) == 4


async def test_a_node_that_waits_to_be_let_in_has_started_too(life):
    with life.liveness.waiting("waits to be let in"):
        assert said(await life.pass_by(4), "READY") == [], "it may be quick"
        messages = await life.pass_by(2)
        assert (said(messages, "READY"), said(messages, "STATUS")) == (
            ["1"],
            ["waits to be let in"],
        )
        assert said(await life.pass_by(4), "WATCHDOG") == ["1", "1"]
    life.other_end.forget()
    life.liveness.serving(lambda: "n2 leads")
    assert life.other_end.messages() == [{"STATUS": "n2 leads"}], "ready is said once"


async def test_the_status_follows_what_happens(life):
    lines = iter(["leads", "leads", "n2 leads", "n2 leads", "n2 leads"])
    life.liveness.serving(lambda: next(lines))
    assert said(await life.pass_by(6), "STATUS") == ["n2 leads"]


async def test_a_node_whose_consensus_thread_is_stuck_falls_silent_and_may_recover(life, caplog):
    works = True
    life.liveness.watch(lambda: works)
    life.liveness.serving(lambda: "leads")
    await life.pass_by(4)
    works = False
    assert said(await life.pass_by(20), "WATCHDOG") == []
    assert [record.levelname for record in caplog.records] == ["CRITICAL"]
    works = True
    assert said(await life.pass_by(4), "WATCHDOG") == ["1", "1"]


async def test_a_node_that_stops_says_so_and_is_not_taken_for_stuck(life, caplog):
    life.liveness.watch(lambda: False)
    life.liveness.serving(lambda: "leads")
    life.liveness.ending()
    assert said(life.other_end.messages(), "STOPPING") == ["1"]
    assert said(await life.pass_by(4), "WATCHDOG") == ["1", "1"]
    assert caplog.records == []


async def test_without_a_service_manager_nothing_runs():
    await Liveness(ServiceManager(), ManualClock(datetime(2026, 1, 1, tzinfo=UTC))).run()
