"""Channels, settings and what was told, over the API: checked, seen by whom it concerns, no secrets."""

import pytest

from croncord.notification import Notify
from croncord.raft.notify_commands import DeliveryResult, RecordDeliveries

API = "/api/v1/notifications"
OPS = f"{API}/channels/ops"
URL = "https://hooks.example.com:8443/services/T000/very-secret"
MAIL = {"host": "mail.example.com", "sender": "cron@example.com"}


async def webhook(door, name="ops", url=URL):
    answer = await door.ask("PUT", f"{API}/channels/{name}", json={"kind": "webhook", "url": url})
    assert answer.status == 200, await answer.text()
    return await answer.json()


async def settings(door, **fields):
    answer = await door.ask("PUT", f"{API}/settings", json=fields)
    assert answer.status == 200, await answer.text()
    return await answer.json()


async def test_a_channel_is_made_listed_used_and_deleted(door):
    made = await webhook(door)
    assert made.pop("updated_at")
    assert made == {
        "name": "ops",
        "kind": "webhook",
        "shown": "https://hooks.example.com:8443/…",
        "to": [],
        "command": "",
        "is_default": False,
        "jobs": [],
        "is_readable": True,
        "updated_by": "token:admin",
    }
    await door.office.job(notify={"channels": ["ops"]})
    await settings(door, channels=["ops"])
    (listed,) = (await door.get(f"{API}/channels", role="operator"))["items"]
    assert (listed["jobs"], listed["is_default"]) == (["backup"], True)
    assert (await door.problem("DELETE", OPS))[0] == 409
    await settings(door)
    assert (await door.problem("DELETE", OPS))[0] == 409
    await door.ask("PATCH", "/api/v1/jobs/backup", json={"notify": None})
    assert (await door.ask("DELETE", OPS)).status == 204
    assert (await door.problem("DELETE", OPS))[0] == 404


async def test_addresses_and_passwords_are_nowhere_in_what_is_agreed_or_told(door, caplog):
    caplog.set_level("DEBUG")
    await webhook(door)
    await settings(
        door,
        channels=["ops"],
        smtp=MAIL | {"username": "cron", "password": "open-sesame-1"},
        heartbeat={"url": f"{URL}?beat"},
    )
    await door.office.job()
    await door.office.ran(state="failed")
    await door.ask("POST", f"{OPS}/test")
    state = door.office.replica.state
    agreed = [str(table.copy_entries()) for table in state.tables().values()]
    told = [
        await (await door.ask("GET", path)).text()
        for path in (API, f"{API}/channels", f"{API}/settings", "/api/v1/audit", "/api/v1/jobs")
    ]
    for text in (*agreed, *told, caplog.text):
        assert "very-secret" not in text
        assert "open-sesame" not in text


async def test_what_is_secret_stays_when_it_is_left_out(door):
    await webhook(door)
    mail = MAIL | {"username": "cron", "password": "open-sesame-1"}
    await settings(door, smtp=mail, heartbeat={"url": URL})
    before = door.office.replica.state.notify_rule
    sealed = door.office.replica.state.channels["ops"].sealed
    assert (await door.ask("PUT", OPS, json={"kind": "webhook"})).status == 200
    assert door.office.replica.state.channels["ops"].sealed == sealed
    del mail["password"]
    shown = await settings(door, smtp=mail, heartbeat={"every_seconds": 30})
    assert shown["smtp"]["has_password"]
    assert shown["heartbeat"] == {"shown": "https://hooks.example.com:8443/…", "every_seconds": 30}
    after = door.office.replica.state.notify_rule
    assert after.smtp.sealed == before.smtp.sealed
    assert after.heartbeat.sealed == before.heartbeat.sealed
    shown = await settings(
        door, smtp={"host": "mail.example.com", "sender": "a@b"}, heartbeat={"url": ""}
    )
    assert not shown["smtp"]["has_password"]
    assert shown["heartbeat"]["shown"] == ""


async def test_a_password_does_not_follow_to_another_host(door):
    await settings(door, smtp=MAIL | {"username": "cron", "password": "open-sesame-1"})
    other = {"host": "evil.example.com", "sender": "cron@example.com", "username": "cron"}
    fields = await door.wrong_fields("PUT", f"{API}/settings", json={"smtp": other})
    assert fields == ["smtp.password"]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["kind"]),
        ({"kind": "webhook"}, ["url"]),
        ({"kind": "webhook", "url": "ftp://x/"}, ["url"]),
        ({"kind": "webhook", "url": "file:///etc/passwd"}, ["url"]),
        ({"kind": "webhook", "url": "https://"}, ["url"]),
        ({"kind": "webhook", "url": "https://x:99999/"}, ["url"]),
        ({"kind": "webhook", "url": "https://x/\r\nHost: y"}, ["url"]),
        ({"kind": "webhook", "url": "https://x/#y"}, ["url"]),
        ({"kind": "email", "to": []}, ["to"]),
        ({"kind": "email", "to": ["ops"]}, ["to"]),
        ({"kind": "email", "to": ["a@b\r\nBcc: c@d"]}, ["to"]),
        ({"kind": "command", "url": "https://x/", "command": "page"}, ["url"]),
        ({"kind": "pigeon"}, ["kind"]),
    ],
)
async def test_a_channel_that_cannot_be_is_refused(door, body, fields):
    assert await door.wrong_fields("PUT", OPS, json=body) == fields


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"on": ["success"]}, ["on"]),
        ({"channels": ["nobody"]}, ["channels"]),
        ({"url": "cron.example"}, ["url"]),
        ({"heartbeat": {"url": "gopher://x"}}, ["heartbeat.url"]),
        ({"heartbeat": {"every_seconds": 1}}, ["heartbeat.every_seconds"]),
        ({"smtp": {"host": "a b", "sender": "a@b"}}, ["smtp.host"]),
        ({"smtp": {"host": "mail"}}, ["smtp.sender"]),
        ({"smtp": MAIL | {"username": "cron"}}, ["smtp.password"]),
        (
            {"smtp": MAIL | {"username": "cron", "password": "x", "security": "none"}},
            ["smtp.security"],
        ),
    ],
)
async def test_settings_that_cannot_be_are_refused(door, body, fields):
    assert await door.wrong_fields("PUT", f"{API}/settings", json=body) == fields


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"notify": {"on": ["success"]}}, ["notify.on"]),
        ({"notify": {"channels": ["nobody"]}}, ["notify.channels"]),
        ({"notify": {"channels": ["a b"]}}, ["notify.channels"]),
        ({"notify": {"too_long_seconds": 0}}, ["notify.too_long_seconds"]),
        ({"notify": {"email": "x"}}, ["notify.email"]),
        ({"expect_within_seconds": 0}, ["expect_within_seconds"]),
    ],
)
async def test_a_job_that_tells_nobody_who_exists_is_refused(door, fields, wrong):
    job = {"name": "odd", "script": "true\n"} | fields
    assert await door.wrong_fields("POST", "/api/v1/jobs", json=job) == wrong


async def test_each_attempt_is_seen_and_only_by_those_who_see_the_job(door):
    await webhook(door)
    await settings(door, channels=["ops"])
    await door.office.job(tags=["team-a"])
    run = await door.office.ran(state="failed")
    (delivery,) = door.office.replica.state.deliveries.values()
    at, term = door.office.clock.now(), door.office.replica.state.term
    result = DeliveryResult(delivery_id=delivery.id, at=at, error="no connection")
    await door.office.do(RecordDeliveries(at=at, by="node:n1", term=term, results=(result,)))
    answer = await door.get(API, role="viewer")
    (item,) = answer["items"]
    assert answer["pending"] == 1
    assert (item["kind"], item["job"], item["run"], item["channel"], item["state"]) == (
        *("failure", "backup", run, "ops"),
        "pending",
    )
    assert item["attempts"][0]["error"] == "no connection"
    assert item["text"] == "backup failed (exit status 1)"
    assert (await door.get(f"{API}?job=backup&state=delivered"))["items"] == []
    body = {"name": "b", "grants": [{"role": "operator", "tags": ["team-b"]}]}
    made = await (await door.ask("POST", "/api/v1/tokens", json=body)).json()
    door.tokens["other"] = made["token"]
    assert (await door.get(API, role="other"))["items"] == []
    assert (await door.problem("GET", f"{API}?job=backup", role="other"))[0] == 404


async def test_a_test_is_on_its_way(door):
    await webhook(door)
    answer = await door.ask("POST", f"{OPS}/test")
    assert answer.status == 202
    made = await answer.json()
    assert (made["kind"], made["state"]) == ("test", "pending")
    assert made["id"] in door.office.replica.state.deliveries
    assert (await door.problem("POST", f"{API}/channels/nobody/test"))[0] == 404


async def test_a_job_keeps_what_it_says(door):
    await webhook(door)
    await door.office.job(
        notify={"on": ["failure"], "channels": ["ops"], "too_long_seconds": 60},
        expect_within_seconds=3600,
    )
    job = await door.get("/api/v1/jobs/backup")
    assert job["notify"] == {
        "on": ["failure"],
        "channels": ["ops"],
        "too_long_seconds": 60,
        "muted": False,
    }
    assert job["expect_within_seconds"] == 3600
    kept = door.office.replica.state.job_named("backup").spec
    assert kept.notify == Notify(on=("failure",), channels=("ops",), too_long_seconds=60)
