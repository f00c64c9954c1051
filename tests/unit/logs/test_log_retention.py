"""What is kept is what the rules say, on every node the same, and the rest is really gone."""

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from log_material import end, numbered, store_at, text, write

from croncord import model
from croncord.clock import ManualClock
from croncord.errors import StoreError, Unreachable
from croncord.lifecycle import RunState, Trigger
from croncord.logs.budget import Budget
from croncord.logs.ledger import RunLedger
from croncord.logs.ledger_fill import LedgerFiller
from croncord.logs.retention import Keep, Retention
from croncord.model import LogInfo, Run, run_id
from croncord.ports import LogKey, RunFilter

NOW = datetime(2026, 5, 20, 15, tzinfo=UTC)


def row(days_ago, *, job="j1", minute=0, size=100, attempt=1):
    nominal = NOW - timedelta(days=days_ago, minutes=minute)
    return Run(
        id=run_id(job, nominal),
        job_id=job,
        job=job,
        job_version=1,
        script_sha256="",
        nominal_time=nominal,
        due_at=nominal,
        trigger=Trigger.SCHEDULE,
        state=RunState.SUCCEEDED,
        node="n1",
        attempt=attempt,
        decided_at=nominal,
        log=LogInfo(bytes=size),
    )


@pytest.fixture
async def store(tmp_path):
    async with store_at(tmp_path / "logs") as opened:
        yield opened


@pytest.fixture
async def ledger(tmp_path):
    opened = await RunLedger.start(tmp_path / "ledger")
    yield opened
    await opened.stop()


async def keep(store, ledger, rows, *, lines=3):
    ledger.put(rows)
    await ledger.flush()
    for run in rows:
        for number in range(1, run.attempt + 1):
            await write(store, LogKey(run.id, number), numbered(lines), end())


def kept(ledger, **where):
    return [run.id for run in ledger.page(RunFilter(**where), limit=1000)]


async def test_days_that_are_too_old_are_removed_with_their_rows(store, ledger, tmp_path):
    old, edge, new = row(12), row(10), row(1)
    await keep(store, ledger, [old, edge, new], lines=3000)
    retention = Retention(store.local, ledger, ManualClock(NOW), Keep(days=10))
    await retention.apply()
    assert kept(ledger) == [new.id, edge.id]
    assert store.status(LogKey(old.id, 1)) is None
    assert len(await text(store, LogKey(edge.id, 1))) > 100_000
    assert len(store.local.disk.days.names()) == 2
    assert len(list((tmp_path / "logs").glob("*-2026*"))) == 2


async def test_each_job_keeps_its_newest_runs_with_all_attempts(store, ledger):
    mine = [row(0, minute=n, attempt=2) for n in range(30)]
    other = [row(0, job="other", minute=n) for n in range(5)]
    await keep(store, ledger, [*mine, *other])
    retention = Retention(store.local, ledger, ManualClock(NOW), Keep(runs_per_job=7))
    await retention.apply()
    assert kept(ledger, job_id="j1") == [run.id for run in mine[:7]]
    assert len(kept(ledger, job_id="other")) == 5
    for n, run in enumerate(mine):
        for number in (1, 2):
            assert (store.status(LogKey(run.id, number)) is not None) == (n < 7)
    more = [row(0, minute=-1 - n) for n in range(3)]
    await keep(store, ledger, more)
    await retention.apply()
    assert kept(ledger, job_id="j1") == [run.id for run in [*more[::-1], *mine[:4]]]


async def test_a_loud_job_keeps_so_many_bytes_and_at_least_its_last_run(store, ledger):
    loud = [row(0, minute=n, size=400) for n in range(10)]
    huge = [row(0, job="huge", minute=n, size=5000) for n in range(2)]
    await keep(store, ledger, [*loud, *huge])
    await Retention(store.local, ledger, ManualClock(NOW), Keep(bytes_per_job=1000)).apply()
    assert kept(ledger, job_id="j1") == [run.id for run in loud[:2]]
    assert kept(ledger, job_id="huge") == [huge[0].id]


async def test_a_node_without_room_gives_up_its_oldest_days_and_keeps_the_rows(
    store, ledger, tmp_path
):
    rows = [row(days) for days in range(4)]
    await keep(store, ledger, rows, lines=3000)
    store.local.budget = Budget(store.local.disk, 1)
    await Retention(store.local, ledger, ManualClock(NOW)).apply()
    assert len(store.local.disk.days.names()) == 1
    assert kept(ledger) == [run.id for run in rows]
    assert [store.local.is_given_up(LogKey(run.id, 1)) for run in rows] == [False, *[True] * 3]
    await store.stop()
    async with store_at(tmp_path / "logs") as again:
        assert again.local.is_given_up(LogKey(rows[1].id, 1))


class OtherLedger:
    """Another node's ledger, called directly."""

    def __init__(self, ledger):
        self._ledger = ledger
        self.pages = 0

    async def ledger_days(self, _address):
        return await self._ledger.days()

    async def ledger_rows(self, _address, first, last):
        self.pages += 1
        return await self._ledger.rows_from(first, last)


async def test_an_empty_ledger_is_filled_from_another_node_and_then_left_alone(ledger, tmp_path):
    full = await RunLedger.start(tmp_path / "full")
    rows = [row(days, minute=n) for days in range(3) for n in range(400)]
    ancient = row(200)
    full.put([*rows, ancient])
    await full.flush()
    lost = msgspec.structs.replace(rows[0], state=RunState.LOST)
    ledger.put([lost])
    filled = []
    other = OtherLedger(full)
    filler = LedgerFiller(
        ledger,
        other,
        clock=ManualClock(NOW),
        addresses=lambda: {"n2": "http://n2"},
        on_filled=lambda: filled.append(1),
        oldest=lambda: NOW - timedelta(days=90),
    )
    assert await filler.fill()
    assert filled == [1]
    assert kept(ledger, state="lost") == []
    assert sorted(run.id for run in ledger.page(RunFilter(), limit=2000)) == sorted(
        run.id for run in rows
    )
    pages = other.pages
    assert await filler.fill()
    assert other.pages == pages
    await full.stop()


class Flaky(OtherLedger):
    """A peer that answers when it is told to."""

    def __init__(self, ledger):
        super().__init__(ledger)
        self.answers = False
        self.asked = 0

    async def ledger_days(self, address):
        self.asked += 1
        if not self.answers and address == "http://n3":
            raise Unreachable("n3 does not answer")
        return await super().ledger_days(address) if address == "http://n3" else {}


async def test_who_did_not_answer_is_asked_again_until_it_has_told_what_it_has(ledger, tmp_path):
    full = await RunLedger.start(tmp_path / "full")
    full.put([row(0)])
    await full.flush()
    others, clock = Flaky(full), ManualClock(NOW)
    filler = LedgerFiller(
        ledger,
        others,
        clock=clock,
        addresses=lambda: {"n2": "http://n2", "n3": "http://n3"},
        oldest=lambda: NOW - timedelta(days=90),
        on_filled=lambda: None,
    )
    task = asyncio.create_task(filler.run())
    for _ in range(20):
        await clock.advance(1)
        await asyncio.sleep(0.01)
    assert kept(ledger) == []
    others.answers = True
    for _ in range(20):
        await clock.advance(1)
        await asyncio.sleep(0.01)
    assert len(kept(ledger)) == 1
    asked = others.asked
    for _ in range(20):
        await clock.advance(1)
        await asyncio.sleep(0.01)
    assert others.asked == asked
    ledger.lacks_rows.set()
    for _ in range(20):
        await clock.advance(1)
        await asyncio.sleep(0.01)
    assert others.asked > asked
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await full.stop()


async def test_deleted_rows_are_gone_from_every_list(ledger):
    rows = [row(0, minute=n) for n in range(5)]
    ledger.put(rows)
    await ledger.flush()
    await ledger.delete([rows[1].id, rows[3].id])
    for _ in range(2):
        assert kept(ledger, job_id="j1", node="n1") == [rows[n].id for n in (0, 2, 4)]
        assert ledger.get(rows[1].id) is None
        await ledger.flush()


async def test_a_disk_that_refuses_holds_no_more_than_so_many_rows_in_memory(ledger, monkeypatch):
    monkeypatch.setattr("croncord.logs.ledger.WAITING_MAX", 50)
    ledger._writer.failure = StoreError("full")
    rows = [row(0, minute=n) for n in range(200)]
    for run in rows:
        ledger.put([run])
    assert len(ledger._waiting) == 50
    assert ledger.lacks_rows.is_set()


def wishing(**wishes):
    return lambda: {job: model.Retention(**wish) for job, wish in wishes.items()}


async def test_a_job_keeps_as_many_runs_days_and_bytes_as_it_says(store, ledger):
    rows = [row(n, job=job, minute=n) for job in ("few", "short", "small", "j1") for n in range(6)]
    await keep(store, ledger, rows)
    wishes = wishing(few={"runs": 2}, short={"days": 3}, small={"bytes": 1024})
    big = [row(n, job="small", minute=30 + n, size=400) for n in range(6)]
    await keep(store, ledger, big)
    await Retention(store.local, ledger, ManualClock(NOW), wishes=wishes).apply()
    counts = {job: len(kept(ledger, job_id=job)) for job in ("few", "short", "small", "j1")}
    assert counts == {"few": 2, "short": 4, "small": 4, "j1": 6}
    for run in rows:
        is_kept = ledger.get(run.id) is not None
        assert (store.status(LogKey(run.id, 1)) is not None) == is_kept


async def test_a_job_that_keeps_more_days_than_the_rest_does_so_alone(store, ledger, tmp_path):
    clock = ManualClock(NOW)
    mine = [row(days, job="archive") for days in (1, 100, 300, 500)]
    rest = [row(days) for days in (1, 80, 100, 300)]
    await keep(store, ledger, [*mine, *rest], lines=3000)
    wishes = wishing(archive={"days": 365})
    retention = Retention(store.local, ledger, clock, wishes=wishes)
    await retention.apply()
    assert kept(ledger) == [run.id for run in (mine[0], rest[0], rest[1], mine[1], mine[2])]
    assert store.status(LogKey(rest[2].id, 1)) is None
    assert len(await text(store, LogKey(mine[2].id, 1))) > 100_000
    assert retention.oldest() < NOW - timedelta(days=300)
    clock.step(300 * 86400)
    await retention.apply()
    assert kept(ledger) == [mine[0].id]
    assert len(store.local.disk.days.names()) == 1


async def test_a_job_that_changes_its_mind_is_trimmed_with_the_next_pass(store, ledger):
    await keep(store, ledger, [row(0, minute=n) for n in range(6)])
    said = {}
    retention = Retention(store.local, ledger, ManualClock(NOW), wishes=lambda: dict(said))
    await retention.apply()
    said["j1"] = model.Retention(runs=1)
    await retention.apply()
    assert len(kept(ledger)) == 1


async def test_a_row_whose_output_was_agreed_on_later_replaces_the_one_held(ledger, tmp_path):
    lost = msgspec.structs.replace(row(0), state=RunState.LOST, log=LogInfo())
    agreed = LogInfo(bytes=5, sha256="a" * 64, recovered="quorum")
    other = await RunLedger.start(tmp_path / "other")
    other.put([msgspec.structs.replace(lost, log=agreed)])
    await other.flush()
    for held, taken in ((lost, agreed), (msgspec.structs.replace(lost, log=agreed), agreed)):
        ledger.put([held])
        filler = LedgerFiller(
            ledger,
            OtherLedger(other),
            clock=ManualClock(NOW),
            addresses=lambda: {"n2": "http://n2"},
            on_filled=lambda: None,
            oldest=lambda: NOW - timedelta(days=90),
        )
        await filler.fill()
        assert ledger.get(lost.id).log == taken
    await other.stop()
