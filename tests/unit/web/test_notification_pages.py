"""Notifications as people without scripts set them up and look at them."""

import pytest
from desks import ADMIN
from page_visitor import check_html, refused, visiting

from croncord.notification import JOB_KINDS
from croncord.raft.notify_commands import DeliveryResult, RecordDeliveries

HERE = "/settings/notifications"
URL = "https://hooks.example.com/very-secret"
CHANNEL = {"name": "chat", "kind": "webhook", "value": URL}


@pytest.fixture
async def visitor(office):
    async with visiting(office) as visitor:
        await visitor.sign_in("admin")
        yield visitor


async def done(visitor, answer):
    assert answer.status == 303, await answer.text()
    assert answer.headers["Location"].startswith(HERE)
    page = await visitor.text(HERE)
    check_html(page)
    return page


async def test_a_channel_is_set_tested_and_deleted(visitor):
    state = visitor.office.replica.state
    page = await visitor.text(HERE)
    check_html(page)
    assert "nobody is told anything" in page
    page = await refused(await visitor.post(f"{HERE}/channels", CHANNEL | {"to": "a b"}))
    assert 'value="chat"' in page
    assert "very-secret" not in page
    page = await done(visitor, await visitor.post(f"{HERE}/channels", CHANNEL))
    assert "webhook: https://hooks.example.com/…" in page
    assert "very-secret" not in page
    await visitor.office.job(notify={"channels": ["chat"]})
    await refused(await visitor.post(f"{HERE}/channels/chat/delete"), 409)
    page = await done(visitor, await visitor.post(f"{HERE}/channels/chat/test"))
    assert "a test: notices arrive here" in page
    await visitor.office.desk.jobs.patch(ADMIN, "backup", {"notify": None})
    await done(visitor, await visitor.post(f"{HERE}/channels/chat/delete"))
    assert not state.channels
    assert (await visitor.post(f"{HERE}/channels/chat/test")).status == 404


async def test_the_settings_are_saved_and_secrets_stay(visitor):
    await visitor.post(f"{HERE}/channels", CHANNEL)
    form = [
        ("channels", "chat"),
        ("on", "failure"),
        ("on", "late"),
        ("no_quorum", "true"),
        ("url", "https://cron.example"),
        ("smtp.host", "mail.example.com"),
        ("smtp.port", "465"),
        ("smtp.security", "tls"),
        ("smtp.sender", "cron@example.com"),
        ("smtp.username", "cron"),
        ("password", "open-sesame"),
        ("value", URL),
        ("heartbeat.every_seconds", "5m"),
    ]
    page = await done(visitor, await visitor.post(HERE, form))
    assert "open-sesame" not in page
    assert "very-secret" not in page
    rule = visitor.office.replica.state.notify_rule
    assert (rule.on, rule.channels) == (("failure", "late"), ("chat",))
    assert (rule.smtp.port, rule.smtp.security, rule.heartbeat.every_seconds) == (465, "tls", 300)
    again = [(name, value) for name, value in form if name not in ("password", "value")]
    await done(visitor, await visitor.post(HERE, again))
    kept = visitor.office.replica.state.notify_rule
    assert (kept.smtp.sealed, kept.heartbeat.sealed) == (rule.smtp.sealed, rule.heartbeat.sealed)
    await done(visitor, await visitor.post(HERE, [*again, ("no_heartbeat", "true")]))
    assert not visitor.office.replica.state.notify_rule.heartbeat.shown


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("smtp.port", "x"),
        ("smtp.port", "0"),
        ("heartbeat.every_seconds", "often"),
        ("value", "gopher://x"),
        ("on", "success"),
    ],
)
async def test_settings_that_cannot_be_are_refused(visitor, field, value):
    page = await refused(await visitor.post(HERE, {field: value}))
    assert 'role="alert"' in page


async def test_settings_that_are_refused_stay_as_they_were_typed(visitor):
    await visitor.post(f"{HERE}/channels", CHANNEL)
    form = [
        ("channels", "chat"),
        ("on", "late"),
        ("url", "https://cron.example"),
        ("smtp.host", "mail.example.com"),
        ("smtp.port", "often"),
        ("smtp.sender", "cron@example.com"),
        ("password", "open-sesame"),
        ("heartbeat.every_seconds", "7m"),
    ]
    page = await refused(await visitor.post(HERE, form))
    for typed in ("https://cron.example", "mail.example.com", "often", "cron@example.com", "7m"):
        assert f'value="{typed}"' in page, typed
    assert 'name="channels" value="chat" checked' in page
    assert 'name="on" value="late" checked' in page
    assert 'name="on" value="failure" checked' not in page
    assert "open-sesame" not in page


async def test_the_editor_of_a_job_has_it_all(visitor):
    await visitor.post(f"{HERE}/channels", CHANNEL)
    await visitor.office.job()
    page = await visitor.text("/jobs/backup/edit")
    check_html(page)
    for name in ("notify.channels", "notify.on", "notify.muted", "expect_within_seconds"):
        assert f'name="{name}"' in page, name
    assert page.count('name="notify.on"') == len(JOB_KINDS)
    form = [
        ("name", "backup"),
        ("script", "true\n"),
        ("schedule", "@daily"),
        ("notify.channels", "chat"),
        ("notify.on", "failure"),
        ("notify.on", "late"),
        ("notify.too_long_seconds", "10m"),
        ("expect_within_seconds", "26h"),
        ("version", "1"),
    ]
    answer = await visitor.post("/jobs/backup/edit", form)
    assert answer.status == 303, await answer.text()
    spec = visitor.office.replica.state.job_named("backup").spec
    assert spec.expect_within_seconds == 26 * 3600
    assert (spec.notify.channels, spec.notify.on) == (("chat",), ("failure", "late"))
    assert spec.notify.too_long_seconds == 600
    page = await visitor.text("/jobs/backup")
    check_html(page)
    assert "a success every" in page
    form = [pair for pair in form if not pair[0].startswith(("notify", "expect", "version"))]
    form += [("expect_within_seconds", ""), ("notify.too_long_seconds", ""), ("version", "2")]
    assert (await visitor.post("/jobs/backup/edit", form)).status == 303
    spec = visitor.office.replica.state.job_named("backup").spec
    assert (spec.expect_within_seconds, spec.notify.channels, spec.notify.on) == (None, (), ())
    assert spec.notify.too_long_seconds is None


async def test_a_wrong_channel_is_told_at_its_field(visitor):
    form = {"name": "x", "script": "true\n", "schedule": "@daily", "notify.channels": "nobody"}
    page = await refused(await visitor.post("/jobs/new", form))
    assert "no channel is named" in page
    assert "(unknown)" in page


@pytest.mark.parametrize("role", ["viewer", "operator"])
async def test_what_was_told_is_seen_with_each_attempt_by_everybody(office, role):
    await office.desk.notifications.put_channel(ADMIN, "chat", {"kind": "webhook", "url": URL})
    await office.desk.notifications.put_settings(ADMIN, {"channels": ["chat"]})
    await office.job("<b>job")
    run = await office.ran("<b>job", state="failed")
    (delivery,) = office.replica.state.deliveries.values()
    at = office.clock.now()
    result = DeliveryResult(delivery_id=delivery.id, at=at, error="<i>no connection")
    command = RecordDeliveries(
        at=at, by="node:n1", term=office.replica.state.term, results=(result,)
    )
    await office.do(command)
    async with visiting(office) as visitor:
        await visitor.sign_in(role)
        for page in (HERE, f"{HERE}?job=%3Cb%3Ejob", "/jobs/%3Cb%3Ejob"):
            text = await visitor.text(page)
            check_html(text)
            assert "&lt;b&gt;job failed (exit status 1)" in text, page
            assert "&lt;i&gt;no connection" in text, page
            assert f"/runs/{run}" in text
            assert "<b>job" not in text
        assert ("Channels" in await visitor.text(HERE)) == (role == "operator")
        for path in ("", "/channels", "/channels/chat/test", "/channels/chat/delete"):
            assert (await visitor.post(f"{HERE}{path}", CHANNEL)).status == 403, path
