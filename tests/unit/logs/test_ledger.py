"""The ledger against the dumbest possible model: a list that is filtered and sorted."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from croncord.lifecycle import Reason, RunState, Trigger
from croncord.logs.ledger import RunLedger
from croncord.logs.ledger_rows import PAIR, pack_run, unpack_run
from croncord.logs.store import Reading
from croncord.model import Run, run_id
from croncord.ports import RunFilter

START = datetime(2026, 5, 1, 12, tzinfo=UTC)


@asynccontextmanager
async def ledger_at(path):
    ledger = await RunLedger.start(path)
    try:
        yield ledger
    finally:
        await ledger.stop()


def row(minute=0, *, job="j1", state="succeeded", reason=None, node="n1", trigger="schedule"):
    nominal = START + timedelta(minutes=minute)
    return Run(
        id=run_id(job, nominal),
        job_id=job,
        job=f"name of {job}",
        job_version=1,
        script_sha256="",
        nominal_time=nominal,
        due_at=nominal,
        trigger=Trigger(trigger),
        state=RunState(state),
        reason=None if reason is None else Reason(reason),
        node=node,
        decided_at=nominal,
    )


async def test_a_row_is_seen_at_once_and_after_a_restart(tmp_path):
    async with ledger_at(tmp_path) as ledger:
        ledger.put([row()])
        assert ledger.get(row().id) == row()
        assert ledger.page(RunFilter(job_id="j1"), limit=10) == [row()]
        await ledger.flush()
        assert ledger.get(row().id) == row()
    async with ledger_at(tmp_path) as ledger:
        assert ledger.get(row().id) == row()
        assert ledger.page(RunFilter(), limit=10) == [row()]
        assert ledger.get("") is None
        assert ledger.get("0" * 24) is None


async def test_a_page_is_newest_first_and_the_next_one_goes_on_below_it(tmp_path):
    async with ledger_at(tmp_path) as ledger:
        ledger.put([row(minute) for minute in range(25)])
        await ledger.flush()
        ledger.put([row(minute) for minute in range(25, 30)])
        minutes = []
        before = ""
        while page := ledger.page(RunFilter(job_id="j1"), limit=7, before=before):
            minutes += [(run.nominal_time - START) // timedelta(minutes=1) for run in page]
            before = page[-1].id
        assert minutes == list(range(29, -1, -1))


async def test_a_run_found_to_be_lost_and_then_to_have_failed_is_listed_once(tmp_path):
    async with ledger_at(tmp_path) as ledger:
        ledger.put([row(state="lost", reason="node_down")])
        await ledger.flush()
        ledger.put([row(state="failed")])
        for _ in range(2):
            assert ledger.page(RunFilter(state="lost"), limit=9) == []
            assert ledger.page(RunFilter(reason="node_down"), limit=9) == []
            assert ledger.page(RunFilter(state="failed"), limit=9) == [row(state="failed")]
            await ledger.flush()


async def test_a_period_includes_its_start_and_excludes_its_end(tmp_path):
    async with ledger_at(tmp_path) as ledger:
        ledger.put([row(minute) for minute in range(5)])
        for _ in range(2):
            where = RunFilter(
                since=START + timedelta(minutes=1), until=START + timedelta(minutes=3)
            )
            assert ledger.page(where, limit=9) == [row(2), row(1)]
            await ledger.flush()
        just_after = RunFilter(since=START + timedelta(minutes=4, microseconds=1))
        assert ledger.page(just_after, limit=9) == []
        last = RunFilter(until=datetime.max.replace(tzinfo=UTC))
        assert len(ledger.page(last, limit=9)) == 5


async def test_a_value_too_long_for_a_key_is_found_all_the_same(tmp_path):
    long = row(node="ä" * 128 + "x" * 400)
    async with ledger_at(tmp_path) as ledger:
        ledger.put([long, row(1)])
        await ledger.flush()
        assert ledger.page(RunFilter(node=long.node), limit=9) == [long]


async def test_two_filters_that_never_agree_end_in_bounded_cost(tmp_path, monkeypatch):
    monkeypatch.setattr("croncord.logs.ledger.STEPS_MAX", 20)
    async with ledger_at(tmp_path) as ledger:
        ledger.put([row(m, node=f"n{m % 2}", job=f"j{m % 2}") for m in range(100)])
        await ledger.flush()
        assert ledger.page(RunFilter(node="n0", job_id="j1"), limit=9) == []


rows = st.builds(
    row,
    st.integers(0, 12),
    job=st.sampled_from(["j1", "j2", "j"]),
    state=st.sampled_from(["succeeded", "failed", "skipped"]),
    reason=st.sampled_from([None, "overlap", "paused"]),
    node=st.sampled_from([None, "n1", "n12"]),
    trigger=st.sampled_from(["schedule", "manual"]),
)
minutes = st.none() | st.integers(-1, 13).map(lambda m: START + timedelta(minutes=m))
filters = st.builds(
    RunFilter,
    job_id=st.sampled_from(["", "", "j1", "j", "other"]),
    state=st.sampled_from(["", "", "succeeded", "failed"]),
    reason=st.sampled_from(["", "", "overlap"]),
    node=st.sampled_from(["", "", "n1", "n12"]),
    trigger=st.sampled_from(["", "", "manual"]),
    since=minutes,
    until=minutes,
)
steps = st.lists(st.lists(rows, max_size=6) | filters | st.just("flush"), max_size=25)


def expected(model, where, limit, before):
    def is_wanted(run):
        return (
            all(
                not getattr(where, field) or getattr(run, field) == getattr(where, field)
                for field in ("job_id", "state", "reason", "node", "trigger")
            )
            and (where.since is None or run.nominal_time >= where.since)
            and (where.until is None or run.nominal_time < where.until)
            and (not before or run.id < before)
        )

    return sorted(filter(is_wanted, model.values()), key=lambda r: r.id, reverse=True)[:limit]


@settings(deadline=None, max_examples=35, suppress_health_check=[HealthCheck.too_slow])
@given(steps=steps, limit=st.integers(1, 6), data=st.data())
def test_whatever_is_put_pages_equal_a_filtered_sorted_list(tmp_path_factory, steps, limit, data):
    async def play():
        model = {}
        async with ledger_at(tmp_path_factory.mktemp("ledger")) as ledger:
            for step in steps:
                if step == "flush":
                    await ledger.flush()
                elif isinstance(step, RunFilter):
                    before = data.draw(st.sampled_from(["", *model]))
                    page = ledger.page(step, limit=limit, before=before)
                    assert page == expected(model, step, limit, before)
                else:
                    ledger.put(step)
                    model |= {run.id: run for run in step}
            await ledger.flush()
            assert ledger.page(RunFilter(), limit=100) == expected(model, RunFilter(), 100, "")

    asyncio.run(play())


def test_rows_survive_being_written_down_with_every_field():
    run = msgspec.structs.replace(row(), exit_code=-9, environment={"A": "b"}, cpu_seconds=0.25)
    assert unpack_run(pack_run(run)) == run


async def test_the_failed_runs_of_a_job_that_rarely_fails_are_not_looked_for_in_all_its_rows(
    tmp_path, monkeypatch
):
    rows = [row(n, state="failed" if n in (100, 101) else "succeeded") for n in range(300)]
    rows += [row(n, job="j2", state="failed") for n in range(300)]
    seeks = []
    below = Reading.below
    async with ledger_at(tmp_path) as ledger:
        ledger.put(rows)
        await ledger.flush()
        monkeypatch.setattr(Reading, "below", lambda *args: seeks.append(1) or below(*args))
        found = ledger.page(RunFilter(job_id="j1", state="failed"), limit=100)
    assert found == [rows[101], rows[100]]
    assert len(seeks) <= 4


async def test_a_ledger_of_an_older_version_gets_its_missing_index_when_it_is_opened(tmp_path):
    rows = [row(minute) for minute in range(30)]
    async with ledger_at(tmp_path) as ledger:
        ledger.put(rows)
        await ledger.flush()
        with ledger._store.write() as writing:
            writing.delete_prefix(PAIR, b"")
    async with ledger_at(tmp_path) as ledger:
        found = ledger.page(RunFilter(job_id="j1", state="succeeded"), limit=100)
    assert found == rows[::-1]


async def test_days_that_have_not_changed_are_counted_once(tmp_path):
    counted = []
    async with ledger_at(tmp_path) as ledger:
        ledger.put([row(minute) for minute in (0, 1, 3 * 1440)])
        await ledger.flush()
        first = await ledger.days()
        assert sorted(count for count, _ in first.values()) == [1, 2]
        count = ledger._count
        ledger._count = lambda day: counted.append(day) or count(day)
        assert await ledger.days() == first
        assert counted == []
        ledger.put([row(2)])
        await ledger.flush()
        second = await ledger.days()
        assert len(counted) == 1
        assert second[counted[0]][0] == 3
        await ledger.delete([row(2).id])
        assert await ledger.days() == first
