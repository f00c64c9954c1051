import re

import pytest
from aiohttp import FormData
from desks import ADMIN
from page_visitor import check_html, visiting


@pytest.fixture
async def visitor(office):
    async with visiting(office) as visitor:
        yield visitor


async def test_a_job_is_created_started_paused_resumed_killed_and_deleted_without_scripts(visitor):
    await visitor.sign_in("operator")
    answer = await visitor.post("/jobs/new", name="a b", schedule="*/5 * * * *", script="echo\r\n")
    assert (answer.status, answer.headers["Location"]) == (303, "/jobs/a%20b")
    page = await visitor.text("/jobs/a%20b")
    assert "Saved as version 1." in page
    assert "Every 5 minutes" in page
    assert "Saved as version 1." not in await visitor.text("/jobs/a%20b")

    answer = await visitor.post("/jobs/a%20b/run")
    run = answer.headers["Location"]
    await visitor.office.launch(run.removeprefix("/runs/"))
    assert "Running" in await visitor.text(run)
    assert (await visitor.post(f"{run}/kill")).headers["Location"] == run
    page = await visitor.text(run)
    assert "Kill asked for" in page
    assert "waiting for the proof" in page
    await visitor.office.finish(run.removeprefix("/runs/"), "killed", signal=15)
    page = await visitor.text(run)
    assert "no process is left" in page
    assert "ended by SIGTERM" in page

    assert (await visitor.post("/jobs/a%20b/pause", next="/jobs?q=a")).headers[
        "Location"
    ] == "/jobs?q=a"
    assert "is paused" in await visitor.text("/jobs?q=a")
    await visitor.post("/jobs/a%20b/resume")
    assert (await visitor.post("/jobs/a%20b/delete")).headers["Location"] == "/jobs"
    assert "No jobs yet" in await visitor.text("/jobs")
    assert "a b" in await visitor.text(run)


async def test_wrong_fields_are_named_together_and_everything_typed_is_kept(visitor):
    await visitor.office.job("taken")
    await visitor.sign_in()
    typed = {
        "name": "taken",
        "schedule": "0 25 * * *",
        "timezone": "Mars/Olympus",
        "timeout_seconds": "soon",
        "environment": "A=<b>\nB",
        "script": "#!/bin/sh\necho '<kept>'",
        "description": "stays",
        "overlap": "queue_all",
        "target.nodes": "n2",
        "paused": "true",
    }
    answer = await visitor.post("/jobs/new", typed)
    assert answer.status == 422
    page = await answer.text()
    check_html(page)
    for name in ("name", "schedule", "timezone", "timeout-seconds", "environment"):
        assert f'id="f-{name}-error"' in page, name
        assert f'href="#f-{name}"' in page, name
    for text in ("0 25 * * *", "Mars/Olympus", 'value="soon"', "&lt;kept&gt;", "A=&lt;b&gt;\nB"):
        assert text in page, text
    assert '<option value="queue_all" selected>' in page
    assert re.search(r'name="target.nodes" value="n2" checked', page)
    assert re.search(r'name="paused" value="true" checked', page)
    assert "hour: 25 is not between 0 and 23" in page


async def test_an_uploaded_file_wins_over_the_text_box(visitor):
    await visitor.sign_in()
    form = FormData()
    body = b"#!/usr/bin/env python3\r\nprint('file')\r\n"
    for name, value in {"csrf_token": visitor.csrf, "name": "up", "schedule": "@manual"}.items():
        form.add_field(name, value)
    form.add_field("script", "echo text\r\n")
    form.add_field("script_file", body, filename="job.py", content_type="text/x-python")
    answer = await visitor.client.post("/jobs/new", data=form, allow_redirects=False)
    assert answer.status == 303, await answer.text()
    job = await visitor.office.desk.jobs.get(ADMIN, "up")
    assert job["script"] == "#!/usr/bin/env python3\nprint('file')\n"
    assert "2 Windows line ends (CRLF) of job.py became LF." in await visitor.text("/jobs/up")


async def test_a_file_that_is_not_text_is_refused_and_the_form_kept(visitor):
    await visitor.sign_in()
    form = FormData()
    fields = {"csrf_token": visitor.csrf, "name": "up", "schedule": "@manual", "script": "true"}
    for name, value in fields.items():
        form.add_field(name, value)
    form.add_field("script_file", b"ok\n\xff\n", filename="job.sh")
    answer = await visitor.client.post("/jobs/new", data=form, allow_redirects=False)
    page = await answer.text()
    assert answer.status == 422
    assert "job.sh is not UTF-8 text: byte 0xff in line 2" in page
    assert 'value="up"' in page


async def test_editing_keeps_what_the_form_shows_and_bumps_the_version(visitor):
    await visitor.office.job("backup", environment={"A": "1"}, tags=["prod"], retries={"count": 3})
    await visitor.sign_in()
    page = await visitor.text("/jobs/backup/edit")
    fields = dict(re.findall(r'<input[^>]* name="([^"]+)" value="([^"]*)"', page))
    assert fields["retries.count"] == "3"
    assert fields["tags"] == "prod"
    fields |= {"schedule": "@daily", "script": "true\n", "environment": "A=1", "name": "renamed"}
    for name in ("target.nodes", "target.every_node", "retries.other_node", "paused"):
        fields.pop(name, None)
    answer = await visitor.post("/jobs/backup/edit", fields)
    assert (answer.status, answer.headers["Location"]) == (303, "/jobs/renamed")
    job = await visitor.office.desk.jobs.get(ADMIN, "renamed")
    assert (job["version"], job["retries"]["count"], job["tags"]) == (2, 3, ["prod"])
    assert job["environment"] == {"A": "1"}


async def test_saving_over_somebody_elses_version_asks_first_and_loses_nothing(visitor):
    await visitor.office.job()
    await visitor.sign_in()
    await visitor.office.desk.jobs.patch(ADMIN, "backup", {"description": "theirs"})
    mine = {"name": "backup", "schedule": "@daily", "script": "mine\n", "version": "1"}
    answer = await visitor.post("/jobs/backup/edit", mine)
    page = await answer.text()
    assert answer.status == 412
    assert "Version 2 was saved after you opened this form" in page
    assert "mine" in page
    assert 'name="version" value="2"' in page
    answer = await visitor.post("/jobs/backup/edit", mine | {"version": "2"})
    assert answer.status == 303


async def test_a_job_named_like_a_page_of_ours_is_reachable(visitor):
    made = await visitor.office.job("new")
    await visitor.sign_in()
    assert f'href="/jobs/{made["id"]}"' in await visitor.text("/jobs")
    assert "Edit" in await visitor.text(f"/jobs/{made['id']}")
    assert f"/jobs/{made['id']}/edit" in await visitor.text(f"/jobs/{made['id']}")


async def test_an_id_leads_to_the_address_with_the_name(visitor):
    made = await visitor.office.job("a ü")
    await visitor.sign_in()
    answer = await visitor.get(f"/jobs/{made['id']}")
    assert answer.headers["Location"] == "/jobs/a%20%C3%BC"
    assert "a ü" in await visitor.text("/jobs/a%20%C3%BC")


async def test_the_preview_tells_times_words_and_what_is_wrong(visitor):
    await visitor.sign_in()
    page = await visitor.text("/jobs/preview?schedule=30+2+*+*+*&timezone=Europe/Berlin")
    assert "At 02:30 every day." in page
    assert len(re.findall(r"<li><time", page)) == 10
    assert "CET" in page
    page = await visitor.text("/jobs/preview?schedule=0+25+*+*+*&timezone=UTC")
    assert "hour: 25 is not between 0 and 23" in page
    page = await visitor.text("/jobs/preview?schedule=@daily%0A0+99+*+*+*&timezone=UTC")
    assert "At 00:00 every day." in page
    assert 'data-problem="schedule"' in page
    assert "Type a schedule" in await visitor.text("/jobs/preview")


async def test_a_check_saves_nothing(visitor):
    await visitor.sign_in()
    answer = await visitor.post(
        "/jobs/check", name="x", schedule="@daily", script="true", timezone="UTC"
    )
    assert "Nothing wrong was found" in await answer.text()
    answer = await visitor.post("/jobs/check", name="", schedule="nope", script="true")
    page = await answer.text()
    assert 'id="f-name-error"' in page
    assert 'id="f-schedule-error"' in page
    assert (await visitor.office.desk.jobs.list(ADMIN))["total"] == 0


async def test_sixty_jobs_a_page_and_the_way_there_and_back(visitor):
    for number in range(125):
        await visitor.office.job(f"job-{number:03d}")
    await visitor.sign_in()
    page = await visitor.text("/jobs")
    assert "1–60 of 125 jobs" in page
    following = re.search(r'rel="next" href="([^"]+)"', page)[1].replace("&amp;", "&")
    page = await visitor.text(following)
    assert "61–120 of 125 jobs" in page
    last = re.search(r'rel="next" href="([^"]+)"', page)[1].replace("&amp;", "&")
    page = await visitor.text(last)
    assert "121–125 of 125 jobs" in page
    assert 'rel="next"' not in page
    before = re.search(r'rel="prev" href="([^"]+)"', page)[1].replace("&amp;", "&")
    page = await visitor.text(before)
    assert "61–120 of 125 jobs" in page
    first = re.search(r'rel="prev" href="([^"]+)"', page)[1].replace("&amp;", "&")
    assert "1–60 of 125 jobs" in await visitor.text(first)


async def test_a_filter_that_finds_nothing_offers_to_drop_each_term(visitor):
    await visitor.office.job("backup", tags=["prod"])
    await visitor.sign_in()
    page = await visitor.text("/jobs?q=backup+tag:dev")
    assert "No job matches" in page
    assert 'href="/jobs?q=backup"' in page
    assert 'href="/jobs?q=tag%3Adev"' in page
    assert "is not one of" in await visitor.text("/jobs?state=odd")
    assert "is not one of" in await visitor.text("/runs?state=odd")
    assert "is not a time" in await visitor.text("/runs?since=yesterday")


async def test_the_preview_advises_to_spread_what_begins_together_with_many_others(visitor):
    for number in range(30):
        await visitor.office.job(f"job-{number}", schedule="0 0 * * *")
    await visitor.sign_in()
    page = await visitor.text("/jobs/preview?schedule=0+0+*+*+*&timezone=UTC")
    assert "30 launches are planned for that minute. <code>H 0 * * *</code>" in page
    assert "are planned" not in await visitor.text("/jobs/preview?schedule=7+0+*+*+*&timezone=UTC")
    assert "are planned" not in await visitor.text("/jobs/preview?schedule=@daily&timezone=UTC")
