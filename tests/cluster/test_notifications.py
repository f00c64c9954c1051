"""Real nodes tell real servers: whatever fails on the way, each notice arrives, and so does silence."""

import json

import pytest
from fleet import Fleet, wait_for
from sinks import http_sink, smtp_sink

pytestmark = pytest.mark.cluster

API = "/api/v1/notifications"
PATIENCE = 120


def put(node, path, body):
    answer = node.call("PUT", path, body)
    assert answer.status == 200, answer.body
    return answer.json()


def job(node, name, script, **fields):
    node.post("/api/v1/jobs", {"name": name, "script": script, **fields})


def told_of(sink, event, **about):
    """Return a payload of that kind about that job, run or node, if one came."""
    for payload in sink.payloads():
        facts = {
            "job": (payload["job"] or {}).get("name"),
            "run": (payload["run"] or {}).get("id"),
            "node": payload["node"],
        }
        if payload["event"] == event and about.items() <= facts.items():
            return payload
    return None


def listed(node, run):
    items = node.get(API)["items"]
    return {item["channel"]: item for item in items if item["run"] == run}


def arrange(node, sink, mail):
    put(node, f"{API}/channels/chat", {"kind": "webhook", "url": sink.url})
    put(node, f"{API}/channels/mail", {"kind": "email", "to": ["ops@example.com"]})
    put(node, f"{API}/channels/pager", {"kind": "command", "command": "page"})
    smtp = {"host": "127.0.0.1", "port": mail.port, "security": "none", "sender": "cron@x.example"}
    beat = {"url": sink.url + "/beat", "every_seconds": 5}
    settings = {"channels": ["chat", "mail", "pager"], "smtp": smtp, "heartbeat": beat}
    shown = put(node, f"{API}/settings", settings)
    assert "secret" not in json.dumps(shown)


def test_nothing_that_should_be_told_is_lost(tmp_path):
    page, paged = tmp_path / "page", tmp_path / "paged"
    page.write_text(f'#!/bin/sh\necho "$CRONCORD_EVENT $CRONCORD_JOB" >> {paged}\n')
    page.chmod(0o755)
    with (
        http_sink() as sink,
        smtp_sink() as mail,
        Fleet(tmp_path, 3, "--notify-command", f"page={page}") as fleet,
    ):
        arrange(fleet["n1"], sink, mail)
        everybody_is_told(fleet, sink, mail, paged)
        silence_and_long_runs_are_told(fleet, sink, tmp_path / "flag")
        wait_for(lambda: any(it[0] == "GET" for it in sink.requests), PATIENCE, "a heartbeat")
        a_leader_dies_with_a_notice_in_its_hands(fleet, sink)
        the_last_node_says_that_it_is_alone(fleet, sink)


def everybody_is_told(fleet, sink, mail, paged):
    node = fleet["n2"]
    job(node, "breaks", "echo no space left; exit 3\n")
    run = node.post("/api/v1/jobs/breaks/run")["id"]
    got = wait_for(lambda: told_of(sink, "failure", run=run), PATIENCE, "the webhook")
    assert got["run"]["exit_code"] == 3
    assert got["run"]["excerpt"].strip() == "no space left"
    wait_for(lambda: mail.mails, PATIENCE, "the mail")
    assert mail.mails[0][2]["Subject"] == "CronCord: breaks failed (exit status 3)"
    wait_for(paged.exists, PATIENCE, "the command")
    wait_for(
        lambda: {it["state"] for it in listed(fleet["n3"], run).values()} == {"delivered"},
        PATIENCE,
        "all three confirmed",
    )
    assert paged.read_text() == "failure breaks\n"


def silence_and_long_runs_are_told(fleet, sink, flag):
    node = fleet["n1"]
    script = f"while [ ! -e {flag} ]; do sleep 0.2; done\n"
    fields = {"expect_within_seconds": 3, "notify": {"too_long_seconds": 2, "channels": ["chat"]}}
    job(node, "slow", script, **fields)
    wait_for(lambda: told_of(sink, "late", job="slow"), PATIENCE, "late")
    run = node.post("/api/v1/jobs/slow/run")["id"]
    wait_for(lambda: told_of(sink, "too_long", run=run), PATIENCE, "too long")
    flag.touch()
    wait_for(lambda: told_of(sink, "recovery", run=run), PATIENCE, "recovery")
    assert sink.events().count("late") == 1
    node.call("PATCH", "/api/v1/jobs/slow", {"expect_within_seconds": None})


def a_leader_dies_with_a_notice_in_its_hands(fleet, sink):
    leader = fleet.leader()
    sink.status = 503
    run = leader.post("/api/v1/jobs/breaks/run")["id"]
    wait_for(
        lambda: listed(leader, run).get("chat", {}).get("attempts"), PATIENCE, "a failed attempt"
    )
    leader.kill()
    sink.status = 200
    other = fleet.leader()

    def delivered():
        item = listed(other, run)["chat"]
        return item if item["state"] == "delivered" else None

    item = wait_for(delivered, PATIENCE, "the next leader to deliver")
    assert item["attempts"][0]["by"] == f"node:{leader.name}"
    assert item["attempts"][0]["error"].startswith("127.0.0.1 answered 503")
    assert item["attempts"][-1] == item["attempts"][-1] | {"by": f"node:{other.name}", "error": ""}
    leader.start()
    fleet.wait_ready(PATIENCE)


def the_last_node_says_that_it_is_alone(fleet, sink):
    last, *others = fleet.nodes
    for node in others:
        node.kill()
    wait_for(lambda: told_of(sink, "no_quorum", node=last.name), PATIENCE, "the alarm")
    beats = sum(method == "GET" for method, *_ in sink.requests)
    for node in others:
        node.start()
    wait_for(lambda: told_of(sink, "quorum", node=last.name), PATIENCE, "its end")
    assert sink.events().count("no_quorum") == 1
    wait_for(
        lambda: sum(method == "GET" for method, *_ in sink.requests) > beats,
        PATIENCE,
        "the heartbeat to go on",
    )
