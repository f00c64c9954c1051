"""Which requests were meant for us."""

import asyncio
import socket

import pytest
from web_clients import door_to

JOBS = "/api/v1/jobs"


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:9",
        "LOCALHOST",
        "app.localhost",
        "127.0.0.1:8470",
        "127.9.9.9",
        "[::1]:8470",
        "n1.example",
        "n2.example:8470",
        "N2.Example.",
        socket.gethostname(),
        "cron.example",
    ],
)
async def test_names_of_ours_are_answered(office, host):
    async with door_to(office, allowed_hosts=["Cron.Example"]) as door:
        answer = await door.ask("GET", JOBS, headers={"Host": host})
        assert answer.status == 200, host


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("n1.example.evil", 421),
        ("10.0.0.7", 421),
        ("0.0.0.0", 421),  # noqa: S104  # a name to refuse
        ("127.0.0.1.evil.example", 421),
        ("a@localhost", 400),
        ("localhost/x", 400),
        ("localhost:port", 400),
        ("[::1", 400),
        ("", 400),
        ("localhost:99999", 400),
    ],
)
async def test_names_that_are_not_ours_are_refused(door, host, status):
    got, body = await door.problem("GET", JOBS, headers={"Host": host})
    assert got == status
    if status == 421:
        assert "advertise" in body["hint"]


async def test_health_is_told_under_any_name(door):
    answer = await door.ask("GET", "/healthz", role=None, headers={"Host": "probe.example"})
    assert answer.status == 200


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "http://evil.example",
        "http://localhost:1",
        "https://localhost:8470",
        "http://localhost:8470.evil.example",
        "http://",
        "garbage",
        "http://localhost:port",
        "file://",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_pages_of_others_reach_nothing(door, origin, method):
    headers = {"Host": "localhost:8471", "Origin": origin}
    status, body = await door.problem(method, JOBS, headers=headers)
    assert (status, "are refused" in body["detail"]) == (403, True)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:8470", "http://localhost:8470"),
        ("localhost", "http://localhost"),
        ("localhost:443", "https://localhost"),
        ("localhost", "https://localhost"),
        ("[::1]:8470", "http://[::1]:8470"),
        ("N1.example:8470", "http://n1.example:8470"),
    ],
)
async def test_our_own_pages_reach_everything(door, host, origin):
    answer = await door.ask("GET", JOBS, headers={"Host": host, "Origin": origin})
    assert answer.status == 200


@pytest.mark.parametrize(
    ("method", "site", "status"),
    [
        ("GET", "cross-site", 200),
        ("POST", "cross-site", 403),
        ("POST", "same-site", 403),
        ("POST", "same-origin", 415),
        ("POST", "none", 415),
    ],
)
async def test_a_change_that_the_browser_says_comes_from_elsewhere_is_refused(
    door, method, site, status
):
    answer = await door.ask(method, JOBS, headers={"Sec-Fetch-Site": site})
    assert answer.status == status


async def test_two_hosts_are_one_too_many(door):
    reader, writer = await asyncio.open_connection("127.0.0.1", door.client.server.port)
    writer.write(b"GET /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n")
    assert b" 400 " in await reader.readline()
    writer.close()
    await writer.wait_closed()
