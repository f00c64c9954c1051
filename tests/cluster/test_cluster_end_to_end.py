"""The whole path over real processes: create, watch, read elsewhere, kill, delete; then pull plugs."""

import hashlib
import itertools
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
from fleet import wait_for

pytestmark = pytest.mark.cluster


def create(node, name, script, **fields):
    return node.post("/api/v1/jobs", {"name": name, "script": script, **fields})


def run_now(node, name, **fields):
    return node.post(f"/api/v1/jobs/{name}/run", fields)


def processes_of(run_id):
    """Pids whose environment names the run."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("CRONCORD_RUN_ID") == run_id:
                found.append(process.pid)
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


def test_a_job_made_on_one_node_runs_on_a_follower_and_is_read_through_any_node(fleet):
    leader = fleet.leader()
    create(fleet["n1"], "hello", "echo out; echo err >&2\n", schedule="@manual")
    run = run_now(fleet["n2"], "hello")
    run = fleet.wait_run(run["id"], node=fleet["n3"])
    assert (run["state"], run["exit_code"]) == ("succeeded", 0)
    assert run["node"] != leader.name
    for node in fleet.nodes:
        log = node.call("GET", f"/api/v1/runs/{run['id']}/log")
        assert sorted(log.body.splitlines()) == [b"err", b"out"]
        assert log.headers["Croncord-Node"] == node.name
    only = fleet["n1"].call("GET", f"/api/v1/runs/{run['id']}/log?stream=stderr")
    assert only.body == b"err\n"


def test_a_job_runs_on_its_second_and_the_ledger_has_one_row_per_tick(fleet):
    create(fleet["n1"], "often", "echo $CRONCORD_NOMINAL_TIME\n", schedule="*/2 * * * * *")

    def three_done():
        items = fleet["n2"].get("/api/v1/runs?job=often&state=succeeded")["items"]
        return items if len(items) >= 3 else None

    runs = wait_for(three_done, 20, "three runs")
    fleet["n1"].call("DELETE", "/api/v1/jobs/often")
    nominal = [run["nominal_time"] for run in runs]
    assert len(set(nominal)) == len(nominal)
    assert nominal == sorted(nominal, reverse=True)
    assert all(run["lateness_ms"] >= 0 for run in runs)


def test_output_is_live_on_every_node_while_the_script_runs(fleet):
    create(fleet["n1"], "slow", "echo first; sleep 30\n", schedule="@manual")
    run = run_now(fleet["n1"], "slow")
    for node in fleet.nodes:
        wait_for(
            lambda node=node: node.call("GET", f"/api/v1/runs/{run['id']}/log").body == b"first\n",
            10,
            f"live output on {node.name}",
        )
    fleet["n3"].post(f"/api/v1/runs/{run['id']}/kill", {"grace_seconds": 1})
    assert fleet.wait_run(run["id"])["state"] == "killed"


STUBBORN = """trap '' TERM
sleep 600 &
setsid sleep 600 &
(setsid bash -c 'trap "" TERM; exec -a hidden sleep 600' &)
echo ready
while true; do sleep 1; done
"""


def test_kill_from_any_node_ends_the_whole_tree_and_says_so(fleet):
    create(fleet["n1"], "stubborn", STUBBORN, schedule="@manual")
    run = run_now(fleet["n1"], "stubborn")
    running = fleet.wait_run(run["id"], "running")
    wait_for(lambda: len(processes_of(run["id"])) >= 4, 10, "the tree to be up")
    other = next(node for node in fleet.nodes if node.name != running["node"])
    answer = other.call("POST", f"/api/v1/runs/{run['id']}/kill", {"grace_seconds": 1})
    assert answer.status == 202
    assert answer.json()["kill"]["requested_at"]
    ended = fleet.wait_run(run["id"])
    assert ended["state"] == "killed"
    assert ended["reason"] == "requested"
    assert ended["kill"]["signalled_at"]
    assert ended["kill"]["confirmed_at"]
    assert ended["kill"]["survivors"] == []
    assert processes_of(run["id"]) == []


def test_a_time_limit_ends_the_run_as_timed_out(fleet):
    create(
        fleet["n1"],
        "long",
        "sleep 60\n",
        schedule="@manual",
        timeout_seconds=1,
        kill_grace_seconds=1,
    )
    run = run_now(fleet["n1"], "long")
    ended = fleet.wait_run(run["id"])
    assert (ended["state"], ended["reason"]) == ("timed_out", "timeout")


def test_binary_output_comes_back_byte_for_byte_through_any_node(fleet):
    data = os.urandom(50_000) + b"\xff\xfe\x00\r\n\x80"
    path = fleet.directory / "binary"
    path.write_bytes(data)
    create(fleet["n1"], "binary", f"cat {path}\n", schedule="@manual")
    run = fleet.wait_run(run_now(fleet["n1"], "binary")["id"])
    assert run["log"]["bytes"] == len(data)
    assert run["log"]["sha256"] == hashlib.sha256(data).hexdigest()
    for node in fleet.nodes:
        assert node.call("GET", f"/api/v1/runs/{run['id']}/log").body == data


def test_a_large_python_script_with_crlf_line_ends_runs(fleet):
    filler = "# padding padding padding padding padding\r\n" * 7000
    script = (
        f"#!/usr/bin/env python3\r\nimport sys\r\n{filler}print('ran', sys.version_info[0])\r\n"
    )
    assert len(script) > 300_000
    create(fleet["n1"], "big", "placeholder\n", schedule="@manual")
    answer = fleet["n2"].call("PUT", "/api/v1/jobs/big/script", script.encode())
    assert answer.status in (200, 204)
    run = fleet.wait_run(run_now(fleet["n1"], "big")["id"])
    log = fleet["n3"].call("GET", f"/api/v1/runs/{run['id']}/log").body
    assert (run["state"], log) == ("succeeded", b"ran 3\n")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"schedule": "61 * * * *"}, "schedule"),
        ({"schedule": "0 0 30 2 *"}, "schedule"),
        ({"timezone": "Europe/Nowhere"}, "timezone"),
        ({"name": "a/b"}, "name"),
        ({"name": "x" * 129}, "name"),
        ({"script": "x" * (1024 * 1024 + 1)}, "script"),
        ({"timeout_seconds": -1}, "timeout_seconds"),
        ({"color": "red"}, "color"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_created(fleet, change, field):
    body = {"name": "wrong", "script": "true\n", "schedule": "@manual", **change}
    answer = fleet["n2"].call("POST", "/api/v1/jobs", body)
    assert answer.status == 422
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert fleet["n1"].call("GET", "/api/v1/jobs/wrong").status == 404


def test_the_output_is_still_readable_after_kill_9_of_the_node_that_ran_it(own_fleet):
    fleet = own_fleet
    create(fleet["n1"], "kept", "seq 1000; sleep 0.5\n", schedule="@manual")
    run = fleet.wait_run(run_now(fleet["n1"], "kept")["id"])
    others = [node for node in fleet.nodes if node.name != run["node"]]
    wait_for(
        lambda: len(others[0].get(f"/api/v1/runs/{run['id']}")["log"]["copies"]) == 3,
        15,
        "three copies",
    )
    fleet[run["node"]].kill()
    for node in others:
        wait_for(
            lambda node=node: (
                node.call("GET", f"/api/v1/runs/{run['id']}/log").body.count(b"\n") == 1000
            ),
            15,
            f"the output through {node.name}",
        )


def witnesses(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def test_after_kill_9_of_the_leader_ticks_go_on_and_none_runs_twice(own_fleet):
    fleet = own_fleet
    witness = fleet.directory / "witness"
    script = f"echo $CRONCORD_NOMINAL_TIME >> {witness}\n"
    create(fleet["n1"], "tick", script, schedule="* * * * * *", misfire={"policy": "run_all"})
    wait_for(lambda: len(witnesses(witness)) >= 3, 20, "first ticks")
    leader = fleet.leader()
    leader.kill()
    killed_at = datetime.now(UTC).isoformat()
    survivors = fleet.alive()
    wait_for(lambda: sum(line > killed_at for line in witnesses(witness)) >= 3, 20, "new ticks")
    for node in survivors:
        shown = node.get("/api/v1/cluster")
        assert shown["leader"] in {survivor.name for survivor in survivors}
    survivors[0].post("/api/v1/jobs/tick/pause")
    time.sleep(1)
    lines = witnesses(witness)
    assert len(set(lines)) == len(lines), "a tick was launched twice"
    rows = survivors[0].get("/api/v1/runs?job=tick&limit=500")["items"]
    nominal = sorted(row["nominal_time"] for row in rows)
    seconds = [datetime.fromisoformat(value).timestamp() for value in nominal]
    assert {b - a for a, b in itertools.pairwise(seconds)} == {1.0}, "a row per tick"


def test_a_restarted_node_adopts_its_running_script_and_reports_the_true_end(own_fleet):
    fleet = own_fleet
    create(fleet["n1"], "adopted", "sleep 4; echo done; exit 7\n", schedule="@manual")
    run = fleet.wait_run(run_now(fleet["n1"], "adopted")["id"], "running")
    node = fleet[run["node"]]
    wait_for(lambda: processes_of(run["id"]), 10, "the script to run")
    node.kill()
    node.start()
    ended = fleet.wait_run(run["id"], seconds=40)
    assert (ended["state"], ended["exit_code"], ended["attempt"]) == ("failed", 7, 1)
    assert fleet["n1"].call("GET", f"/api/v1/runs/{run['id']}/log").body == b"done\n"


def test_everything_acknowledged_survives_kill_9_of_all_nodes_at_once(own_fleet):
    fleet = own_fleet
    for index in range(20):
        create(fleet.nodes[index % 3], f"job-{index}", "true\n", schedule="@daily")
    for node in fleet.nodes:
        node.kill()
    for node in fleet.nodes:
        node.start()
    fleet.wait_ready()
    assert fleet["n2"].get("/api/v1/jobs")["total"] == 20


def test_with_no_majority_reads_are_answered_as_stale_and_changes_refused(own_fleet):
    fleet = own_fleet
    create(fleet["n1"], "seen", "true\n", schedule="@daily")
    last, *gone = fleet.nodes
    wait_for(lambda: last.get("/api/v1/jobs?stale=allow")["total"] == 1, 10, "the copy")
    for node in gone:
        node.kill()
    wait_for(
        lambda: last.call("GET", "/readyz").status == 503, 10, "the node to notice it is alone"
    )
    answer = last.call("GET", "/api/v1/jobs", timeout_seconds=20)
    assert answer.status == 200
    assert answer.json()["total"] == 1
    assert float(answer.headers["Croncord-Stale"]) > 0
    refused = last.call(
        "POST", "/api/v1/jobs", {"name": "x", "script": "true\n"}, timeout_seconds=20
    )
    assert refused.status == 503
    assert refused.headers["Retry-After"]
    gone[0].start()
    wait_for(
        lambda: last.call("POST", "/api/v1/jobs", {"name": "y", "script": "true\n"}).status == 201,
        20,
        "changes to be possible again",
    )


def test_leadership_is_handed_over_whichever_node_is_asked(own_fleet):
    fleet = own_fleet
    before = fleet.leader()
    asked = next(node for node in fleet.nodes if node is not before)
    answer = asked.post("/api/v1/cluster/transfer-leader")
    assert answer["leader"] != before.name
    assert fleet.leader() is not before


def test_a_node_that_is_asked_to_stop_hands_over_and_leaves_its_script_running(own_fleet):
    fleet = own_fleet
    create(fleet["n1"], "calm", "sleep 6; echo end\n", schedule="@manual")
    run = fleet.wait_run(run_now(fleet["n1"], "calm")["id"], "running")
    node = fleet[run["node"]]
    wait_for(lambda: processes_of(run["id"]), 10, "the script to run")
    assert node.stop() == 0
    assert processes_of(run["id"])
    node.start()
    assert fleet.wait_run(run["id"], seconds=40)["state"] == "succeeded"
