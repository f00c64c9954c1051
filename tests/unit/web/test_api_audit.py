"""The audit trail as programs read it."""

import csv
import io
import json

import pytest
from desks import ADMIN
from test_reach import introduce

AUDIT = "/api/v1/audit"
SECRET = "long enough secret"
JOB = {"name": "backup", "script": f"echo {SECRET}\n", "environment": {"KEY": SECRET}}


@pytest.fixture
async def busy(door):
    """Somebody with a token creates, edits and runs a job, and admits a user."""
    await door.ask("POST", "/api/v1/jobs", role="operator", json=JOB)
    await door.ask("PATCH", "/api/v1/jobs/backup", role="operator", json={"tags": ["team-a"]})
    await door.ask(
        "POST", "/api/v1/jobs/backup/run", role="operator", json={"environment": {"K": SECRET}}
    )
    await door.ask("POST", "/api/v1/users", json={"name": "zoe", "password": SECRET})
    return door


async def test_each_change_is_told_with_who_and_from_where(busy):
    items = (await busy.get(AUDIT))["items"]
    told = [(it["by"], it["from"], it["action"], it["subject"]) for it in items[:4]]
    assert told == [
        ("token:admin", "127.0.0.1", "user.create", "user:zoe"),
        ("token:a operator", "127.0.0.1", "job.run", "job:backup"),
        ("token:a operator", "127.0.0.1", "job.edit", "job:backup"),
        ("token:a operator", "127.0.0.1", "job.create", "job:backup"),
    ]
    assert "tags (none) → team-a" in items[2]["detail"]
    assert {it["outcome"] for it in items} == {"done"}
    assert [it["index"] for it in items] == sorted((it["index"] for it in items), reverse=True)


async def test_no_script_no_password_and_no_variable_is_in_it(busy):
    answer = await busy.ask("GET", f"{AUDIT}?limit=1000")
    assert SECRET not in await answer.text()


async def test_a_refused_change_is_in_it_too(busy):
    status, _ = await busy.problem("POST", "/api/v1/jobs", json=JOB)
    assert status == 409
    first = (await busy.get(AUDIT))["items"][0]
    assert (first["action"], "exists already" in first["outcome"]) == ("job.create", True)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("by=zoe", 0),
        ("by=a operator", 3),
        ("subject=backup", 3),
        ("action=job.run", 1),
        ("action=user", 1),
    ],
)
async def test_it_is_filtered(busy, query, count):
    assert len((await busy.get(f"{AUDIT}?{query}"))["items"]) == count


async def test_it_comes_in_pages(busy):
    first = await busy.get(f"{AUDIT}?limit=2")
    rest = await busy.get(f"{AUDIT}?limit=1000&cursor={first['next_cursor']}")
    whole = await busy.get(f"{AUDIT}?limit=1000")
    assert first["items"] + rest["items"] == whole["items"]
    assert await busy.wrong_fields("GET", f"{AUDIT}?cursor=x") == ["cursor"]
    assert await busy.wrong_fields("GET", f"{AUDIT}?limit=0") == ["limit"]


async def test_it_is_exported_as_lines_and_as_a_table(busy):
    whole = (await busy.get(f"{AUDIT}?limit=1000"))["items"]
    answer = await busy.ask("GET", AUDIT, headers={"Accept": "application/x-ndjson"})
    assert [json.loads(line) for line in (await answer.text()).splitlines()] == whole
    answer = await busy.ask("GET", f"{AUDIT}?format=csv")
    assert answer.content_type == "text/csv"
    rows = list(csv.DictReader(io.StringIO(await answer.text())))
    assert [row["subject"] for row in rows] == [it["subject"] for it in whole]


async def test_a_name_is_no_formula_in_a_spreadsheet(busy):
    await busy.office.desk.people.create_user(ADMIN, {"name": "=1+1", "password": SECRET})
    await busy.office.add_user("x")
    answer = await busy.ask("GET", f"{AUDIT}?format=csv&action=user.create")
    assert "user:=1+1" in await answer.text()
    await busy.ask("POST", "/api/v1/jobs", json={"name": 'a,b"c', "script": "true\n"})
    rows = list(
        csv.DictReader(io.StringIO(await (await busy.ask("GET", f"{AUDIT}?format=csv")).text()))
    )
    assert rows[0]["subject"] == 'job:a,b"c'


async def test_who_is_no_admin_sees_what_concerns_their_jobs_and_no_addresses(busy):
    await busy.office.job("theirs", tags=["team-b"])
    seen = (await busy.get(f"{AUDIT}?limit=1000", role="viewer"))["items"]
    assert {it["subject"] for it in seen} == {"job:backup", "job:theirs"}
    assert {it["from"] for it in seen} == {""}
    role = await introduce(busy, "viewer of team-a")
    seen = (await busy.get(f"{AUDIT}?limit=1000", role=role))["items"]
    assert {it["subject"] for it in seen} == {"job:backup"}
    answer = await busy.ask("GET", f"{AUDIT}?format=ndjson", role=role)
    assert "theirs" not in await answer.text()
