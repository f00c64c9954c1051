"""How much a node says about itself, as its settings and the cluster have it."""

import asyncio
import logging
from datetime import timedelta

import pytest
from desks import Office, fast_directory

from croncord.log_level import LevelInForce
from croncord.raft.commands import SetLogLevel


@pytest.fixture
async def office():
    root = logging.getLogger()
    before = root.level
    with fast_directory() as path:
        office = await Office.open(path)
        yield office
        await office.close()
    root.setLevel(before)


@pytest.fixture
async def in_force(office):
    logging.getLogger().setLevel(logging.INFO)
    level = LevelInForce("info", office.clock)
    task = asyncio.create_task(level.follow("n1", office.replica))
    yield level
    task.cancel()


async def becomes(level):
    """Wait until that is the level of everything."""
    async with asyncio.timeout(20):
        while logging.getLogger().level != level:
            await asyncio.sleep(0.01)


async def ask(office, level, *, name="n1", until=None):
    await office.do(SetLogLevel(at=office.clock.now(), name=name, level=level, until=until))


async def test_what_is_asked_for_holds_until_it_is_changed_back(office, in_force):
    await ask(office, "debug")
    await becomes(logging.DEBUG)
    await ask(office, "error")
    await becomes(logging.ERROR)
    await ask(office, "")
    await becomes(logging.INFO)


async def test_it_ends_by_itself_when_its_time_is_over(office, in_force):
    await ask(office, "debug", until=office.clock.now() + timedelta(seconds=0.3))
    await becomes(logging.DEBUG)
    await becomes(logging.INFO)


async def test_settings_that_are_read_again_come_after_what_was_asked_for(office, in_force):
    await ask(office, "debug")
    await becomes(logging.DEBUG)
    logging.getLogger().setLevel(logging.ERROR)  # as HUP does
    in_force.settings_say("error")
    await becomes(logging.DEBUG)
    await ask(office, "")
    await becomes(logging.ERROR)


async def test_a_node_that_starts_takes_up_what_was_asked_for_before(office):
    await ask(office, "warning")
    logging.getLogger().setLevel(logging.INFO)
    task = asyncio.create_task(LevelInForce("info", office.clock).follow("n1", office.replica))
    await becomes(logging.WARNING)
    task.cancel()


async def test_what_is_asked_of_another_node_does_not_matter(office, in_force):
    await ask(office, "debug", name="n2")
    await ask(office, "error")
    await becomes(logging.ERROR)


async def test_what_was_asked_for_is_told_also_at_a_high_level(office, in_force, caplog):
    await ask(office, "error")
    await becomes(logging.ERROR)
    assert "the log level is error, as was asked" in caplog.text
