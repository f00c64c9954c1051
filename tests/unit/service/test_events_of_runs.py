from desks import OPERATOR


async def test_runs_that_follow_from_something_else_are_told_too(office):
    await office.job("first")
    await office.job("second", after=[{"job": "first"}])
    await office.job("everywhere", target={"every_node": True})
    events = []
    stop = office.desk.watch(events.append)
    run_id = await office.ran("first")
    told = [event for event in events if event["kind"] == "run"]
    assert [event["job"] for event in told][-1] == "second"
    assert {event["state"] for event in told if event["id"] == run_id} >= {"pending", "succeeded"}
    events.clear()
    await office.run("everywhere")
    assert len([event for event in events if event["kind"] == "run"]) == 2
    events.clear()
    await office.desk.calendars.put(OPERATOR, "holidays", {"dates": ["12-25"]})
    assert [(e["kind"], e["change"]) for e in events] == [("calendar", "saved")]
    stop()
