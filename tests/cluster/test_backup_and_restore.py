"""Acceptance: backup, wipe of all nodes, restore: jobs, users, history, output are there, and no tick is
launched twice. With three real processes, a job every second, and the old disk of one node coming back.
"""

import json
import shutil
import time
from collections import Counter

import pytest
from fleet import wait_for
from growing_fleet import GrowingFleet

pytestmark = pytest.mark.cluster

EVERY_SECOND = 'echo "$CRONCORD_NOMINAL_TIME" | tee -a {witness}\n'


def every_row(node, query="limit=500"):
    return node.get(f"/api/v1/runs?{query}")["items"]


def output(node, run_id):
    return node.call("GET", f"/api/v1/runs/{run_id}/log").body


def fill(fleet, witness):
    """Give the cluster a job every second, a run that hangs, a user and a secret that a job uses."""
    first = fleet["n1"]
    script = EVERY_SECOND.format(witness=witness)
    fields = {"overlap": "allow", "misfire": {"policy": "run_all"}, "schedule": "* * * * * *"}
    first.post("/api/v1/jobs", {"name": "tick", "script": script, **fields})
    first.post("/api/v1/jobs", {"name": "hangs", "script": "echo begun; sleep 600\n"})
    first.post("/api/v1/users", {"name": "ada", "role": "operator", "password": "correct horse 1"})
    first.call("PUT", "/api/v1/secrets/DB_PASSWORD", {"value": "hunter22"})
    uses = {"script": 'test "$DB_PASSWORD" = hunter22\n', "secrets": ["DB_PASSWORD"]}
    first.post("/api/v1/jobs", {"name": "uses", **uses})
    hanging = first.post("/api/v1/jobs/hangs/run")["id"]
    wait_for(lambda: witness.exists() and len(witness.read_text().split()) >= 4, 60, "ticks")
    fleet.wait_run(hanging, "running")
    return hanging


def back_up(fleet, file):
    """Take a backup with output; returns the runs that ended before, with what they printed."""
    said = command(fleet, "cluster", "backup", "--output", str(file))
    assert said.returncode == 0, said.stderr
    said = command(fleet, "cluster", "restore", str(file), "--dry-run", "--json")
    taken_at = json.loads(said.stdout)["at"]
    first = fleet["n1"]
    rows = [row for row in every_row(first) if row["state"] == "succeeded"]
    kept = [row["id"] for row in rows if row["finished_at"] < taken_at]
    assert len(kept) >= 3
    return {run_id: output(first, run_id) for run_id in kept}


def wipe_all(fleet):
    for node in fleet.nodes:
        node.kill()
        shutil.move(node.data_dir, node.data_dir.with_suffix(".old"))


def restore_first(fleet, file):
    first = fleet["n1"]
    said = command(
        fleet,
        *["cluster", "restore", str(file), "--data-dir", str(first.data_dir), "--name", "n1"],
        *["--http", first.url.rpartition("/")[2], "--raft", first.raft, *first._arguments],
    )
    assert said.returncode == 0, said.stderr
    first.start()
    fleet["n2"].start()
    wait_for(lambda: is_ready(fleet["n2"]), 60, "the second node")


def come_back_with_the_old_disk(node):
    """It is out, and says so; with an empty disk it is welcome."""
    shutil.move(node.data_dir.with_suffix(".old"), node.data_dir)
    node.log.write_text("")
    node.start()
    assert node.process.wait(60) == 0
    assert "n3 was removed from the cluster" in node.log.read_text()
    shutil.rmtree(node.data_dir)
    node.start()


def test_after_backup_wipe_and_restore_everything_is_there_and_no_tick_is_launched_twice(own_fleet):
    fleet, witness = own_fleet, own_fleet.directory / "witness"
    hanging = fill(fleet, witness)
    file = fleet.directory / "b.backup"
    outputs = back_up(fleet, file)
    time.sleep(2)  # the old cluster goes on launching after the backup
    wipe_all(fleet)
    restore_first(fleet, file)
    third = fleet["n3"]
    come_back_with_the_old_disk(third)
    fleet.wait_ready(60)
    wait_for(lambda: newest(third, "tick"), 60, "a tick of the restored cluster")

    assert {job["name"] for job in third.get("/api/v1/jobs")["items"]} == {"tick", "hangs", "uses"}
    assert [user["name"] for user in third.get("/api/v1/users")["items"]] == ["ada"]
    rows = wait_for(lambda: all_there(third, outputs), 60, "the history on a node that joined")
    assert {rows[run_id]["state"] for run_id in outputs} == {"succeeded"}
    assert (rows[hanging]["state"], rows[hanging]["reason"]) == ("lost", "restored")
    wait_for(lambda: {run_id: output(third, run_id) for run_id in outputs} == outputs, 60, "output")
    used = third.post("/api/v1/jobs/uses/run")["id"]
    assert fleet.wait_run(used)["state"] == "succeeded", "secrets can be opened"
    actions = [entry["action"] for entry in third.get("/api/v1/audit?limit=500")["items"]]
    assert {"cluster.restore", "job.create"} <= set(actions)
    check_no_tick_twice(fleet, witness)


def check_no_tick_twice(fleet, witness):
    first = fleet["n1"]
    first.post("/api/v1/jobs/tick/pause")
    time.sleep(2)
    ticks = every_row(first, "job=tick&limit=500")
    nominal = Counter(row["nominal_time"] for row in ticks)
    assert max(nominal.values()) == 1, "one row per tick"
    skipped = [row for row in ticks if row["reason"] == "restored" and row["state"] == "skipped"]
    assert len(skipped) >= 2
    lines = witness.read_text().split()
    assert len(lines) == len(set(lines)), "no tick was launched twice"


def command(fleet, *words):
    return GrowingFleet.command(fleet, *words)


def is_ready(node):
    assert node.is_alive, node.log.read_text()[-2000:]
    try:
        return node.call("GET", "/readyz").status == 200
    except OSError:
        return False


def newest(node, job):
    rows = every_row(node, f"job={job}&state=succeeded&limit=1")
    skipped = every_row(node, f"job={job}&reason=restored&state=skipped&limit=1")
    return rows[0] if rows and rows[0]["nominal_time"] > skipped[0]["nominal_time"] else None


def all_there(node, run_ids):
    rows = {row["id"]: row for row in every_row(node)}
    return rows if set(run_ids) <= rows.keys() else None
