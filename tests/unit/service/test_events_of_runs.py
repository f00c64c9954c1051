import msgspec
from desks import OPERATOR, VIEWER

from croncord.node.sightings import SightingBook
from croncord.ports import Vitals


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


def vitals(office, **progress):
    return Vitals(
        name="n2",
        at=office.clock.now(),
        cpu_percent=1,
        load_1m=0.5,
        memory_bytes=1,
        memory_total_bytes=4,
        disk_bytes=2,
        disk_total_bytes=8,
        running_runs=1,
        applied_index=3,
        uptime_seconds=60,
        version="0.1.0",
        progress=progress,
    )


async def test_progress_of_a_running_run_is_told_and_shown_as_its_node_reports_it(office):
    book = SightingBook(office.clock)
    book.on_progress(office.desk.tell_progress)
    await office.job()
    run = (await office.run())["id"]
    await office.launch(run, node="n2")
    events = []
    office.desk.watch(events.append)

    for percent in (10, 40, 40):
        office.sightings = book.record(vitals(office, **{run: percent, "somebody-else": 5}))
    told = [(e["kind"], e["id"], e["percent"]) for e in events]
    assert told == [("progress", run, 10), ("progress", run, 40)]
    shown = await office.desk.runs.get(VIEWER, run)
    assert shown["messages"]["progress"] == 40
    (listed,) = (await office.desk.runs.list(VIEWER))["items"]
    assert listed["messages"]["progress"] == 40

    # A follower learns it from the leader's table.
    events.clear()
    table = [msgspec.structs.replace(book.table()[0], vitals=vitals(office, **{run: 60}))]
    book.adopt(table)
    assert [event["percent"] for event in events] == [60]


async def test_the_progress_of_a_run_that_has_ended_is_that_of_its_result(office):
    await office.job()
    run = await office.ran()
    office.sightings = SightingBook(office.clock).record(vitals(office, **{run: 40}))
    assert (await office.desk.runs.get(VIEWER, run))["messages"]["progress"] is None
