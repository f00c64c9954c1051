"""What the figures say about jobs: also what happened long ago, and not more than a caller may see."""

import pytest
from desks import ADMIN

from croncord.credentials import Grant
from croncord.service import Who, job_figures


def figures(office, who=ADMIN):
    """Return the value of each figure by name and job."""
    return {
        (family.name.removeprefix("croncord_job_"), sample.labels["job_name"]): sample.value
        for family in office.desk.figures.families(who)
        for sample in family.samples
        if "job_name" in sample.labels
    }


def value(office, name, who=ADMIN):
    families = {family.name: family for family in office.desk.figures.families(who)}
    return families[name].samples[0].value


async def test_a_job_that_never_ran_has_no_time_of_success(office):
    await office.job("new")
    assert figures(office) == {("consecutive_failures", "new"): 0, ("paused", "new"): 0}


async def test_the_last_success_is_told_after_any_number_of_failures(office):
    await office.job()
    run_id = await office.ran(state="succeeded")
    ended_at = office.ledger.get(run_id).finished_at.timestamp()
    assert figures(office)["last_success_timestamp_seconds", "backup"] == ended_at
    for _ in range(7):
        await office.ran(state="failed")
    told = figures(office)
    assert told["last_success_timestamp_seconds", "backup"] == ended_at
    assert told["consecutive_failures", "backup"] == 7
    again = office.ledger.get(await office.ran(state="succeeded")).finished_at.timestamp()
    assert figures(office)["last_success_timestamp_seconds", "backup"] == again


async def test_a_success_and_its_failures_between_two_looks_are_not_overlooked(office):
    await office.job()
    await office.ran(state="succeeded")
    figures(office)
    run_id = await office.ran(state="succeeded")
    for _ in range(6):
        await office.ran(state="failed")
    ended_at = office.ledger.get(run_id).finished_at.timestamp()
    assert figures(office)["last_success_timestamp_seconds", "backup"] == ended_at


async def test_the_ledger_is_asked_about_so_many_jobs_per_page(office, monkeypatch):
    monkeypatch.setattr(job_figures, "LOOKUPS_MAX", 1)
    for name in ("one", "two"):
        await office.job(name)
        await office.ran(name, state="succeeded")
        for _ in range(5):
            await office.ran(name, state="failed")
    known = [
        sum("last_success_timestamp_seconds" in name for name, _ in figures(office))
        for _ in range(3)
    ]
    assert known == [1, 2, 2]


async def test_jobs_above_the_limit_are_counted_and_not_named(office, monkeypatch):
    monkeypatch.setattr(job_figures, "JOBS_MAX", 2)
    for name in ("first", "second", "third"):
        await office.job(name)
    assert {job for _, job in figures(office)} == {"first", "second"}
    assert value(office, "croncord_jobs_omitted") == 1


@pytest.mark.parametrize("role", ["viewer", "admin"])
async def test_a_limited_caller_reads_no_names_of_other_jobs(office, role):
    await office.job("mine", tags=["team-a"])
    await office.job("theirs", tags=["team-b"])
    limited = Who("token:x", role, "", grants=(Grant(role="viewer", tags=("team-a",)),))
    assert {job for _, job in figures(office, limited)} == {"mine"}
    assert value(office, "croncord_jobs_omitted", limited) == 0
