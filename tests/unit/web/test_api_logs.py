"""Output over HTTP: byte for byte, in part, while it grows, as events."""

import asyncio
import base64
import json

import pytest
from desks import STDERR

BINARY = bytes(range(256)) + b"\r\n\xff\xfe\0\n"


async def finished(door, *output, **fields):
    await door.office.job(**fields)
    return f"/api/v1/runs/{await door.office.ran('backup', *output)}/log"


async def running(door):
    await door.office.job()
    run_id = (await door.office.run())["id"]
    await door.office.launch(run_id)
    return run_id, f"/api/v1/runs/{run_id}/log"


async def read(door, path, **options):
    answer = await door.ask("GET", path, **options)
    assert answer.status == 200, await answer.text()
    return await answer.read()


def events(text):
    """Return (kind, id, data) of each event of a stream."""
    found = []
    for block in text.strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
        if lines:
            found.append((lines.get("event"), lines.get("id"), json.loads(lines["data"])))
    return found


async def test_output_comes_back_byte_for_byte(door):
    path = await finished(door, BINARY, b"and more", BINARY)
    answer = await door.ask("GET", path, role="viewer")
    assert await answer.read() == BINARY + b"and more" + BINARY
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Croncord-Log-Complete"] == "true"
    assert "sandbox" in answer.headers["Content-Security-Policy"]


async def test_streams_can_be_read_apart(door):
    run_id, path = await running(door)
    await door.office.write(run_id, b"out 1\n")
    await door.office.write(run_id, b"err 1\n", stream=STDERR)
    await door.office.write(run_id, b"out 2\n")
    await door.office.finish(run_id)
    assert await read(door, path) == b"out 1\nerr 1\nout 2\n"
    assert await read(door, path + "?stream=stdout") == b"out 1\nout 2\n"
    assert await read(door, path + "?stream=stderr") == b"err 1\n"
    sizes = {}
    for query in ("", "?stream=stdout", "?stream=stderr"):
        answer = await door.ask("HEAD", path + query)
        sizes[query] = int(answer.headers["Content-Length"])
    assert sizes == {"": 18, "?stream=stdout": 12, "?stream=stderr": 6}


@pytest.mark.parametrize("offset", [0, 1, 4, 5, 9, 10, 99])
@pytest.mark.parametrize("limit", [None, 0, 1, 5, 99])
async def test_a_part_of_it_can_be_read(door, offset, limit):
    whole = b"0123\n5678\n"
    path = await finished(door, b"0123\n", b"5678\n")
    query = f"?offset={offset}" + ("" if limit is None else f"&limit={limit}")
    expected = whole[offset:] if limit is None else whole[offset : offset + limit]
    assert await read(door, path + query) == expected


@pytest.mark.parametrize(
    ("lines", "tail"), [(0, b""), (1, b"three"), (2, b"two\nthree"), (9, b"one\ntwo\nthree")]
)
async def test_the_last_lines_can_be_read(door, lines, tail):
    path = await finished(door, b"one\ntwo\n", b"three")
    assert await read(door, f"{path}?tail={lines}") == tail


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("stream=both", "stream"),
        ("offset=-1", "offset"),
        ("offset=x", "offset"),
        ("offset=99999999999999999999", "offset"),
        ("limit=1.5", "limit"),
        ("tail=-3", "tail"),
        ("tail=3&offset=1", "tail"),
        ("attempt=first", "attempt"),
        ("follow=maybe", "follow"),
    ],
)
async def test_a_wrong_part_is_refused_with_its_field(door, query, field):
    path = await finished(door, b"x")
    assert await door.wrong_fields("GET", f"{path}?{query}") == [field]


async def test_a_run_that_never_started_has_an_empty_output(door):
    await door.office.job()
    run_id = (await door.office.run())["id"]
    path = f"/api/v1/runs/{run_id}/log"
    answer = await door.ask("GET", path)
    assert (answer.status, await answer.read()) == (200, b"")
    assert answer.headers["Croncord-Log-Complete"] == "false"
    await door.ask("POST", f"/api/v1/runs/{run_id}/kill")
    assert await read(door, path) == b""


async def test_output_that_nobody_has_any_more_is_not_found(door):
    await door.office.job()
    run_id = (await door.office.run())["id"]
    await door.office.launch(run_id)
    await door.office.write(run_id, b"gone\n")
    await door.office.finish(run_id)
    key, _, _ = await door.office.desk.runs.log(*await _who(door, run_id))
    await door.office.logs.delete([key])
    status, body = await door.problem("GET", f"/api/v1/runs/{run_id}/log")
    assert status == 404
    assert "nobody has the output" in body["detail"]


async def _who(door, run_id):
    return await door.office.desk.access.authenticate_token(door.tokens["admin"], ""), run_id


async def test_an_earlier_attempt_keeps_its_output(door):
    await door.office.job(retries={"count": 1, "delay_seconds": 0})
    run_id = (await door.office.run())["id"]
    for attempt, state in ((1, "failed"), (2, "succeeded")):
        await door.office.launch(run_id)
        await door.office.write(run_id, b"attempt %d\n" % attempt, attempt=attempt)
        await door.office.finish(run_id, state, attempt=attempt)
    path = f"/api/v1/runs/{run_id}/log"
    assert await read(door, path) == b"attempt 2\n"
    assert await read(door, path + "?attempt=1") == b"attempt 1\n"
    status, body = await door.problem("GET", path + "?attempt=3")
    assert (status, "has 2 attempts" in body["detail"]) == (404, True)


async def test_a_reader_can_stay_until_the_end(door):
    await door.office.job()
    run_id = (await door.office.run())["id"]
    answer = await door.ask("GET", f"/api/v1/runs/{run_id}/log?follow=true")
    assert answer.headers["Croncord-Log-Complete"] == "false"
    await door.office.launch(run_id)
    await door.office.write(run_id, b"first\n")
    assert await answer.content.readexactly(6) == b"first\n"
    await door.office.write(run_id, BINARY)
    assert await answer.content.readexactly(len(BINARY)) == BINARY
    await door.office.finish(run_id)
    assert await answer.content.read() == b""


async def test_a_follower_of_the_tail_gets_the_last_lines_and_all_that_comes(door):
    run_id, path = await running(door)
    await door.office.write(run_id, b"1\n2\n3\n")
    answer = await door.ask("GET", path + "?follow=true&tail=1")
    assert await answer.content.readexactly(2) == b"3\n"
    await door.office.write(run_id, b"4\n")
    await door.office.finish(run_id)
    assert await answer.content.read() == b"4\n"


async def test_following_one_attempt_ends_with_it(door):
    await door.office.job(retries={"count": 1, "delay_seconds": 0})
    run_id = (await door.office.run())["id"]
    await door.office.launch(run_id)
    answer = await door.ask("GET", f"/api/v1/runs/{run_id}/log?follow=true")
    await door.office.write(run_id, b"first\n")
    await door.office.finish(run_id, "failed")
    assert await answer.content.read() == b"first\n"


async def test_output_comes_as_events_that_can_be_resumed(door):
    run_id, path = await running(door)
    await door.office.write(run_id, "é\n".encode())
    await door.office.write(run_id, b"\xff", stream=STDERR)
    await door.office.finish(run_id)
    sse = {"Accept": "text/event-stream"}
    answer = await door.ask("GET", path, headers=sse)
    assert answer.content_type == "text/event-stream"
    assert answer.headers["X-Accel-Buffering"] == "no"
    first, second, end = events(await answer.text())
    assert first[0] == second[0] == "output"
    assert first[2] == {"stream": "stdout", "ms": 7, "text": "é\n"}
    assert base64.b64decode(second[2]["base64"]) == b"\xff"
    assert (end[0], end[2]["complete"], end[2]["state"]) == ("end", True, "succeeded")
    assert int(first[1]) < int(second[1]) <= int(end[1])
    resumed = await door.ask("GET", path, headers={**sse, "Last-Event-ID": first[1]})
    assert events(await resumed.text()) == [second, end]
    by_offset = await door.ask("GET", f"{path}?offset={first[1]}", headers=sse)
    assert events(await by_offset.text()) == [second, end]
    done = await door.ask("GET", path, headers={**sse, "Last-Event-ID": end[1]})
    assert [kind for kind, _, _ in events(await done.text())] == ["end"]


@pytest.mark.parametrize("seen", ["x", "-1", "1.5", "٣", "9" * 400])
async def test_a_last_event_id_that_is_none_of_ours_is_refused(door, seen):
    path = await finished(door, b"x")
    sse = {"Accept": "text/event-stream", "Last-Event-ID": seen}
    status, _ = await door.problem("GET", path, headers=sse)
    assert status in {400, 422}


async def test_an_offset_between_two_frames_is_told_in_the_stream(door):
    path = await finished(door, b"hello\n")
    answer = await door.ask("GET", path + "?offset=3", headers={"Accept": "text/event-stream"})
    ((kind, _, problem),) = events(await answer.text())
    assert (kind, problem["status"]) == ("problem", 422)


async def test_a_reader_that_leaves_ends_its_stream(door):
    run_id, path = await running(door)
    before = len(asyncio.all_tasks())
    answer = await door.ask("GET", path + "?follow=true")
    await door.office.write(run_id, b"first\n")
    assert await answer.content.readexactly(6) == b"first\n"
    answer.close()
    while len(asyncio.all_tasks()) > before:
        await door.office.write(run_id, b"more\n")
        await asyncio.sleep(0.01)


async def test_streams_end_when_the_application_shuts_down(door):
    _, path = await running(door)
    answer = await door.ask("GET", path + "?follow=true")
    await door.client.server.close()
    with pytest.raises(Exception, match=r"payload is not completed|Connection"):
        await answer.content.read()


async def test_the_size_of_output_that_still_grows_is_told(door):
    run_id, path = await running(door)
    await door.office.write(run_id, b"12345")
    answer = await door.ask("HEAD", path)
    assert answer.headers["Content-Length"] == "5"
    assert answer.headers["Croncord-Log-Complete"] == "false"
