"""The audit trail on disk: order, filters, pages, retention, and filling from another node."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from desks import fast_directory

from croncord.audit import AuditEntry, AuditFilter
from croncord.clock import ManualClock
from croncord.errors import Invalid, Unreachable
from croncord.logs import audit_log
from croncord.logs.audit_fill import AuditFiller
from croncord.logs.audit_log import AuditLog

START = datetime(2026, 11, 24, 12, tzinfo=UTC)


@asynccontextmanager
async def trail_in(path):
    trail = await AuditLog.start(path)
    try:
        yield trail
    finally:
        await trail.stop()


@pytest.fixture
async def trail():
    with fast_directory() as path:
        async with trail_in(path / "audit") as trail:
            yield trail


def entry(index, **fields):
    known = {"by": "user:ada", "address": "", "action": "job.edit", "subject": "job:backup"}
    return AuditEntry(index=index, at=START + timedelta(minutes=index), **{**known, **fields})


def indexes(page):
    return [it.index for it in page[0]]


@pytest.mark.parametrize("flushed", [0, 2, 5])
async def test_the_newest_come_first_whether_on_disk_or_not(trail, flushed):
    entries = [entry(n) for n in (3, 1, 5, 2, 4)]
    trail.put(entries[:flushed])
    if flushed:
        await trail.flush()
    trail.put(entries[flushed:])
    assert indexes(trail.page(AuditFilter(), limit=9)) == [5, 4, 3, 2, 1]


async def test_pages_go_on_where_the_last_ended(trail):
    trail.put([entry(n) for n in range(7)])
    await trail.flush()
    seen, cursor = [], ""
    while True:
        page, cursor = trail.page(AuditFilter(), limit=3, before=cursor)
        seen += [it.index for it in page]
        if not cursor:
            break
    assert seen == [6, 5, 4, 3, 2, 1, 0]
    for wrong in ("x", "00", "zz" * 16):
        with pytest.raises(Invalid):
            trail.page(AuditFilter(), limit=3, before=wrong)


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ({"by": "user:ada"}, [4, 2, 1]),
        ({"by": "ada"}, [4, 2, 1]),
        ({"by": "ad"}, []),
        ({"subject": "job:backup"}, [3, 1]),
        ({"subject": "backup"}, [3, 1]),
        ({"action": "job"}, [3, 1]),
        ({"action": "job.edit"}, [3, 1]),
        ({"action": "jo"}, []),
        ({"since": START + timedelta(minutes=3)}, [4, 3]),
        ({"until": START + timedelta(minutes=3)}, [2, 1]),
        ({"by": "ada", "subject": "backup"}, [1]),
    ],
)
async def test_filters_combine(trail, where, found):
    trail.put(
        [
            entry(1),
            entry(2, subject="user:eve", action="user.edit"),
            entry(3, by="token:ci"),
            entry(4, subject="cluster", action="cluster.pause"),
        ]
    )
    assert indexes(trail.page(AuditFilter(**where), limit=9)) == found


async def test_a_rare_entry_is_found_page_by_page(trail, monkeypatch):
    monkeypatch.setattr(audit_log, "STEPS_MAX", 10)
    trail.put([entry(0, by="user:rare"), *(entry(n) for n in range(1, 35))])
    await trail.flush()
    found, cursor, asked = [], "", 0
    while True:
        page, cursor = trail.page(AuditFilter(by="rare"), limit=5, before=cursor)
        found += page
        asked += 1
        if not cursor:
            break
    assert ([it.index for it in found], asked) == ([0], 4)


async def test_the_same_entry_again_changes_nothing():
    with fast_directory() as path:
        for _ in range(2):
            async with trail_in(path) as trail:
                trail.put([entry(1), entry(2)])
                await trail.flush()
                assert indexes(trail.page(AuditFilter(), limit=9)) == [2, 1]
                assert (await trail.days())["20261124"][0] == 2


async def test_entries_go_when_they_are_older_than_a_year_and_a_bit(trail, monkeypatch):
    monkeypatch.setattr(audit_log, "_SWEPT_AT_ONCE", 2)
    trail.put([entry(n) for n in range(5)])
    trail.put([entry(5 + 24 * 60)])
    await trail.flush()
    clock = ManualClock(START + timedelta(days=audit_log.KEPT_DAYS, hours=1))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await trail.sweep(clock)
    assert indexes(trail.page(AuditFilter(), limit=9)) == [5 + 24 * 60]


class OtherNode:
    """Another node's trail, without a network."""

    def __init__(self, trail):
        self.trail = trail

    async def audit_days(self, _node_http):
        if self.trail is None:
            raise Unreachable("nobody answers")
        return await self.trail.days()

    async def audit_entries(self, _node_http, day, after):
        return await self.trail.entries_of(day, after)


async def test_a_new_node_takes_the_entries_it_lacks(trail, monkeypatch):
    monkeypatch.setattr(audit_log, "PAGE_ENTRIES", 3)
    trail.put([entry(n) for n in range(8)])
    trail.put([entry(3 * 24 * 60)])
    await trail.flush()
    clock = ManualClock(START + timedelta(days=4))
    with fast_directory() as path:
        async with trail_in(path) as new:
            new.put([entry(2), entry(9)])

            def filler(other):
                return AuditFiller(
                    new, OtherNode(other), clock=clock, addresses=lambda: {"n2": "http://n2"}
                )

            assert await filler(trail).fill()
            assert indexes(new.page(AuditFilter(), limit=20)) == [4320, 9, *range(7, -1, -1)]
            assert not await filler(None).fill()
