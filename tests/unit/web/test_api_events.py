"""The stream of events."""

import json

from desks import ADMIN
from web_clients import door_to

from croncord.web.api import events


async def next_event(answer):
    """Return kind and data of the next event."""
    lines = {}
    while True:
        line = (await answer.content.readline()).decode()
        assert line, "the stream ended"
        if line == "\n":
            if "event" in lines:
                return lines["event"], json.loads(lines["data"])
            lines = {}
        else:
            name, _, value = line.rstrip("\n").partition(": ")
            lines[name] = value


async def test_a_stream_begins_with_hello_and_tells_what_happens(door):
    answer = await door.ask("GET", "/api/v1/events", role="viewer")
    assert answer.content_type == "text/event-stream"
    kind, hello = await next_event(answer)
    assert (kind, hello["node"], hello["leader"]) == ("hello", "n1", "n1")
    job = await door.office.job()
    kind, data = await next_event(answer)
    assert (kind, data["id"], data["change"]) == ("job", job["id"], "saved")
    run = await door.office.run()
    kind, data = await next_event(answer)
    assert (kind, data["id"], data["state"]) == ("run", run["id"], "pending")
    await door.office.desk.cluster.drain(ADMIN, "n2")
    assert (await next_event(answer))[1]["name"] == "n2"
    answer.close()


async def test_a_head_request_does_not_wait_for_events(door):
    answer = await door.ask("HEAD", "/api/v1/events")
    assert (answer.status, answer.content_type) == (200, "text/event-stream")


async def test_a_reader_that_falls_behind_is_cut_off(office, monkeypatch):
    monkeypatch.setattr(events, "WAITING_MAX", 5)
    async with door_to(office) as door:
        stream = events._events(office.desk, ADMIN)
        assert (await anext(stream)).kind == "hello"
        for n in range(10):
            await door.office.job(f"job {n}")
        told = [event.kind async for event in stream]
        assert told == ["job"] * 5
