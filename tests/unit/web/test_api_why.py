async def test_why_answers_over_the_api(door):
    await door.office.job("backup", schedule="@manual")
    run_id = await door.office.ran("backup", state="failed")
    told = await door.get("/api/v1/jobs/backup/why", role="viewer")
    assert (told["kind"], told["job"]) == ("row", "backup")
    assert told["runs"][0]["id"] == run_id
    assert told["summary"] == "It failed with exit status 1."
    assert told["next"]["placement"]["text"] == "2 of 2 nodes match now"


async def test_why_takes_a_time_on_the_clock_of_the_jobs_zone(door):
    await door.office.job(schedule="30 2 * * *", timezone="Europe/Berlin", dst="skip")
    told = await door.get("/api/v1/jobs/backup/why", params={"at": "2027-03-28T02:30"})
    assert told["reason"] == "dst_gap"
    told = await door.get("/api/v1/jobs/backup/why", params={"at": "2027-01-01T02:30+01:00"})
    assert (told["kind"], told["tick"]) == ("future", "2027-01-01T01:30:00.000Z")


async def test_a_time_that_cannot_be_read_names_the_field(door):
    await door.office.job()
    path = "/api/v1/jobs/backup/why?at=yesterday"
    assert await door.wrong_fields("GET", path) == ["at"]
