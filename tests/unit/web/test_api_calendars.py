HOLIDAYS = {"dates": ["12-25", "2027-01-01"], "timezone": "Europe/Berlin"}
ICS = """BEGIN:VCALENDAR
BEGIN:VEVENT
DTSTART;VALUE=DATE:20200704
RRULE:FREQ=YEARLY
END:VEVENT
END:VCALENDAR
"""
PATH = "/api/v1/calendars/holidays"


async def put(door, body=HOLIDAYS, **options):
    return await door.ask("PUT", PATH, json=body, **options)


async def test_a_calendar_is_created_shown_used_and_deleted(door):
    answer = await put(door, role="operator")
    assert answer.status == 200, await answer.text()
    await door.office.job(calendars=["holidays"])
    shown = await door.get(PATH, role="viewer")
    assert (shown["dates"], shown["jobs"]) == (["12-25", "2027-01-01"], ["backup"])
    assert [c["name"] for c in (await door.get("/api/v1/calendars"))["items"]] == ["holidays"]
    status, problem = await door.problem("DELETE", PATH)
    assert (status, "backup" in problem["detail"]) == (409, True)
    await door.ask("DELETE", "/api/v1/jobs/backup")
    assert (await door.ask("DELETE", PATH)).status == 204
    assert (await door.problem("GET", PATH))[0] == 404


async def test_what_is_shown_can_be_sent_back(door):
    await put(door)
    shown = await door.get(PATH)
    assert (await put(door, shown)).status == 200


async def test_only_operators_change_calendars(door):
    assert (await put(door, role="viewer")).status == 403


async def test_wrong_fields_are_named(door):
    fields = {"dates": ["2026-02-30"], "times": ["late"], "colour": "red"}
    assert set(await door.wrong_fields("PUT", PATH, json=fields)) == {"times", "colour"}
    assert await door.wrong_fields("PUT", PATH, json={"dates": ["2026-02-30"]}) == ["dates"]
    fields = {"name": "job", "script": "true", "calendars": ["nope"]}
    assert await door.wrong_fields("POST", "/api/v1/jobs", json=fields) == ["calendars"]


async def test_an_icalendar_file_is_imported_with_its_recurring_events(door):
    body = {"text": ICS, "kind": "allowed", "timezone": "UTC"}
    answer = await door.ask("POST", PATH + "/import", json=body)
    assert answer.status == 200, await answer.text()
    calendar = await answer.json()
    assert calendar["kind"] == "allowed"
    assert 5 <= len(calendar["periods"]) <= 7
    assert await door.wrong_fields("POST", PATH + "/import", json={"text": "nope"}) == ["text"]
    body = {"text": ICS, "timezone": "Mars/Olympus"}
    assert await door.wrong_fields("POST", PATH + "/import", json=body) == ["timezone"]
