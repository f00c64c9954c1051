"""Jobs over HTTP: versions, preconditions, scripts as files."""

import msgspec
import pytest

from croncord.model import SCRIPT_BYTES_MAX

JOBS = "/api/v1/jobs"
GOOD = {"name": "night job", "script": "true\n", "schedule": "30 2 * * *"}


async def test_a_created_job_tells_its_address_and_version(door):
    answer = await door.ask("POST", JOBS, role="operator", json=GOOD)
    assert answer.status == 201
    assert answer.headers["Location"] == f"{JOBS}/night%20job"
    assert answer.headers["ETag"] == '"1"'
    made = await answer.json()
    assert await door.get(answer.headers["Location"], role="viewer") == made
    assert await door.get(f"{JOBS}/{made['id']}") == made


@pytest.mark.parametrize("name", ["{job}", "a}b", "50%", "a;b", "a?b#c", "a+b", "ä €"])
async def test_a_job_is_reached_by_its_name_whatever_it_is(door, name):
    made = await door.ask("POST", JOBS, json={"name": name, "script": "true\n"})
    assert (await door.get(made.headers["Location"]))["name"] == name


async def test_put_creates_then_replaces(door):
    first = await door.ask("PUT", f"{JOBS}/x", json={"script": "true\n"})
    second = await door.ask("PUT", f"{JOBS}/x", json={"script": "false\n"})
    assert (first.status, second.status) == (201, 200)
    assert second.headers["ETag"] == '"2"'


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/backup", {"json": {"script": "a\n"}}),
        ("PATCH", "/backup", {"json": {"tags": ["a"]}}),
        ("PUT", "/backup/script", {"data": b"a\n"}),
        ("DELETE", "/backup", {}),
    ],
)
async def test_a_change_to_an_older_version_gets_412(door, method, path, body):
    await door.office.job()
    changed = await door.ask("PATCH", f"{JOBS}/backup", json={"tags": ["first"]})
    tag = changed.headers["ETag"]
    stale = await door.problem(method, JOBS + path, headers={"If-Match": '"1"'}, **body)
    assert stale[0] == 412
    assert stale[1]["title"] == "Changed meanwhile"
    status, problem = await door.problem(method, JOBS + path, headers={"If-Match": "1"}, **body)
    assert status == 400
    assert "ETag" in problem["hint"]
    fresh = await door.ask(method, JOBS + path, headers={"If-Match": tag}, **body)
    assert fresh.status < 300


async def test_if_match_star_changes_only_what_exists(door):
    star = {"If-Match": "*"}
    status, _ = await door.problem("PUT", f"{JOBS}/x", headers=star, json={"script": "a\n"})
    assert status == 412
    await door.office.job("x")
    answer = await door.ask("PUT", f"{JOBS}/x", headers=star, json={"script": "a\n"})
    assert answer.status == 200


async def test_a_merge_patch_may_call_itself_one(door):
    await door.office.job()
    answer = await door.ask(
        "PATCH",
        f"{JOBS}/backup",
        data=b'{"environment": {"A": "1"}}',
        headers={"Content-Type": "application/merge-patch+json"},
    )
    assert (await answer.json())["environment"] == {"A": "1"}


async def test_every_wrong_field_is_in_the_answer(door):
    wrong = {"name": "a/b", "script": "", "schedule": "99 * * * *", "retries": {"count": -1}}
    status, body = await door.problem("POST", JOBS, json=wrong)
    assert status == 422
    told = {error["field"]: error["message"] for error in body["errors"]}
    assert told["schedule"] == "minute: 99 is not between 0 and 59"
    assert set(told) == {"name", "script", "schedule", "retries.count"}


async def test_a_taken_name_is_409(door):
    await door.office.job()
    status, body = await door.problem("POST", JOBS, json={**GOOD, "name": "backup"})
    assert (status, body["title"]) == (409, "Conflict")


async def test_a_script_is_sent_as_a_file_and_kept_byte_for_byte(door):
    await door.office.job()
    data = "#!/usr/bin/env python3\nprint('é')\t\n".encode()
    answer = await door.ask("PUT", f"{JOBS}/backup/script", data=data)
    assert (await answer.json())["script"].encode() == data


async def test_scripts_and_bodies_have_a_largest_size(door):
    await door.office.job()
    largest = b"#" * (SCRIPT_BYTES_MAX - 1) + b"\n"
    assert (await door.ask("PUT", f"{JOBS}/backup/script", data=largest)).status == 200
    status, body = await door.problem("PUT", f"{JOBS}/backup/script", data=largest + b"#")
    assert status == 413
    assert "1048576 bytes" in body["detail"]
    huge = {**GOOD, "description": "x" * (2 * 1024 * 1024)}
    json = {"Content-Type": "application/json"}
    status, _ = await door.problem("POST", JOBS, data=msgspec.json.encode(huge), headers=json)
    assert status == 413


async def test_a_body_without_a_length_has_a_largest_size_too(door):
    async def endless():
        for _ in range(64):
            yield b" " * 65536

    json = {"Content-Type": "application/json"}
    status, _ = await door.problem("POST", JOBS, data=endless(), headers=json)
    assert status == 413


async def test_the_idempotency_key_may_be_a_header(door):
    await door.office.job()
    key = {"Idempotency-Key": "deploy-7"}
    first = await door.ask("POST", f"{JOBS}/backup/run", headers=key)
    again = await door.ask("POST", f"{JOBS}/backup/run", headers=key)
    assert first.status == again.status == 202
    run = await first.json()
    assert (await again.json())["id"] == run["id"]
    assert first.headers["Location"] == f"/api/v1/runs/{run['id']}"


async def test_a_run_may_have_its_own_environment_and_node(door):
    await door.office.job()
    body = {"environment": {"MONTH": "10"}, "node": "n2"}
    answer = await door.ask("POST", f"{JOBS}/backup/run", json=body)
    run = await answer.json()
    assert (run["environment"], run["target"]) == ({"MONTH": "10"}, "n2")
    assert await door.wrong_fields(
        "POST", f"{JOBS}/backup/run", json={"environment": {"A": 1}}
    ) == ["environment.A"]


async def test_lists_are_paged_by_cursor(door):
    for n in range(5):
        await door.office.job(f"job {n}")
    first = await door.get(f"{JOBS}?limit=3&sort=-name")
    assert [j["name"] for j in first["items"]] == ["job 4", "job 3", "job 2"]
    rest = await door.get(f"{JOBS}?limit=3&sort=-name&cursor={first['next_cursor']}")
    assert [j["name"] for j in rest["items"]] == ["job 1", "job 0"]
    assert rest["next_cursor"] is None
    assert first["total"] == rest["total"] == 5


async def test_a_schedule_is_previewed(door):
    path = "/api/v1/schedule/preview"
    told = await door.get(
        path,
        params={
            "expr": "30 2 * * *",
            "tz": "Europe/Berlin",
            "n": "2",
            "after": "2027-03-27T12:00:00Z",
        },
    )
    assert told["times"] == ["2027-03-28T01:00:00.000Z", "2027-03-29T00:30:00.000Z"]
    assert told["description"] == "At 02:30 every day"
    for params, field in (
        ({"expr": "99 * * * *"}, "schedule"),
        ({}, "expr"),
        ({"expr": "@daily", "tz": "Nowhere"}, "timezone"),
        ({"expr": "@daily", "n": "0"}, "n"),
        ({"expr": "@daily", "n": "many"}, "n"),
        ({"expr": "@daily", "dst": "maybe"}, "dst"),
        ({"expr": "@daily", "after": "noon"}, "after"),
    ):
        assert await door.wrong_fields("GET", path, params=params) == [field]


async def test_a_plus_that_was_not_escaped_in_a_time_is_understood(door):
    told = await door.get(
        "/api/v1/schedule/preview?expr=@daily&n=1&after=2027-03-27T12:00:00+01:00"
    )
    assert told["times"] == ["2027-03-28T00:00:00.000Z"]


async def test_a_change_repeated_under_its_key_happens_once_and_gets_the_first_answer(door):
    headers = {"Idempotency-Key": "k1"}
    body = {"name": "once", "script": "true\n"}
    first = await door.ask("POST", "/api/v1/jobs", json=body, headers=headers)
    again = await door.ask("POST", "/api/v1/jobs", json=body, headers=headers)
    assert (first.status, again.status) == (201, 201)
    assert (await first.json())["id"] == (await again.json())["id"]
    assert (await door.ask("POST", "/api/v1/jobs", json=body)).status == 409
    status, _ = await door.problem(
        "POST", "/api/v1/jobs", json=body, headers={"Idempotency-Key": "k" * 129}
    )
    assert status == 400
