"""What people with bad intentions send. Nothing of it may crash, hang, change or reveal anything."""

import asyncio
import gzip

import pytest

JSON = {"Content-Type": "application/json"}
JOBS = "/api/v1/jobs"

BODIES = [
    (b'{"name": "a", "script": "\\ud800"}', {400, 422}),
    (b'{"name": "\\u0000", "script": "x"}', {422}),
    (b'{"name": "a", "script": "x", "jitter_seconds": 1e400}', {400, 422}),
    (b'{"name": "a", "script": "x", "jitter_seconds": 123456789012345678901234567890}', {422}),
    (b'{"name": "a", "script": "x", "retries": {"backoff": NaN}}', {400}),
    (b'{"name": "a", "name": "/", "script": "x"}', {422}),
    (b'{"__class__": "x", "name": "a", "script": "x"}', {422}),
    (b'{"name": {"$gt": ""}, "script": "x"}', {422}),
    (b'{"name": "a", "script": "x", "environment": {"LD_PRELOAD\\n": "x"}}', {422}),
    (b'{"name": "a", "script": "x", "schedule": "' + b"*/1," * 5000 + b'*"}', {422}),
    (b'{"name": "a", "script": "x", "schedule": "* * * * * * * * * *"}', {422}),
    (b'{"name": "a", "script": "x", "schedule": "\xe2\x80\xae* * * * *"}', {422}),
    (b'{"name": "a", "script": "x", "timezone": "../../../../etc/passwd"}', {422}),
    (b'{"name": "a", "script": "x", "timezone": "Europe/../../etc/passwd"}', {422}),
    (b'{"a":' * 5000 + b"1" + b"}" * 5000, {400}),
    (b"[" * 1_000_000, {400}),
    (b"\x00\x01\x02", {400}),
    (b"\xef\xbb\xbf{}", {400}),
    (b"", {400}),
    (b"{" + b",".join(b'"f%d":1' % n for n in range(100_000)) + b"}", {422}),
]


@pytest.mark.parametrize(("body", "statuses"), BODIES, ids=lambda v: str(v)[:40])
async def test_hostile_bodies(door, body, statuses):
    before = door.office.replica.state.digest()
    status, problem = await door.problem("POST", JOBS, data=body, headers=JSON)
    assert status in statuses
    assert len(str(problem)) < 20_000
    assert door.office.replica.state.digest() == before


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/jobs/..%2f..%2fetc%2fpasswd",
        "/api/v1/jobs/%00",
        "/api/v1/jobs/%ff%fe",
        "/api/v1/jobs/a%0d%0aSet-Cookie:%20x=y",
        "/api/v1/jobs/" + "x" * 4000,
        "/api/v1/runs/%2e%2e/log",
        "/api/v1/runs/" + "v" * 24 + "/log",
        "/api/v1/runs/\u0660" + "0" * 23,
        "/api/v1/nodes/%3Cscript%3E",
        "/static/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/internal/v1/nothing",
    ],
)
async def test_hostile_paths(door, path):
    answer = await door.ask("GET", path, allow_redirects=False)
    assert answer.status in {404, 400}
    assert answer.content_type == "application/problem+json"
    assert "Set-Cookie" not in answer.headers
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "query",
    [
        "limit=-1",
        "limit=99999999999999999999",
        "limit=%00",
        "cursor=%ff",
        "cursor=" + "A" * 3000,
        "sort=__class__",
        "state=%27%20OR%201=1",
        "node=%0d%0a",
        "stale=yes",
        "q=a&q=b&limit=x",
    ],
)
async def test_hostile_queries(door, query):
    await door.office.job()
    status, _ = await door.problem("GET", f"{JOBS}?{query}")
    assert status == 422


@pytest.mark.parametrize(
    "raw",
    [
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET /api/v1/jobs HTTP/1.1\r\n\r\n",
        b"GET /api/v1/jobs HTTP/1.0\r\n\r\n",
        b"GET /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nA: " + b"x" * 100_000 + b"\r\n\r\n",
        b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
    ids=lambda raw: str(raw[:40]),
)
async def test_hostile_bytes_get_an_error_and_nothing_else_suffers(door, raw):
    reader, writer = await asyncio.open_connection("127.0.0.1", door.client.server.port)
    writer.write(raw)
    writer.write_eof()
    answer = await reader.read(4096)
    assert answer == b"" or answer.split(b" ", 2)[1] in {b"400", b"401"}
    writer.close()
    await writer.wait_closed()
    assert (await door.ask("GET", "/healthz", role=None)).status == 200


async def test_a_small_body_that_unpacks_to_a_large_one_is_refused(door):
    bomb = gzip.compress(b" " * 50_000_000)
    headers = {**JSON, "Content-Encoding": "gzip"}
    status, _ = await door.problem("POST", JOBS, data=bomb, headers=headers)
    assert status in {400, 413}


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_body_that_only_claims_to_be_packed_is_refused(door, coding):
    headers = {**JSON, "Content-Encoding": coding}
    status, _ = await door.problem("POST", JOBS, data=b"{}nothing packed", headers=headers)
    assert status == 400


async def test_a_body_that_never_comes_whole_changes_nothing(door, caplog):
    _, writer = await asyncio.open_connection("127.0.0.1", door.client.server.port)
    token = door.tokens["admin"]
    writer.write(
        f"POST {JOBS} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        'Content-Type: application/json\r\nContent-Length: 999\r\n\r\n{"name": "a"'.encode()
    )
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await door.get(JOBS))["total"] == 0
    assert not [r for r in caplog.records if r.exc_info]


async def test_a_form_is_no_api_call(door):
    """A foreign form could send this without the browser asking anybody."""
    status, _ = await door.problem("POST", JOBS, data={"name": "a", "script": "x"})
    assert status == 415
    await door.office.job()
    answer = await door.ask(
        "POST", f"{JOBS}/backup/run", data=b"{}", headers={"Content-Type": "text/plain"}
    )
    assert answer.status == 415


async def test_names_with_markup_come_back_as_data(door):
    name = "<script>alert('é')</script>".replace("/", "∕")
    made = await door.ask("POST", JOBS, json={"name": name, "script": "x"})
    assert made.status == 201
    assert made.headers["Location"].isascii()
    assert (await door.get(made.headers["Location"]))["name"] == name
    assert made.content_type == "application/json"
