"""What a running script tells, seen from every node; and what it passes on."""

import pytest
from fleet import wait_for

pytestmark = pytest.mark.cluster


def test_progress_is_seen_through_every_node_while_it_runs_and_outputs_reach_dependents(
    own_fleet, tmp_path
):
    fleet, flag = own_fleet, tmp_path / "flag"
    node = fleet["n1"]
    script = (
        "echo ::progress 40; echo ::output file=/srv/x; echo ::metric rows=7\n"
        f"while [ ! -e {flag} ]; do sleep 0.1; done; echo ::progress 100\n"
    )
    node.post("/api/v1/jobs", {"name": "first", "script": script, "schedule": "@manual"})
    after = {
        "name": "then",
        "script": "echo got $CRONCORD_OUTPUT_file",
        "after": [{"job": "first"}],
    }
    node.post("/api/v1/jobs", after)
    run = node.post("/api/v1/jobs/first/run")["id"]
    for other in fleet.nodes:
        wait_for(
            lambda other=other: other.get(f"/api/v1/runs/{run}")["messages"]["progress"] == 40,
            10,
            f"progress at {other.name}",
        )
        listed = other.get("/api/v1/runs?job=first")["items"][0]
        assert listed["messages"]["progress"] == 40
    flag.touch()
    wait_for(
        lambda: node.get("/api/v1/runs?job=then&state=succeeded")["items"], 10, "the dependent"
    )
    told = node.get(f"/api/v1/runs/{run}")["messages"]
    assert (told["progress"], told["metrics"], told["outputs"]) == (
        100,
        {"rows": 7},
        {"file": "/srv/x"},
    )
    dependent = node.get("/api/v1/runs?job=then")["items"][0]
    assert dependent["excerpt"] == "got /srv/x"
