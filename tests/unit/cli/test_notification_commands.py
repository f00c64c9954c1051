import json

from desks import ADMIN

URL = "https://hooks.example.com/very-secret"


def address(tmp_path, text=URL):
    file = tmp_path / "address"
    file.write_text(text + "\n")
    return str(file)


def test_channels_are_made_listed_tested_and_deleted(croncord, node, tmp_path):
    assert croncord("notification", "channels") == (0, "", "There are no channels.\n")
    made = croncord("notification", "set-channel", "chat", "webhook", "--file", address(tmp_path))
    assert made == (0, "The channel chat leads to https://hooks.example.com/….\n", "")
    croncord("notification", "set-channel", "mail", "email", "--to", "ops@example.com")
    croncord("notification", "set-channel", "pager", "command", "--command", "page")
    status, out, _ = croncord("notification", "channels")
    assert status == 0
    assert [line.split()[:3] for line in out.splitlines()[1:]] == [
        ["chat", "webhook", "https://hooks.example.com/…"],
        ["mail", "email", "ops@example.com"],
        ["pager", "command", "page"],
    ]
    assert "very-secret" not in out
    assert croncord("notification", "test", "chat")[0] == 0
    assert [d.notice.kind for d in node.state.deliveries.values()] == ["test"]
    assert croncord("notification", "delete-channel", "pager")[0] == 0
    assert sorted(node.state.channels) == ["chat", "mail"]
    assert croncord("notification", "delete-channel", "pager")[0] == 5
    assert croncord("notification", "set-channel", "x", "email", "--file", "y")[0] == 2


def test_settings_are_changed_one_by_one(croncord, node, tmp_path):
    croncord("notification", "set-channel", "mail", "email", "--to", "ops@example.com")
    croncord(
        *("notification", "settings", "--channel", "mail", "--on", "failure", "--no-no-quorum"),
        *("--smtp-host", "mail.example.com", "--smtp-sender", "cron@example.com"),
        *("--smtp-username", "cron", "--smtp-password-file", address(tmp_path, "open-sesame")),
    )
    status, _, err = croncord(
        "notification",
        *("settings", "--heartbeat-file", address(tmp_path), "--heartbeat-every", "30s"),
        *("--link", "https://cron.example"),
    )
    assert (status, err) == (0, "")
    rule = node.state.notify_rule
    assert (rule.on, rule.channels, rule.no_quorum) == (("failure",), ("mail",), False)
    assert (rule.smtp.host, rule.smtp.username) == ("mail.example.com", "cron")
    assert rule.smtp.sealed
    assert rule.heartbeat.every_seconds == 30
    _, out, _ = croncord("notification", "settings")
    assert "mail.example.com:587 (starttls), as cron, from cron@example.com" in out
    assert "https://hooks.example.com/… every 30 s" in out
    assert "very-secret" not in out
    croncord("notification", "settings", "--channel", "none", "--no-heartbeat")
    told = json.loads(croncord("notification", "settings", "--json")[1])
    assert (told["channels"], told["heartbeat"]["shown"]) == ([], "")
    assert told["smtp"]["has_password"]


def test_what_was_told_is_listed_and_jobs_say_what_they_want_told(croncord, node, tmp_path):
    assert croncord("notification", "list") == (0, "", "Nothing was told.\n")
    croncord("notification", "set-channel", "chat", "webhook", "--file", address(tmp_path))
    script = tmp_path / "x.sh"
    script.write_text("true\n")
    status, *_ = croncord(
        *("job", "create", "backup", "--script", str(script), "--expect-within", "2h"),
        *("--notify-channel", "chat", "--notify-on", "failure", "--notify-too-long", "10m"),
    )
    assert status == 0
    spec = node.job("backup")
    assert (spec.expect_within_seconds, spec.notify.too_long_seconds) == (7200, 600)
    assert (spec.notify.channels, spec.notify.on) == (("chat",), ("failure",))
    out = croncord("job", "show", "backup")[1]
    assert "a success every 2 h" in out
    assert "failure; to chat" in out
    node.do(node.office.ran(state="failed"))
    out = croncord("notification", "list", "--job", "backup")[1]
    assert "backup failed (exit status 1)" in out
    assert "pending" in out
    told = json.loads(croncord("notification", "list", "--state", "pending", "--json")[1])
    assert told["pending"] == 1
    croncord("job", "edit", "backup", "--notify-muted")
    assert node.job("backup").notify.muted
    exported = node.do(node.office.desk.jobs.get(ADMIN, "backup"))
    assert exported["notify"]["muted"]
