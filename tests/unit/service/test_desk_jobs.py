"""What people do with jobs, at the desk."""

import asyncio
from datetime import timedelta

import pytest
from desks import ADMIN, OPERATOR, VIEWER

from croncord.errors import Conflict, Forbidden, Invalid, NotFound, VersionChanged
from croncord.raft.commands import DecideTicks, JobDecisions

GOOD = {"name": "backup", "script": "true\n", "schedule": "30 2 * * *"}


async def test_a_created_job_comes_back_whole(office):
    made = await office.desk.jobs.create(OPERATOR, GOOD)
    assert made == await office.desk.jobs.get(VIEWER, "backup")
    assert made == await office.desk.jobs.get(VIEWER, made["id"])
    assert made["version"] == 1
    assert made["updated_by"] == "user:bob"
    assert made["state"] == "waiting"
    assert made["next_run"].endswith("T02:30:00.000Z")
    assert made["schedule"] == "30 2 * * *"
    assert made["script_bytes"] == 5
    assert made["running"] == 0


async def test_a_viewer_changes_nothing(office):
    await office.job()
    jobs = office.desk.jobs
    for change in (
        jobs.create(VIEWER, GOOD),
        jobs.replace(VIEWER, "backup", GOOD),
        jobs.patch(VIEWER, "backup", {"tags": ["a"]}),
        jobs.set_script(VIEWER, "backup", b"true"),
        jobs.delete(VIEWER, "backup"),
        jobs.pause(VIEWER, "backup"),
        jobs.resume(VIEWER, "backup"),
        jobs.run(VIEWER, "backup"),
    ):
        with pytest.raises(Forbidden, match="needs the role operator"):
            await change


async def test_a_taken_name_is_a_conflict_for_create_and_rename(office):
    await office.job("a")
    await office.job("b")
    with pytest.raises(Conflict, match="'a' exists already"):
        await office.job("a")
    with pytest.raises(Conflict, match="'a' exists already"):
        await office.desk.jobs.patch(ADMIN, "b", {"name": "a"})


async def test_an_unknown_job_is_not_found_and_a_near_name_is_suggested(office):
    await office.job("backup-db")
    with pytest.raises(NotFound) as caught:
        await office.desk.jobs.get(VIEWER, "backup-bd")
    assert caught.value.hint == "Did you mean backup-db?"


async def test_replacing_creates_what_is_missing_under_the_name_in_the_address(office):
    made = await office.desk.jobs.replace(ADMIN, "new", {"script": "true"})
    assert (made["name"], made["version"]) == ("new", 1)
    with pytest.raises(Invalid, match="the address says 'other'"):
        await office.desk.jobs.replace(ADMIN, "other", GOOD)
    with pytest.raises(VersionChanged):
        await office.desk.jobs.replace(ADMIN, "other", {"script": "true"}, if_match=1)


async def test_replacing_gives_left_out_fields_their_defaults_and_keeps_the_name(office):
    made = await office.job(tags=["old"], overlap="allow")
    replaced = await office.desk.jobs.replace(ADMIN, made["id"], {"script": "false\n"})
    assert (replaced["name"], replaced["tags"], replaced["overlap"]) == ("backup", [], "skip")
    assert replaced["version"] == 2


async def test_a_job_as_it_was_read_can_be_sent_back(office):
    made = await office.job(schedule=["@daily", "@hourly"], environment={"A": "1"})
    again = await office.desk.jobs.replace(ADMIN, "backup", made, if_match=1)
    changing = {"version", "updated_at", "next_run"}
    assert {k: v for k, v in again.items() if k not in changing} == {
        k: v for k, v in made.items() if k not in changing
    }


async def test_a_patch_merges_objects_and_null_gives_the_default_back(office):
    await office.job(environment={"A": "1", "B": "2"}, timeout_seconds=60)
    patch = {"environment": {"A": None, "C": "3"}, "timeout_seconds": None}
    patched = await office.desk.jobs.patch(ADMIN, "backup", patch)
    assert patched["environment"] == {"B": "2", "C": "3"}
    assert patched["timeout_seconds"] is None


async def test_a_patch_of_what_the_cluster_adds_is_refused(office):
    await office.job()
    with pytest.raises(Invalid, match="next_run: is read-only"):
        await office.desk.jobs.patch(ADMIN, "backup", {"next_run": None})


async def test_a_patch_to_an_older_version_is_refused(office):
    await office.job()
    await office.desk.jobs.patch(ADMIN, "backup", {"tags": ["a"]}, if_match=1)
    for change in (
        office.desk.jobs.patch(ADMIN, "backup", {"tags": ["b"]}, if_match=1),
        office.desk.jobs.replace(ADMIN, "backup", GOOD, if_match=1),
        office.desk.jobs.set_script(ADMIN, "backup", b"true", if_match=1),
        office.desk.jobs.delete(ADMIN, "backup", if_match=1),
    ):
        with pytest.raises(VersionChanged, match="version 2"):
            await change


async def test_two_patches_at_once_are_not_both_lost_in_each_other(office):
    await office.job()
    jobs = office.desk.jobs
    results = await asyncio.gather(
        *(jobs.patch(ADMIN, "backup", {"environment": {f"A{n}": "1"}}) for n in range(5)),
        return_exceptions=True,
    )
    done = [r for r in results if isinstance(r, dict)]
    refused = [r for r in results if isinstance(r, VersionChanged)]
    assert len(done) + len(refused) == 5
    kept = (await jobs.get(ADMIN, "backup"))["environment"]
    assert len(kept) == len(done)


async def test_the_script_may_be_sent_as_a_file(office):
    await office.job()
    changed = await office.desk.jobs.set_script(ADMIN, "backup", b"#!/bin/sh\r\necho \xc3\xa9\r\n")
    assert changed["script"] == "#!/bin/sh\necho é\n"
    with pytest.raises(Invalid, match="not UTF-8"):
        await office.desk.jobs.set_script(ADMIN, "backup", b"\xff\xfe")


async def test_versions_tell_who_changed_what(office):
    await office.desk.jobs.create(OPERATOR, GOOD)
    await office.desk.jobs.patch(ADMIN, "backup", {"script": "false\n", "tags": ["x"]})
    newest, oldest = await office.desk.jobs.versions(VIEWER, "backup")
    assert (newest["version"], newest["updated_by"]) == (2, "user:ada")
    assert newest["changed"] == ["script", "tags"]
    assert newest["definition"]["script"] == "false\n"
    assert (oldest["version"], oldest["updated_by"], oldest["changed"]) == (1, "user:bob", [])


async def test_pausing_takes_the_next_run_away_and_resuming_gives_it_back(office):
    made = await office.desk.jobs.create(ADMIN, GOOD)
    paused = await office.desk.jobs.pause(OPERATOR, "backup")
    assert (paused["state"], paused["paused"], paused["next_run"]) == ("paused", True, None)
    resumed = await office.desk.jobs.resume(OPERATOR, "backup")
    assert (resumed["state"], resumed["next_run"]) == ("waiting", made["next_run"])


async def test_a_deleted_job_is_gone_and_its_name_is_free(office):
    first = await office.job()
    await office.desk.jobs.delete(OPERATOR, "backup")
    with pytest.raises(NotFound):
        await office.desk.jobs.get(VIEWER, "backup")
    assert (await office.job())["id"] != first["id"]


async def test_an_edit_that_leaves_the_timing_alone_keeps_the_rhythm(office):
    made = await office.job(schedule="@every 90s")
    edited = await office.desk.jobs.patch(ADMIN, "backup", {"script": "false\n"})
    assert edited["next_run"] == made["next_run"]


async def test_a_schedule_begins_at_start_at_and_ends_before_end_at(office):
    made = await office.job(schedule="0 0 * * *", start_at="2190-01-01T00:00:00Z")
    assert made["next_run"] == "2190-01-01T00:00:00.000Z"
    over = await office.job("over", schedule="0 0 * * *", end_at="2020-01-01T00:00:00Z")
    assert over["next_run"] is None


async def test_a_change_of_timing_waits_until_what_was_due_is_decided(office):
    made = await office.job(schedule="@every 1s")
    job = office.replica.state.jobs[made["id"]]
    while office.clock.now() < job.next_due:
        await asyncio.sleep(0.05)
    patching = asyncio.create_task(
        office.desk.jobs.patch(ADMIN, "backup", {"schedule": "30 2 * * *"})
    )
    await asyncio.sleep(0.02)
    assert not patching.done()
    decided = JobDecisions(
        job_id=job.id,
        job_version=1,
        due=job.next_due,
        next_due=job.next_due + timedelta(hours=1),
        decisions=(),
    )
    await office.do(DecideTicks(at=office.clock.now(), term=1, jobs=(decided,)))
    assert (await patching)["schedule"] == "30 2 * * *"


async def test_a_run_by_hand_waits_for_a_node_and_counts_as_open(office):
    await office.job()
    run = await office.desk.jobs.run(OPERATOR, "backup", environment={"MONTH": "10"}, node="n2")
    assert (run["state"], run["trigger"], run["by"]) == ("pending", "manual", "user:bob")
    assert (run["environment"], run["target"]) == ({"MONTH": "10"}, "n2")
    job = await office.desk.jobs.get(VIEWER, "backup")
    assert (job["running"], job["state"]) == (1, "waiting")
    await office.launch(run["id"])
    assert (await office.desk.jobs.get(VIEWER, "backup"))["state"] == "running"


async def test_the_same_idempotency_key_gives_the_first_run_even_when_it_has_long_ended(office):
    await office.job()
    first = await office.desk.jobs.run(ADMIN, "backup", idempotency_key="once")
    assert (await office.desk.jobs.run(ADMIN, "backup", idempotency_key="once")) == first
    await office.launch(first["id"])
    await office.finish(first["id"])
    for _ in range(6):
        await office.ran()
    again = await office.desk.jobs.run(ADMIN, "backup", idempotency_key="once")
    assert (again["id"], again["state"]) == (first["id"], "succeeded")
    assert len({(await office.run())["id"] for _ in range(3)}) == 3


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"node": "n9"}, "node"),
        ({"node": "n1"}, "node"),
        ({"environment": {"CRONCORD_X": "1"}}, "environment.CRONCORD_X"),
        ({"idempotency_key": "x" * 129}, "idempotency_key"),
        ({"idempotency_key": "a\nb"}, "idempotency_key"),
    ],
)
async def test_a_run_that_cannot_be_is_refused_with_the_field(office, wanted, field):
    await office.job(target={"nodes": ["n2"]})
    with pytest.raises(Invalid) as caught:
        await office.desk.jobs.run(ADMIN, "backup", **wanted)
    assert [e.field for e in caught.value.errors] == [field]


async def test_the_list_leaves_scripts_out_and_shows_the_last_run(office):
    await office.job()
    run_id = await office.ran(state="failed")
    (item,) = (await office.desk.jobs.list(VIEWER))["items"]
    assert "script" not in item
    assert item["state"] == "failed"
    assert item["last_run"]["id"] == run_id
    assert item["last_run"]["exit_code"] == 1


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ({}, ["a", "b", "c"]),
        ({"q": "NIGHT"}, ["a"]),
        ({"q": "rsync"}, ["b"]),
        ({"q": "ops prod"}, ["a"]),
        ({"q": "nothing"}, []),
        ({"tag": "prod"}, ["a", "b"]),
        ({"state": "paused"}, ["c"]),
        ({"state": "waiting"}, ["a", "b"]),
        ({"node": "n2"}, ["b", "c"]),
        ({"sort": "-name"}, ["c", "b", "a"]),
        ({"sort": "next_run"}, ["b", "a", "c"]),
        ({"sort": "-next_run"}, ["a", "b", "c"]),
        ({"sort": "last_run"}, ["a", "b", "c"]),
    ],
)
async def test_jobs_are_found_and_sorted(office, where, names):
    await office.job(
        "a",
        description="every night",
        owner="ops",
        tags=["prod"],
        schedule="@yearly",
        target={"labels": {"disk": "n1"}},
    )
    await office.job("b", script="rsync -a / /backup", tags=["prod"], schedule="* * * * *")
    await office.job("c", paused=True)
    ids = {job.id: job.name for job in office.replica.state.jobs.values()}
    page = await office.desk.jobs.list(VIEWER, **where)
    found = [item["name"] for item in page["items"]]
    if where.get("sort") == "last_run":  # none has run: by id
        assert sorted(found) == names
        assert found == [ids[job_id] for job_id in sorted(ids)]
    else:
        assert found == names
    assert page["total"] == len(names)


@pytest.mark.parametrize("sort", ["name", "-name", "next_run", "-next_run", "updated_at"])
async def test_pages_give_every_job_once_in_any_order(office, sort):
    for n in range(7):
        await office.job(f"job {n}", schedule="@daily" if n % 2 else "@manual")
    found, cursor = [], ""
    while True:
        page = await office.desk.jobs.list(VIEWER, sort=sort, limit=3, cursor=cursor)
        assert page["total"] == 7
        found += [item["name"] for item in page["items"]]
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert sorted(found) == [f"job {n}" for n in range(7)]
    whole = (await office.desk.jobs.list(VIEWER, sort=sort))["items"]
    assert found == [item["name"] for item in whole]


async def test_pages_stay_right_when_jobs_come_and_go_between_them(office):
    for name in "bdfh":
        await office.job(name)
    first = await office.desk.jobs.list(VIEWER, limit=2)
    await office.desk.jobs.delete(ADMIN, "d")
    await office.job("a")
    await office.job("e")
    second = await office.desk.jobs.list(VIEWER, limit=9, cursor=first["next_cursor"])
    assert [item["name"] for item in second["items"]] == ["e", "f", "h"]


@pytest.mark.parametrize(
    ("where", "field"),
    [
        ({"state": "happy"}, "state"),
        ({"sort": "size"}, "sort"),
        ({"node": "n9"}, "node"),
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"cursor": "!!"}, "cursor"),
        ({"cursor": "kgGh"}, "cursor"),
        ({"cursor": "AAAA"}, "cursor"),
        ({"cursor": "kgWheA"}, "cursor"),
    ],
)
async def test_a_wrong_question_names_its_field(office, where, field):
    await office.job()
    with pytest.raises(Invalid) as caught:
        await office.desk.jobs.list(VIEWER, **where)
    assert [e.field for e in caught.value.errors] == [field]


async def test_validation_tells_what_will_happen_without_doing_it(office):
    told = await office.desk.jobs.validate(
        VIEWER, {**GOOD, "timezone": "Europe/Berlin", "target": {"labels": {"disk": "n2"}}}
    )
    assert told["valid"]
    assert told["errors"] == told["warnings"] == []
    assert len(told["next"]) == 10
    assert told["description"] == "At 02:30 every day"
    assert any("does not exist in Europe/Berlin" in note for note in told["notes"])
    assert told["matching_nodes"] == ["n2"]
    assert told["script"]["interpreter"] == "/bin/bash"
    assert not office.replica.state.jobs


async def test_validation_tells_what_it_can_in_spite_of_wrong_fields(office):
    told = await office.desk.jobs.validate(
        VIEWER, {"name": "a/b", "script": "", "schedule": "@daily", "tags": 3}
    )
    assert not told["valid"]
    assert {e["field"] for e in told["errors"]} == {"name", "script", "tags"}
    assert len(told["next"]) == 10
    assert told["matching_nodes"] == ["n1", "n2"]
    wrong_time = await office.desk.jobs.validate(VIEWER, {**GOOD, "schedule": "99 * * * *"})
    assert wrong_time["next"] == []


async def test_validation_of_an_edit_does_not_trip_over_the_jobs_own_name(office):
    made = await office.job()
    assert not (await office.desk.jobs.validate(VIEWER, GOOD))["valid"]
    assert (await office.desk.jobs.validate(VIEWER, {**GOOD, "id": made["id"]}))["valid"]


async def test_validation_warns_of_what_will_never_run(office):
    nowhere = await office.desk.jobs.validate(VIEWER, {**GOOD, "target": {"nodes": ["n9"]}})
    assert nowhere["valid"]
    assert nowhere["warnings"] == ["No node matches the target now; its runs would be missed."]
    past = await office.desk.jobs.validate(VIEWER, {**GOOD, "schedule": "@at 2001-01-01T00:00:00Z"})
    assert past["warnings"] == ["Nothing is due any more: the schedule lies in the past."]


def test_a_preview_needs_no_node(office):
    told = office.desk.jobs.preview("0 3 * * *", "Europe/Berlin", n=3)
    assert len(told["times"]) == 3
    with pytest.raises(Invalid, match="n: must be a whole number from 1 to 100"):
        office.desk.jobs.preview("0 3 * * *", "UTC", n=101)
