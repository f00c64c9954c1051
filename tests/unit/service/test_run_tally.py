"""What is counted about runs that have ended."""

from datetime import timedelta

import msgspec
from desks import ADMIN

from croncord.raft.commands import CloseLogs, DecideTicks
from croncord.raft.state import Outcome


def counts(office, name):
    families = {family.name: family for family in office.desk.figures.families(ADMIN)}
    return {tuple(s.labels.values()): s.value for s in families[name].samples if s.value}


def bucket(office, name, bound):
    families = {family.name: family for family in office.desk.figures.families(ADMIN)}
    samples = families[name].samples
    return next(s.value for s in samples if s.labels.get("le") == bound)


async def test_ends_are_counted_by_state_reason_and_trigger(office):
    await office.job()
    await office.ran(state="succeeded")
    await office.ran(state="failed")
    lost = await office.run()
    await office.launch(lost["id"])
    await office.lose(lost["id"])
    assert counts(office, "croncord_runs_ended_total") == {
        ("succeeded",): 1,
        ("failed",): 1,
        ("lost",): 1,
    }
    assert counts(office, "croncord_runs_ended_by_reason_total") == {
        ("succeeded", "", "manual"): 1,
        ("failed", "", "manual"): 1,
        ("lost", "node_down", "manual"): 1,
    }


async def test_a_row_whose_output_is_agreed_later_is_not_counted_twice(office):
    await office.job()
    row = office.ledger.get(await office.ran())
    tally = office.desk.figures._tally
    tally._applied(9, CloseLogs(at=office.clock.now(), closures=()), Outcome(rows=(row,)))
    assert counts(office, "croncord_runs_ended_total") == {("succeeded",): 1}


async def test_lateness_counts_for_scheduled_runs_and_duration_for_all(office):
    await office.job()
    row = office.ledger.get(await office.ran())
    tally = office.desk.figures._tally
    assert bucket(office, "croncord_run_start_lateness_seconds", "+Inf") == 0, "it was manual"
    before = bucket(office, "croncord_run_duration_seconds", "+Inf")
    scheduled = {"trigger": "schedule", "started_at": row.due_at + timedelta(seconds=0.05)}
    scheduled["finished_at"] = scheduled["started_at"] + timedelta(seconds=20)
    late = msgspec.structs.replace(row, **scheduled)
    command = DecideTicks(at=office.clock.now(), term=1, jobs=())
    tally._applied(9, command, Outcome(rows=(late,)))
    assert bucket(office, "croncord_run_start_lateness_seconds", "0.02") == 0
    assert bucket(office, "croncord_run_start_lateness_seconds", "0.1") == 1
    assert bucket(office, "croncord_run_duration_seconds", "5") == before
    assert bucket(office, "croncord_run_duration_seconds", "30") == before + 1
