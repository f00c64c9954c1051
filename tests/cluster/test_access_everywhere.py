"""Access, secrets and the audit trail on three real nodes: the same through any of them."""

import http.client
import shutil

import pytest
from fleet import wait_for

pytestmark = pytest.mark.cluster

SECRET = "s3cr3t-of-three-nodes"


def trail(node):
    """Return the entries that a node has, as it tells them."""
    return node.get("/api/v1/audit?limit=1000")["items"]


def on_disk(fleet):
    files = [file for file in fleet.directory.rglob("*") if file.is_file()]
    return [str(file) for file in files if SECRET.encode() in file.read_bytes()]


def test_a_secret_set_on_one_node_reaches_scripts_on_all_and_no_disk(own_fleet):
    fleet = own_fleet
    fleet["n1"].call("PUT", "/api/v1/secrets/TOKEN", {"value": SECRET})
    job = {
        "name": "everywhere",
        "script": 'echo "it is $TOKEN, ${#TOKEN} characters"\n',
        "secrets": ["TOKEN"],
        "target": {"every_node": True},
    }
    fleet["n2"].post("/api/v1/jobs", job)
    fleet["n3"].post("/api/v1/jobs/everywhere/run", {})

    def ended():
        runs = fleet["n1"].get("/api/v1/runs?job=everywhere")["items"]
        return len(runs) == 3 and all(run["state"] == "succeeded" for run in runs) and runs

    runs = wait_for(ended, 30, "a run on each node")
    assert {run["node"] for run in runs} == {"n1", "n2", "n3"}
    for run in runs:
        answer = fleet["n1"].call("GET", f"/api/v1/runs/{run['id']}/log")
        assert answer.body == f"it is ***, {len(SECRET)} characters\n".encode()
    for node in fleet.nodes:
        assert node.get("/api/v1/secrets")["items"][0]["is_readable"]
    assert on_disk(fleet) == []


def test_the_audit_trail_is_the_same_everywhere_and_a_wiped_one_is_filled(own_fleet):
    fleet = own_fleet
    for number, node in enumerate(fleet.nodes):
        node.post("/api/v1/jobs", {"name": f"job-{number}", "script": "true\n"})
        node.call("POST", "/api/v1/tokens", {"name": f"token-{number}"})
    told = trail(fleet["n1"])
    assert {it["subject"] for it in told} >= {f"job:job-{n}" for n in range(3)}
    for node in fleet.nodes:
        assert trail(node) == told
    wiped = fleet.followers()[0]
    wiped.kill()
    shutil.rmtree(wiped.data_dir / "audit")
    fleet.alive()[0].post("/api/v1/jobs/job-0/pause", {})
    wiped.start()
    fleet.wait_ready()
    whole = trail(fleet.leader())
    assert whole[0]["action"] in {"job.pause", "node.introduce"}
    wait_for(lambda: trail(wiped) == trail(fleet.leader()), 30, "the entries it lacked")
    assert {it["subject"] for it in trail(wiped)} >= {f"job:job-{n}" for n in range(3)}


def ask(node, method, path, body=None, **headers):
    """Ask as a browser does; returns status and session cookie."""
    connection = http.client.HTTPConnection(node.url.removeprefix("http://"), timeout=10)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, (answer.getheader("Set-Cookie") or "").partition(";")[0]
    finally:
        connection.close()


def test_a_session_ended_on_one_node_is_worthless_on_the_others(own_fleet):
    fleet = own_fleet
    user = {"name": "eve", "password": "long enough", "role": "viewer"}
    fleet["n1"].post("/api/v1/users", user)
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    status, cookie = ask(fleet["n1"], "POST", "/login", "name=eve&password=long+enough", **kind)
    assert status == 303
    for node in fleet.nodes:
        wait_for(lambda node=node: ask(node, "GET", "/jobs", Cookie=cookie)[0] == 200, 10, "in")
    fleet["n3"].post("/api/v1/users/eve/sign-out")
    for node in fleet.nodes:
        wait_for(lambda node=node: ask(node, "GET", "/jobs", Cookie=cookie)[0] == 303, 10, "out")
