from datetime import timedelta

import pytest
from builders import NOON, Cluster, at
from desks import OPERATOR, VIEWER

from croncord.errors import Forbidden, NotFound, VersionChanged
from croncord.model import JobSpec
from croncord.service.edits import tick_changes


def spec(schedule, **fields):
    return JobSpec(name="job", script="true", schedule=(schedule,), **fields)


@pytest.mark.parametrize(
    ("old", "new", "added", "removed"),
    [
        (None, "0 */6 * * *", 4, 0),
        ("0 */6 * * *", "0 */6 * * *", 0, 0),
        ("0 */6 * * *", "0 */8 * * *", 2, 3),
        ("0 */6 * * *", "@manual", 0, 4),
        ("@manual", "0 13 * * *", 1, 0),
    ],
)
def test_saving_tells_which_ticks_of_the_next_day_appear_and_vanish(old, new, added, removed):
    job = Cluster().add_job(schedule=old) if old else None
    told = tick_changes(spec(new), job, NOON)
    assert (told["added_count"], told["removed_count"]) == (added, removed)
    assert told["until"] == "2026-11-25T12:00:00.000Z"


def test_an_edit_that_leaves_the_timing_alone_keeps_the_rhythm_of_every():
    job = Cluster().add_job(schedule="@every 7h")
    told = tick_changes(spec("@every 7h", description="new"), job, at(3600))
    assert (told["added"], told["removed"]) == ([], [])


def test_a_job_that_runs_every_second_is_compared_as_far_as_it_is_worth():
    job = Cluster().add_job(schedule="* * * * * *")
    told = tick_changes(spec("*/2 * * * * *"), job, NOON)
    assert told["added_count"] == 0
    assert told["removed_count"] == 1000
    assert len(told["removed"]) == 50
    assert told["until"] < (NOON + timedelta(days=1)).isoformat()


async def test_validating_an_edit_tells_its_ticks(office):
    job = await office.job(schedule="0 0 * * *")
    told = await office.desk.jobs.validate(VIEWER, {**job, "schedule": "0 12 * * *"})
    assert (told["ticks"]["added_count"], told["ticks"]["removed_count"]) == (1, 1)
    told = await office.desk.jobs.validate(VIEWER, {**job, "schedule": "nonsense"})
    assert told["ticks"] is None


async def test_versions_tell_what_changed_line_by_line_and_can_be_restored(office):
    jobs = office.desk.jobs
    await office.job(script="one\ntwo\n", description="first")
    await jobs.patch(OPERATOR, "backup", {"script": "one\n2\n", "description": "second"})
    await jobs.pause(OPERATOR, "backup")
    newest, oldest = await jobs.versions(VIEWER, "backup")
    assert oldest["diff"] == []
    assert newest["changed"] == ["script", "description"]
    script, description = newest["diff"]
    assert script["lines"][-2:] == ["-two", "+2"]
    assert (description["before"], description["after"]) == ("first", "second")
    restored = await jobs.restore(OPERATOR, "backup", 1)
    assert (restored["version"], restored["script"], restored["description"]) == (
        3,
        "one\ntwo\n",
        "first",
    )
    assert restored["paused"] is True


async def test_a_version_that_is_not_kept_cannot_be_restored(office):
    await office.job()
    with pytest.raises(NotFound):
        await office.desk.jobs.restore(OPERATOR, "backup", 7)
    with pytest.raises(VersionChanged):
        await office.desk.jobs.restore(OPERATOR, "backup", 1, if_match=5)
    with pytest.raises(Forbidden):
        await office.desk.jobs.restore(VIEWER, "backup", 1)
