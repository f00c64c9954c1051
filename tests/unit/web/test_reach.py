"""Who reaches what: role × grant × endpoint, over every endpoint that the code has.

Two jobs exist: `ours` with the tag team-a, `theirs` with team-b. Callers limited to team-a never
learn of the second one: not from any endpoint, not from the difference between two refusals.
"""

import asyncio
import contextlib
import json

import pytest
from test_api_table import WORKS, address

from croncord.errors import Forbidden
from croncord.web.api.table import ENDPOINTS

HIDDEN = "theirs"
MARK = "hidden-mark"
VIEWER_A = [{"role": "viewer", "tags": ["team-a"]}]
OPERATOR_A = [{"role": "operator", "tags": ["team-a"]}]
OPERATOR_A_VIEWER_ALL = [{"role": "viewer"}, {"role": "operator", "tags": ["team-a"]}]
CALLERS = {
    # grants, or None and the role; scopes. Roles alone are tried in test_api_table.
    "viewer of team-a": (VIEWER_A, None, []),
    "operator of team-a": (OPERATOR_A, None, []),
    "operator of team-a, viewer of all": (OPERATOR_A_VIEWER_ALL, None, []),
    "operator, read only": (None, "operator", ["read"]),
    "operator, run only": (None, "operator", ["run"]),
    "operator of team-a, edit only": (OPERATOR_A, None, ["edit"]),
    "admin, edit and run only": (None, "admin", ["edit", "run"]),
}
RUNNING = {
    ("POST", "/api/v1/jobs/{job}/run"),
    ("POST", "/api/v1/jobs/{job}/pause"),
    ("POST", "/api/v1/jobs/{job}/resume"),
    ("POST", "/api/v1/jobs/{job}/backfill"),
    ("DELETE", "/api/v1/jobs/{job}/backfill/{backfill}"),
    ("POST", "/api/v1/runs/{run}/kill"),
    ("POST", "/api/v1/runs/{run}/rerun"),
    ("POST", "/api/v1/runs/{run}/resolve"),
}
"""What an operator does that is not an edit."""
UNTAGGING = {("PUT", "/api/v1/jobs/{job}"), ("PATCH", "/api/v1/jobs/{job}")}
"""What the table sends takes the tag away: not for somebody who would lose the job by that."""
ACTS = {"viewer": "read", "operator": "edit", "admin": "admin"}
INCLUDES = {"read": {"read"}, "run": {"read", "run"}, "edit": {"read", "edit"}}
STREAMS = {"/api/v1/events"}
ANY_JOB = [e for e in ENDPOINTS if "{job}" in e.path or "{run}" in e.path]
LISTS = [e for e in ENDPOINTS if e.method == "GET" and e.role and "{" not in e.path]

CASES = [
    pytest.param(caller, endpoint, tag, id=f"{caller}: {endpoint.method} {endpoint.path} {tag}")
    for caller, (grants, _role, _scopes) in CALLERS.items()
    for endpoint in ENDPOINTS
    for tag in (("team-a", "team-b") if grants and endpoint in ANY_JOB else ("team-a",))
    if endpoint.role
]


async def introduce(door, caller):
    """Give the caller a token and a saved view; returns the role to ask with."""
    grants, role, scopes = CALLERS[caller]
    fields = {"name": caller, "scopes": scopes}
    fields |= {"role": role} if grants is None else {"grants": grants}
    answer = await door.ask("POST", "/api/v1/tokens", json=fields)
    assert answer.status == 201, await answer.text()
    door.tokens[caller] = token = (await answer.json())["token"]
    desk = door.office.desk
    with contextlib.suppress(Forbidden):
        await desk.views.put(
            await desk.access.authenticate_token(token, ""), "jobs", "mine", "state=failed"
        )
    return caller


def act_of(endpoint):
    if endpoint.path.endswith("/password"):
        return "admin"
    return "run" if (endpoint.method, endpoint.path) in RUNNING else ACTS[endpoint.role]


def expected(caller, endpoint, tags):  # noqa: PLR0911  # one line per rule
    """Say `done`, `refused` or `hidden`, by rules written down here once more."""
    grants, role, scopes = CALLERS[caller]
    act = act_of(endpoint)
    concerns_job = endpoint in ANY_JOB
    ranks = {"viewer": 0, "operator": 1, "admin": 2}
    in_scope = not scopes or any(act in INCLUDES[scope] for scope in scopes)
    makes_job = (endpoint.method, endpoint.path) == ("POST", "/api/v1/jobs")
    if grants is None:
        return "done" if in_scope and ranks[role] >= ranks[endpoint.role] else "refused"
    # What the caller's jobs may name:
    lists_secrets = endpoint.path in ("/api/v1/secrets", "/api/v1/notifications/channels")
    if not concerns_job and not makes_job and not lists_secrets:
        return "done" if in_scope and endpoint.role == "viewer" else "refused"
    best = max(ranks[grant["role"]] for grant in grants)
    if not in_scope or best < ranks[endpoint.role]:
        return "refused"
    if lists_secrets:
        return "done"
    covering = [g for g in grants if not g.get("tags") or set(g["tags"]) & set(tags)]
    if makes_job:
        covering = [g for g in covering if g["role"] == "operator"]
        return "done" if covering else "refused"
    if not covering:
        return "hidden"
    return "done" if max(ranks[g["role"]] for g in covering) >= ranks[endpoint.role] else "refused"


async def send(door, role, endpoint, path):
    sent, works = WORKS.get((endpoint.method, endpoint.path), ({}, endpoint.status))
    answer = await door.ask(endpoint.method, path, role=role, **sent)
    body = b"" if endpoint.path in STREAMS else await answer.read()
    answer.close()
    return answer.status, works, body


@pytest.mark.parametrize(("caller", "endpoint", "tag"), CASES)
async def test_a_caller_reaches_what_role_grants_and_scopes_say(door, caller, endpoint, tag):
    await introduce(door, caller)
    path = (await address(door, endpoint)).replace("/versions/1", "/versions/2")
    await door.office.desk.jobs.patch(await admin(door), "backup", {"tags": [tag]})
    wanted = expected(caller, endpoint, [tag])
    if (endpoint.method, endpoint.path) == ("POST", "/api/v1/jobs"):
        wanted = expected(caller, endpoint, [])  # the definition sent has no tags
    before = door.office.replica.state.digest()
    status, works, body = await send(door, caller, endpoint, path)
    if wanted == "done":
        loses = CALLERS[caller][0] and (endpoint.method, endpoint.path) in UNTAGGING
        works = 403 if loses else works
        assert status == works, (status, body)
        return
    if wanted == "hidden" and (endpoint.method, endpoint.path) == ("PUT", "/api/v1/jobs/{job}"):
        assert status in {403, 409}
    else:
        assert status == {"refused": 403, "hidden": 404}[wanted], body
    assert door.office.replica.state.digest() == before


async def admin(door):
    return await door.office.desk.access.authenticate_token(door.tokens["admin"], "127.0.0.1")


@pytest.mark.parametrize("endpoint", ANY_JOB, ids=lambda e: f"{e.method} {e.path}")
async def test_a_hidden_job_and_one_that_does_not_exist_are_refused_in_the_same_words(
    door, endpoint
):
    await introduce(door, "operator of team-a")
    path = await address(door, endpoint)
    await door.office.desk.jobs.patch(await admin(door), "backup", {"tags": ["team-b"]})
    nothing = endpoint.path.format(
        job="bakcup",
        run="0" * 24,
        backfill="b1",
        version="1",
        name="",
        id="",
        calendar="",
        secret="",
    )
    hidden = await send(door, "operator of team-a", endpoint, path)
    unknown = await send(door, "operator of team-a", endpoint, nothing)
    if (endpoint.method, endpoint.path) == ("PUT", "/api/v1/jobs/{job}"):
        assert {hidden[0], unknown[0]} == {403}  # neither may be created without a tag
        return
    assert hidden[0] == unknown[0] == 404
    one, other = json.loads(hidden[2]), json.loads(unknown[2])
    assert one["hint"] == other["hint"]
    assert one["detail"].partition("'")[0] == other["detail"].partition("'")[0]


@pytest.fixture
async def two_teams(door):
    """Ours and theirs, each with a final run whose output and environment name the hidden one."""
    office = door.office
    await office.desk.calendars.put(await admin(door), "holidays", {"dates": ["12-25"]})
    for name, tag in (("ours", "team-a"), (HIDDEN, "team-b")):
        await office.job(
            name,
            tags=[tag],
            schedule="@daily",
            description=f"{tag} {MARK if name == HIDDEN else ''}",
            calendars=["holidays"],
        )
        await office.ran(name, f"needle {MARK if name == HIDDEN else 'fine'}\n".encode())
        await office.run(name)
    await introduce(door, "operator of team-a")
    return door


@pytest.mark.parametrize("endpoint", LISTS, ids=lambda e: f"{e.method} {e.path}")
async def test_no_list_names_a_hidden_job(two_teams, endpoint):
    if endpoint.path in STREAMS or endpoint.role == "admin":
        return
    sent, _ = WORKS.get((endpoint.method, endpoint.path), ({}, 0))
    if endpoint.path == "/api/v1/logs/search":
        sent = {"params": {"q": "needle"}}
    answer = await two_teams.ask("GET", endpoint.path, role="operator of team-a", **sent)
    text = await answer.text()
    assert answer.status == 200, text
    theirs = two_teams.office.replica.state.job_named(HIDDEN)
    for word in (HIDDEN, theirs.id, MARK):
        if endpoint.path != "/api/v1/openapi.json":
            assert word not in text


async def test_lists_count_and_page_what_is_in_reach(two_teams):
    role = "operator of team-a"
    jobs = await two_teams.get("/api/v1/jobs", role=role)
    assert ([job["name"] for job in jobs["items"]], jobs["total"]) == (["ours"], 1)
    runs = await two_teams.get("/api/v1/runs", role=role)
    assert {run["job"] for run in runs["items"]} == {"ours"}
    assert len(runs["items"]) == 2
    first = await two_teams.get("/api/v1/runs?limit=1", role=role)
    rest = await two_teams.get(f"/api/v1/runs?cursor={first['next_cursor']}", role=role)
    assert first["items"] + rest["items"] == runs["items"]
    for job in (HIDDEN, two_teams.office.replica.state.job_named(HIDDEN).id, "nope"):
        assert (await two_teams.get(f"/api/v1/runs?job={job}", role=role))["items"] == []
    found = await two_teams.get("/api/v1/logs/search?q=needle", role=role)
    assert [hit["job"] for hit in found["items"]] == ["ours"]
    assert (await two_teams.get("/api/v1/calendars", role=role))["items"][0]["jobs"] == ["ours"]
    past = await two_teams.get("/api/v1/timeline/past", role=role)
    assert sum(sum(step["states"].values()) for step in past["steps"]) == 1
    assert sum((await two_teams.get("/api/v1/timeline/ahead", role=role))["minutes"]) in {1, 2}
    assert (await two_teams.get("/api/v1/runs"))["items"][0]["job"]
    assert len((await two_teams.get("/api/v1/runs"))["items"]) == 4


async def test_runs_of_a_deleted_job_are_for_callers_without_limits(two_teams):
    await two_teams.office.desk.jobs.delete(await admin(two_teams), "ours")
    assert (await two_teams.get("/api/v1/runs", role="operator of team-a"))["items"] == []
    runs = await two_teams.get("/api/v1/runs", role="viewer")
    assert "ours" in {run["job"] for run in runs["items"]}


async def test_events_tell_of_jobs_in_reach_only(two_teams):
    answer = await two_teams.ask("GET", "/api/v1/events", role="operator of team-a")
    office = two_teams.office
    await office.desk.jobs.pause(await admin(two_teams), HIDDEN)
    run = await office.run(HIDDEN)
    office.desk.tell_progress({run["id"]: 50.0})
    await office.desk.jobs.delete(await admin(two_teams), HIDDEN)
    await office.desk.jobs.pause(await admin(two_teams), "ours")
    await office.desk.jobs.delete(await admin(two_teams), "ours")
    text = ""
    async with asyncio.timeout(10):
        while '"deleted"' not in text:
            text += (await answer.content.readline()).decode()
    answer.close()
    assert HIDDEN not in text
    assert text.count('"ours"') >= 2


async def test_a_definition_stays_within_the_grants(two_teams):
    role = "operator of team-a"
    made = {"name": "new", "script": "true\n", "tags": ["team-a"]}
    assert (await two_teams.ask("POST", "/api/v1/jobs", role=role, json=made)).status == 201
    for tags in ([], ["team-b"]):
        status, body = await two_teams.problem(
            "POST", "/api/v1/jobs", role=role, json={**made, "name": "other", "tags": tags}
        )
        assert (status, "team-a" in body["hint"]) == (403, True)
        status, _ = await two_teams.problem(
            "PATCH", "/api/v1/jobs/new", role=role, json={"tags": tags}
        )
        assert status == 403
    path = "/api/v1/jobs/new"
    for upstream in (HIDDEN, "nope"):
        after = {"after": [{"job": upstream}]}
        assert await two_teams.wrong_fields("PATCH", path, role=role, json=after) == ["after"]
    ours = {"after": [{"job": "ours"}]}
    assert (await two_teams.ask("PATCH", path, role=role, json=ours)).status == 200
    warnings = []
    for upstream in (HIDDEN, "nope"):
        body = {**made, "name": "other", "after": [{"job": upstream}]}
        answer = await two_teams.ask("POST", "/api/v1/jobs:validate", role=role, json=body)
        warnings.append((await answer.json())["warnings"][-1].replace(upstream, "?"))
    assert warnings[0] == warnings[1]


async def test_an_old_version_outside_of_the_grants_cannot_be_brought_back(two_teams):
    office, role = two_teams.office, "operator of team-a"
    await office.desk.jobs.patch(await admin(two_teams), HIDDEN, {"tags": ["team-a"]})
    path = f"/api/v1/jobs/{HIDDEN}/versions/1/restore"
    assert (await two_teams.problem("POST", path, role=role))[0] == 403


async def test_somebody_else_s_idempotency_key_leads_to_no_hidden_run(two_teams):
    key = {"idempotency_key": "k"}
    theirs = await two_teams.ask("POST", f"/api/v1/jobs/{HIDDEN}/run", json=key)
    ours = await two_teams.ask("POST", "/api/v1/jobs/ours/run", role="operator of team-a", json=key)
    assert (await ours.json())["job"] == "ours"
    assert (await ours.json())["id"] != (await theirs.json())["id"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"role": "admin", "grants": OPERATOR_A}, "role"),
        ({"role": "operator", "grants": OPERATOR_A}, "role"),
        ({"grants": [{"role": "admin", "tags": ["a"]}]}, "grants.role"),
        ({"grants": [{"role": "viewer", "tags": [""]}]}, "grants.tags"),
        ({"scopes": ["admin"]}, "scopes"),
        ({"role": "viewer", "scopes": ["run"]}, "scopes"),
        ({"grants": VIEWER_A, "scopes": ["edit"]}, "scopes"),
        ({"scopes": ["write"]}, "scopes"),
    ],
)
async def test_a_reach_that_makes_no_sense_is_refused(door, fields, field):
    body = {"name": "t", **fields}
    assert await door.wrong_fields("POST", "/api/v1/tokens", json=body) == [field]
