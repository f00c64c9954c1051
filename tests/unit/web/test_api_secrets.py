"""Secrets: they go in and never come out."""

import pytest
from desks import ADMIN
from test_reach import introduce

from croncord.node.vault import SecretVault

VALUE = "s3cr3t-value"
PATH = "/api/v1/secrets/TOKEN"
JOB = {"name": "backup", "script": "true\n", "secrets": ["TOKEN"]}


@pytest.fixture
async def kept(door):
    answer = await door.ask("PUT", PATH, json={"value": VALUE})
    assert answer.status == 200
    return door


async def test_a_secret_is_set_listed_by_name_replaced_and_deleted(kept):
    (listed,) = (await kept.get("/api/v1/secrets"))["items"]
    assert listed.pop("updated_at")
    assert listed == {
        "name": "TOKEN",
        "tags": [],
        "jobs": [],
        "is_readable": True,
        "updated_by": "token:admin",
    }
    assert (await kept.ask("PUT", PATH, json={"value": "another", "tags": ["a"]})).status == 200
    assert (await kept.get("/api/v1/secrets"))["items"][0]["tags"] == ["a"]
    assert (await kept.ask("DELETE", PATH)).status == 204
    assert (await kept.problem("DELETE", PATH))[0] == 404


async def test_the_value_is_nowhere_in_what_is_agreed_logged_or_told(kept, caplog):
    caplog.set_level("DEBUG")
    await kept.ask("PUT", PATH, json={"value": VALUE})
    await kept.ask("POST", "/api/v1/jobs", json=JOB)
    state = kept.office.replica.state
    assert VALUE not in str(state.secrets.copy_entries())
    assert VALUE.encode() not in state.secrets["TOKEN"].sealed
    for path in ("/secrets", "/audit", "/jobs/backup", "/jobs/backup/versions", "/cluster"):
        answer = await kept.ask("GET", f"/api/v1{path}")
        assert VALUE not in await answer.text(), path
    assert VALUE not in caplog.text


async def test_only_admins_set_and_delete(kept):
    for role in ("viewer", "operator"):
        assert (await kept.problem("PUT", PATH, role=role, json={"value": VALUE}))[0] == 403
        assert (await kept.problem("DELETE", PATH, role=role))[0] == 403
    assert (await kept.problem("GET", "/api/v1/secrets", role="viewer"))[0] == 403


@pytest.mark.parametrize(
    ("name", "body", "field"),
    [
        ("TOKEN", {"value": "abc"}, "value"),
        ("TOKEN", {"value": "     "}, "value"),
        ("TOKEN", {"value": "with\0nul"}, "value"),
        ("TOKEN", {"value": "x" * 32_769}, "value"),
        ("TOKEN", {}, "value"),
        ("TOKEN", {"value": VALUE, "tags": [""]}, "tags"),
        ("a-b", {"value": VALUE}, "name"),
        ("1A", {"value": VALUE}, "name"),
        ("CRONCORD_X", {"value": VALUE}, "name"),
    ],
)
async def test_a_wrong_secret_is_refused_with_the_field(door, name, body, field):
    fields = await door.wrong_fields("PUT", f"/api/v1/secrets/{name}", json=body)
    assert fields == [field]


async def test_a_job_that_names_an_unknown_secret_is_refused(door):
    assert await door.wrong_fields("POST", "/api/v1/jobs", json=JOB) == ["secrets"]
    report = await (await door.ask("POST", "/api/v1/jobs:validate", json=JOB)).json()
    assert "no secret named 'TOKEN'" in report["warnings"][-1]


async def test_a_secret_in_use_is_kept_unless_forced(kept):
    await kept.ask("POST", "/api/v1/jobs", json=JOB)
    assert (await kept.get("/api/v1/secrets"))["items"][0]["jobs"] == ["backup"]
    status, body = await kept.problem("DELETE", PATH)
    assert (status, "used by backup" in body["detail"]) == (409, True)
    assert (await kept.ask("DELETE", f"{PATH}?force=true")).status == 204
    fields = await kept.wrong_fields("PATCH", "/api/v1/jobs/backup", json={"owner": "x"})
    assert fields == ["secrets"]


async def test_a_secret_for_some_tags_is_for_jobs_with_one_of_them(kept):
    await kept.ask("PUT", PATH, json={"value": VALUE, "tags": ["team-a", "team-b"]})
    assert await kept.wrong_fields("POST", "/api/v1/jobs", json=JOB) == ["secrets"]
    made = await kept.ask("POST", "/api/v1/jobs", json={**JOB, "tags": ["team-b", "x"]})
    assert made.status == 201
    fields = await kept.wrong_fields("PATCH", "/api/v1/jobs/backup", json={"tags": ["x"]})
    assert fields == ["secrets"]


async def test_a_team_cannot_reach_for_another_team_s_secret(kept):
    await kept.ask("PUT", PATH, json={"value": VALUE, "tags": ["team-b"]})
    await kept.ask("PUT", "/api/v1/secrets/OURS", json={"value": VALUE, "tags": ["team-a"]})
    role = await introduce(kept, "operator of team-a")
    both = {**JOB, "tags": ["team-a", "team-b"]}
    status, body = await kept.problem("POST", "/api/v1/jobs", role=role, json=both)
    assert (status, body["errors"][0]["message"]) == (422, "no secret is named 'TOKEN'")
    unknown = {**both, "secrets": ["NOPE"]}
    _, body = await kept.problem("POST", "/api/v1/jobs", role=role, json=unknown)
    assert body["errors"][0]["message"] == "no secret is named 'NOPE'"
    ours = {**both, "secrets": ["OURS"]}
    assert (await kept.ask("POST", "/api/v1/jobs", role=role, json=ours)).status == 201
    names = [it["name"] for it in (await kept.get("/api/v1/secrets", role=role))["items"]]
    assert names == ["OURS"]


async def test_a_secret_sealed_under_another_key_is_told_as_such(kept):

    kept.office.desk.secrets._vault = SecretVault(b"a new cluster secret")
    (listed,) = await kept.office.desk.secrets.list(ADMIN)
    assert not listed["is_readable"]
