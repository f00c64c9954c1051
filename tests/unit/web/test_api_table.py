"""Every endpoint of the API: it works, who may call it, with which method, and what it refuses.

The table of the code is the list of cases, so an endpoint without these answers cannot exist.
"""

from datetime import datetime

import pytest
from desks import ADMIN, OPERATOR, PASSWORD

from croncord.web.api.table import ENDPOINTS

JOB = {"name": "made", "script": "true\n"}
PAST = {"since": "2026-01-01T00:00:00Z", "until": "2026-01-03T00:00:00Z"}
ICALENDAR = """BEGIN:VCALENDAR
BEGIN:VEVENT
DTSTART;VALUE=DATE:20200704
RRULE:FREQ=YEARLY
END:VEVENT
END:VCALENDAR
"""
WORKS = {
    ("GET", "/api/v1/logs/search"): ({"params": {"q": "text"}}, 200),
    # what to send, and which status comes back; names of jobs, runs and nodes are filled in
    ("POST", "/api/v1/jobs"): ({"json": JOB}, 201),
    ("POST", "/api/v1/jobs:validate"): ({"json": JOB}, 200),
    ("PUT", "/api/v1/jobs/{job}"): ({"json": {"script": "true\n"}}, 200),
    ("PATCH", "/api/v1/jobs/{job}"): ({"json": {"tags": ["a"]}}, 200),
    ("PUT", "/api/v1/jobs/{job}/script"): ({"data": b"true\n"}, 200),
    ("POST", "/api/v1/runs/{run}/resolve"): ({"json": {"state": "failed"}}, 200),
    ("GET", "/api/v1/schedule/preview"): ({"params": {"expr": "@daily"}}, 200),
    ("POST", "/api/v1/tokens"): ({"json": {"name": "a token"}}, 201),
    ("PATCH", "/api/v1/users/{name}"): ({"json": {"role": "viewer"}}, 200),
    ("PUT", "/api/v1/users/{name}/password"): (
        {"json": {"current_password": PASSWORD, "password": "another one"}},
        204,
    ),
    ("POST", "/api/v1/users"): ({"json": {"name": "zoe", "password": "long enough"}}, 201),
    ("POST", "/api/v1/cluster/transfer-leader"): ({}, 409),
    ("POST", "/api/v1/nodes/{name}/freeze"): ({"json": {"seconds": 5}}, 503),
    ("POST", "/api/v1/cluster/join-token"): ({"json": {"uses": 2}}, 201),
    ("PUT", "/api/v1/cluster/label-limits"): ({"json": {"limits": {"disk=n1": 2}}}, 200),
    ("PUT", "/api/v1/nodes/{name}/log-level"): ({"json": {"level": "debug"}}, 200),
    ("POST", "/api/v1/jobs/{job}/backfill"): ({"json": PAST}, 202),
    ("PUT", "/api/v1/secrets/{secret}"): ({"json": {"value": "long enough"}}, 200),
    ("PUT", "/api/v1/views/{listing}/{view}"): ({"json": {"query": "state=failed"}}, 200),
    ("PUT", "/api/v1/notifications/settings"): ({"json": {"on": ["lost"]}}, 200),
    ("PUT", "/api/v1/notifications/channels/{channel}"): (
        {"json": {"kind": "email", "to": ["ops@example.com"]}},
        200,
    ),
    ("PUT", "/api/v1/calendars/{calendar}"): ({"json": {"dates": ["12-25"]}}, 200),
    ("POST", "/api/v1/calendars/{calendar}/import"): ({"json": {"text": ICALENDAR}}, 200),
}
CREATES = {
    ("PUT", "/api/v1/jobs/{job}"),
    ("PUT", "/api/v1/calendars/{calendar}"),
    ("PUT", "/api/v1/views/{listing}/{view}"),
    ("PUT", "/api/v1/secrets/{secret}"),
    ("PUT", "/api/v1/notifications/channels/{channel}"),
    ("POST", "/api/v1/calendars/{calendar}/import"),
}
NO_BODY = {("GET", e.path) for e in ENDPOINTS} | {("DELETE", e.path) for e in ENDPOINTS}
STREAMS = {"/api/v1/events"}

by_name = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: f"{e.method} {e.path}")
guarded = pytest.mark.parametrize(
    "endpoint",
    [e for e in ENDPOINTS if e.role is not None],
    ids=lambda e: f"{e.method} {e.path}",
)


async def address(door, endpoint):
    """Make what the endpoint is about; returns its path with everything filled in."""
    await door.office.job(schedule="@daily")
    await door.office.add_user("zed")
    desk = door.office.desk
    await desk.secrets.put(ADMIN, "DB_PASSWORD", {"value": "long enough"})
    await desk.calendars.put(OPERATOR, "holidays", {"dates": ["12-25"]})
    for role in ("viewer", "operator", "admin"):
        who = await desk.access.authenticate_token(door.tokens[role], "")
        await desk.views.put(who, "jobs", "mine", "state=failed")
    mail = {"kind": "email", "to": ["ops@example.com"]}
    await desk.notifications.put_channel(ADMIN, "ops", mail)
    backfill = ""
    if "{backfill}" in endpoint.path:
        since, until = (datetime.fromisoformat(PAST[name]) for name in ("since", "until"))
        backfill = (await desk.backfills.start(OPERATOR, "backup", since=since, until=until))["id"]
    token = await door.office.desk.people.create_token(
        (await door.office.desk.access.authenticate_token(door.tokens["admin"], "")),
        {"name": "old"},
    )
    run = (await door.office.run())["id"]
    if "/resolve" in endpoint.path:
        await door.office.launch(run)
        await door.office.lose(run)
    name = "zed" if "/users/" in endpoint.path else "n2"
    return endpoint.path.format(
        job="backup",
        run=run,
        name=name,
        id=token["id"],
        calendar="holidays",
        secret="DB_PASSWORD",
        channel="ops",
        backfill=backfill,
        version="1",
        listing="jobs",
        view="mine",
    )


@by_name
async def test_it_works(door, endpoint):
    path = await address(door, endpoint)
    sent, status = WORKS.get((endpoint.method, endpoint.path), ({}, endpoint.status))
    answer = await door.ask(endpoint.method, path, role=endpoint.role and "admin", **sent)
    assert answer.status == status, await answer.text()
    assert answer.headers["Croncord-Node"] == "n1"
    assert answer.headers["Croncord-Leader"] == "n1"
    assert "Croncord-Stale" not in answer.headers
    if endpoint.path not in STREAMS:
        body = await answer.read()
        assert bool(body) == (status != 204) or endpoint.path.endswith("/log")
    answer.close()


@guarded
async def test_nobody_unknown_gets_in(door, endpoint):
    path = await address(door, endpoint)
    before = door.office.replica.state.digest()
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": "croncord_d0f631ca=wrong"}):
        status, body = await door.problem(endpoint.method, path, role=None, headers=headers)
        assert status == 401
        assert body["title"] == "Not signed in"
        assert body["hint"]
    assert door.office.replica.state.digest() == before


@guarded
async def test_a_smaller_role_is_refused_and_changes_nothing(door, endpoint):
    path = await address(door, endpoint)
    before = door.office.replica.state.digest()
    smaller = {"viewer": (), "operator": ("viewer",), "admin": ("viewer", "operator")}
    sent, _ = WORKS.get((endpoint.method, endpoint.path), ({}, 0))
    for role in smaller[endpoint.role]:
        status, body = await door.problem(endpoint.method, path, role=role, **sent)
        assert status == 403
        assert f"needs the role {endpoint.role}" in body["detail"]
    assert door.office.replica.state.digest() == before


@by_name
async def test_a_wrong_method_is_told_with_the_right_ones(door, endpoint):
    path = await address(door, endpoint)
    allowed = {e.method for e in ENDPOINTS if e.path == endpoint.path}
    allowed |= {"HEAD"} if "GET" in allowed else set()
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} - allowed:
        answer = await door.ask(method, path)
        assert answer.status == 405, method
        assert set(answer.headers["Allow"].split(", ")) == allowed
        assert answer.content_type == "application/problem+json"
        assert (await answer.json())["title"] == "Method not allowed"


@by_name
async def test_an_unknown_query_parameter_is_named(door, endpoint):
    path = await address(door, endpoint)
    fields = await door.wrong_fields(endpoint.method, path, params={"lmit": "1"})
    assert "lmit" in fields


@pytest.mark.parametrize(
    "endpoint",
    [e for e in ENDPOINTS if e.body not in (None, bytes)],
    ids=lambda e: f"{e.method} {e.path}",
)
async def test_a_body_that_is_no_json_object_is_refused(door, endpoint):
    path = await address(door, endpoint)
    json = {"Content-Type": "application/json"}
    for data in (b"{", b"[]", b"7", b'"x"', b"\xff", b"[" * 100_000, b'{"a":1}x', b"nul"):
        status, _ = await door.problem(endpoint.method, path, data=data, headers=json)
        assert status == 400, data[:20]
    status, body = await door.problem(endpoint.method, path, data=b"a=1", headers={})
    assert status == 415
    assert "application/json" in body["hint"]
    fields = (
        await door.wrong_fields(endpoint.method, path, json={"nmae": 1})
        if (not endpoint.path.endswith(":validate"))
        else ["nmae"]
    )
    assert "nmae" in fields


@by_name
async def test_what_does_not_exist_is_not_found(door, endpoint):
    if "{" not in endpoint.path or (endpoint.method, endpoint.path) in CREATES:
        return
    path = endpoint.path.format(
        job="nope",
        run="0" * 24,
        name="nope",
        id="nope",
        channel="nope",
        calendar="nope",
        secret="nope",
        backfill="nope",
        version="nope",
        listing="jobs",
        view="nope",
    )
    sent, _ = WORKS.get((endpoint.method, endpoint.path), ({}, 0))
    status, body = await door.problem(endpoint.method, path, **sent)
    assert status == 404
    assert "nope" in body["detail"] or "0" * 24 in body["detail"] or "no such" in body["detail"]
