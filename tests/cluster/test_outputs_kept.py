"""What a job says is kept of it is kept on every node, and the rest is gone; a node has a budget."""

from datetime import UTC, datetime, timedelta

import pytest
from fleet import Fleet, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

PASS_SECONDS = 60
LOUD = "head -c 3000000 /dev/urandom | base64\n"


def create(node, name, script="echo hello\n", **fields):
    job = {"name": name, "script": script, "schedule": "@manual", "overlap": "allow", **fields}
    node.post("/api/v1/jobs", job)


def run(fleet, name):
    return fleet.wait_run(fleet["n1"].post(f"/api/v1/jobs/{name}/run", {})["id"])


def rows(node, job):
    return [item["id"] for item in node.get(f"/api/v1/runs?job={job}&stale=allow")["items"]]


def gauge(node, name):
    lines = node.call("GET", "/metrics").body.decode().splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(f"{name} "))


def test_runs_days_and_bytes_to_keep_hold_on_every_node(tmp_path):
    with Fleet(tmp_path) as fleet:
        node = fleet["n1"]
        create(node, "few", retention={"runs": 2})
        create(node, "small", "head -c 900 /dev/zero | tr '\\0' x\n", retention={"bytes": 2048})
        create(node, "short", schedule="0 12 * * *", retention={"days": 2})
        create(node, "plain")
        few = [run(fleet, "few")["id"] for _ in range(5)]
        small = [run(fleet, "small")["id"] for _ in range(4)]
        plain = [run(fleet, "plain")["id"] for _ in range(4)]
        short = [run(fleet, "short")["id"]]
        day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        since, until = (f"{day - timedelta(days=n):%Y-%m-%dT%H:%M:%SZ}" for n in (7, 5))
        node.post("/api/v1/jobs/short/backfill", {"since": since, "until": until})
        wait_for(lambda: len(rows(node, "short")) == 3, 20, "the backfill")
        for each in fleet.nodes:
            wait_for(
                lambda each=each: (
                    rows(each, "few") == few[:2:-1]
                    and rows(each, "small") == small[:1:-1]
                    and rows(each, "short") == short
                ),
                2 * PASS_SECONDS + 20,
                f"{each.name} to forget",
            )
            assert sorted(rows(each, "plain")) == sorted(plain)
        for each in fleet.nodes:
            wait_for(lambda each=each: gauge(each, "croncord_output_copies") == 9, 20, "copies")
            gone = each.call("GET", f"/api/v1/runs/{few[0]}/log?stale=allow")
            assert gone.status == 404


def test_a_run_alone_prints_no_more_than_its_job_keeps(tmp_path):
    with Fleet(tmp_path, 1) as fleet:
        create(fleet["n1"], "loud", LOUD, retention={"bytes": 100_000})
        done = run(fleet, "loud")
        assert done["state"] == "succeeded"
        assert done["log"]["bytes"] == 100_000
        assert done["log"]["truncated_bytes"] > 3_000_000


def test_a_node_without_room_drops_output_says_so_and_fails_no_run(tmp_path):
    with Fleet(tmp_path, 1, "--output-bytes", "200000") as fleet:
        node = fleet["n1"]
        create(node, "loud", f"for i in 1 2 3; do {LOUD.strip()}; sleep 1.5; done; echo end\n")
        done = run(fleet, "loud")
        assert (done["state"], done["log"]["complete"]) == ("succeeded", True)
        dropped = done["log"]["truncated_bytes"]
        assert dropped > 1_000_000
        assert gauge(node, "croncord_output_dropped_bytes_total") == dropped
        told = node.call("GET", f"/api/v1/runs/{done['id']}/log", Accept="text/event-stream").body
        assert b"output is dropped here: output takes" in told
        assert f"[{dropped} bytes of output are left out here]".encode() in told
