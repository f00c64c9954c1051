"""Every kind of notice, received by a real SMTP server, a real HTTP sink and a real program."""

import json
import socket
from datetime import timedelta

import msgspec
import pytest
from builders import NOON
from certificates import write_files
from desks import CLUSTER_SECRET
from sinks import http_sink, server_tls, smtp_sink

from croncord.node.vault import SecretVault
from croncord.notification import (
    CHANNEL_SEAL,
    HEARTBEAT_SEAL,
    JOB_KINDS,
    SMTP_SEAL,
    Channel,
    Delivery,
    Heartbeat,
    Notice,
    NotifySettings,
    Smtp,
)
from croncord.notify import command, mail, webhook
from croncord.notify.sinks import Sinks
from croncord.notify.undelivered import Undelivered
from croncord.raft.notify_tables import NOTIFY_KEY
from croncord.raft.state import ClusterState

VAULT = SecretVault(CLUSTER_SECRET)
KINDS = (*JOB_KINDS, "no_quorum", "quorum", "test")
PASSWORD = "open sesame"


def delivery(kind="failure", **fields):
    about = {
        "job_id": "j1",
        "job": "<!channel> backup",
        "run_id": "r1",
        "state": "failed",
        "node": "n1",
        "attempt": 2,
        "nominal_time": NOON,
        "exit_code": 3,
        "failures": 2,
        "excerpt": "no space left",
    }
    if kind in ("no_quorum", "quorum", "test"):
        about = {"node": "n1"}
    if kind == "late":
        about = {"job_id": "j1", "job": "backup", "since": NOON - timedelta(hours=1)}
    notice = Notice(kind=kind, at=NOON + timedelta(seconds=90), **about | fields)
    return Delivery(id=f"id-{kind}", channel="ops", notice=notice, created_at=NOON, next_at=NOON)


def channel(kind, url="", **fields):
    sealed = VAULT.seal(f"{CHANNEL_SEAL}ops", url) if url else b""
    return Channel(
        name="ops", kind=kind, shown="", sealed=sealed, updated_at=NOON, updated_by="", **fields
    )


def state(port=0, **smtp):
    agreed = ClusterState()
    agreed.cluster_id = "c1"
    agreed.notify_settings[NOTIFY_KEY] = NotifySettings(
        url="https://cron.example/",
        smtp=Smtp(host="127.0.0.1", port=port, sender="cron@example.com", **smtp),
    )
    return agreed


@pytest.fixture
def sinks():
    made = Sinks(node="n1", vault=VAULT, commands={})
    yield made
    made.close()


async def refused(sending):
    with pytest.raises(Undelivered) as caught:
        await sending
    return str(caught.value), caught.value.reached


# Webhooks


async def test_a_webhook_gets_each_kind_as_slack_and_programs_read_it(sinks):
    with http_sink() as sink:
        for kind in KINDS:
            await sinks.send(state(), channel("webhook", sink.url), delivery(kind))
    assert sink.events() == list(KINDS)
    first = sink.payloads()[0]
    assert first["text"].startswith(
        "CronCord: &lt;!channel&gt; backup failed (exit status 3), 2 times in a row."
    )
    assert first["run"]["exit_code"] == 3
    assert first["job"] == {"id": "j1", "name": "<!channel> backup", "failures_in_a_row": 2}
    assert first["link"] == "https://cron.example/runs/r1"
    method, path, headers, _ = sink.requests[0]
    assert (method, path) == ("POST", "/hook/very-secret-path")
    assert headers["Idempotency-Key"] == first["id"] == "id-failure"
    assert all(payload["text"].startswith("CronCord: ") for payload in sink.payloads())


@pytest.mark.parametrize(
    ("status", "reached"), [(400, True), (302, True), (410, True), (429, False), (500, False)]
)
async def test_a_webhook_that_says_no_is_quoted_without_its_address(sinks, status, reached):
    with http_sink() as sink:
        sink.status, sink.headers = status, {"Location": "/elsewhere"}
        sink.body = f"no to {sink.url}\x07 ".encode() + b"x" * 1_000_000
        told = await refused(sinks.send(state(), channel("webhook", sink.url), delivery()))
    assert len(sink.requests) == 1, "redirects are not followed"
    assert told == (
        f"127.0.0.1 answered {status}: {('no to *** ' + ' ' + 'x' * 100)[:100]}",
        reached,
    )
    assert "secret" not in told[0]


async def test_a_webhook_that_is_not_there_does_not_give_its_address_away(sinks):
    with http_sink() as sink:
        url = sink.url
    words, reached = await refused(sinks.send(state(), channel("webhook", url), delivery()))
    assert words == "127.0.0.1 cannot be reached: Connection refused"
    assert not reached


async def test_a_webhook_that_never_answers_is_given_up(sinks, monkeypatch):
    monkeypatch.setattr(webhook, "TIMEOUT_SECONDS", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/secret"
        words, reached = await refused(sinks.send(state(), channel("webhook", url), delivery()))
    assert "did not answer" in words
    assert not reached


async def test_a_webhook_whose_certificate_nobody_trusts_gets_nothing(sinks, tmp_path):
    files = write_files(tmp_path)
    with http_sink() as sink:
        sink.server.socket = server_tls(files.cert, files.key).wrap_socket(
            sink.server.socket, server_side=True, do_handshake_on_connect=False
        )
        url = sink.url.replace("http:", "https:")
        words, _ = await refused(sinks.send(state(), channel("webhook", url), delivery()))
    assert "certificate" in words
    assert sink.requests == []


async def test_an_address_that_was_sealed_under_another_secret_is_said_to_be_unreadable(sinks):
    sealed = SecretVault(b"another secret").seal(f"{CHANNEL_SEAL}ops", "http://127.0.0.1/")
    odd = msgspec.structs.replace(channel("webhook"), sealed=sealed)
    words, _ = await refused(sinks.send(state(), odd, delivery()))
    assert "set it again" in words


async def test_the_heartbeat_is_a_call_of_its_address(sinks):
    agreed = state()
    with http_sink() as sink:
        sealed = VAULT.seal(HEARTBEAT_SEAL, sink.url)
        rule = NotifySettings(heartbeat=Heartbeat(shown="x", sealed=sealed))
        agreed.notify_settings[NOTIFY_KEY] = rule
        await sinks.beat(agreed)
        sink.status = 500
        assert (await refused(sinks.beat(agreed)))[0].startswith("127.0.0.1 answered 500")
    assert [method for method, *_ in sink.requests] == ["GET", "GET"]


# Mail


async def test_mail_gets_each_kind(sinks):
    with smtp_sink() as sink:
        agreed = state(sink.port, security="none")
        to = channel("email", to=("ops@example.com", "ada@example.com"))
        for kind in KINDS:
            await sinks.send(agreed, to, delivery(kind))
    assert [mail["X-CronCord-Event"] for _, _, mail in sink.mails] == list(KINDS)
    sender, receivers, first = sink.mails[0]
    assert sender == "cron@example.com"
    assert receivers == ["ops@example.com", "ada@example.com"]
    assert first["Subject"] == (
        "CronCord: <!channel> backup failed (exit status 3), 2 times in a row"
    )
    assert first["Message-ID"] == "<id-failure@c1.croncord.invalid>"
    assert "no space left" in first.get_content()
    assert "https://cron.example/runs/r1" in first.get_content()


async def test_mail_is_encrypted_and_signed_in_for_when_the_server_is_trusted(
    sinks, tmp_path, monkeypatch
):
    files = write_files(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(files.ca))
    sealed = VAULT.seal(SMTP_SEAL, PASSWORD)
    with smtp_sink(tls=server_tls(files.cert, files.key)) as sink:
        agreed = state(sink.port, username="cron", sealed=sealed)
        await sinks.send(agreed, channel("email", to=("ops@example.com",)), delivery())
    assert sink.logins == [("cron", PASSWORD)]
    assert sink.was_encrypted == [True]


async def test_mail_is_not_given_to_a_server_that_is_not_trusted(sinks, tmp_path):
    files = write_files(tmp_path)
    sealed = VAULT.seal(SMTP_SEAL, PASSWORD)
    with smtp_sink(tls=server_tls(files.cert, files.key)) as sink:
        agreed = state(sink.port, username="cron", sealed=sealed)
        to = channel("email", to=("ops@example.com",))
        words, reached = await refused(sinks.send(agreed, to, delivery()))
    assert "certificate" in words
    assert not reached
    assert (sink.logins, sink.mails) == ([], [])


async def test_mail_is_not_sent_in_the_clear_when_encryption_is_asked_for(sinks):
    with smtp_sink() as sink:
        to = channel("email", to=("ops@example.com",))
        await refused(sinks.send(state(sink.port), to, delivery()))
    assert sink.mails == []


async def test_a_receiver_that_the_server_does_not_know_is_told(sinks):
    with smtp_sink() as sink:
        sink.refuse = "550 no such user"
        to = channel("email", to=("nobody@example.com",))
        told = await refused(sinks.send(state(sink.port, security="none"), to, delivery()))
    assert told == ("127.0.0.1 refuses nobody@example.com", True)


async def test_a_server_that_never_answers_is_given_up(sinks, monkeypatch):
    monkeypatch.setattr(mail, "STEP_SECONDS", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        to = channel("email", to=("ops@example.com",))
        agreed = state(silent.getsockname()[1], security="none")
        _, reached = await refused(sinks.send(agreed, to, delivery()))
    assert not reached


async def test_without_a_server_no_mail_is_sent(sinks):
    to = channel("email", to=("ops@example.com",))
    assert "no SMTP server" in (await refused(sinks.send(ClusterState(), to, delivery())))[0]


# Commands


def program(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


async def test_a_command_gets_each_kind_on_its_standard_input(tmp_path):
    took = tmp_path / "took"
    path = program(tmp_path / "page", f'cat >> {took}; echo "|$CRONCORD_EVENT" >> {took}')
    sinks = Sinks(node="n1", vault=VAULT, commands={"page": path})
    for kind in KINDS:
        await sinks.send(state(), channel("command", command="page"), delivery(kind))
    sinks.close()
    lines = [line.rpartition("|") for line in took.read_text().splitlines()]
    assert [(json.loads(body)["event"], event) for body, _, event in lines] == [
        (kind, kind) for kind in KINDS
    ]


async def test_only_commands_that_the_node_allows_are_run(sinks):
    told = await refused(sinks.send(state(), channel("command", command="/bin/sh"), delivery()))
    assert told == ("n1 allows no command named /bin/sh: start it with --notify-command", False)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("echo oh no >&2; exit 3", "page: exit status 3: oh no"),
        ("kill -9 $$", "page: signal 9"),
        ("sleep 2 & exit 4", "page: exit status 4"),
        ("exec sleep 600", "page did not end within 0 s"),
    ],
)
async def test_a_command_that_fails_or_hangs_is_told_of(tmp_path, monkeypatch, text, told):
    monkeypatch.setattr(command, "TIMEOUT_SECONDS", 0.3 if "exec" in text else 30)
    path = program(tmp_path / "page", text)
    sinks = Sinks(node="n1", vault=VAULT, commands={"page": path})
    assert (await refused(sinks.send(state(), channel("command", command="page"), delivery())))[
        0
    ] == told
    sinks.close()
