"""What a reader sees while a script prints more than is kept is what he sees afterwards."""

import json
import threading
import time

import pytest
from fleet import wait_for

pytestmark = pytest.mark.cluster

ENDLESS = """
echo begin
for n in $(seq 40); do
  head -c 6000 /dev/zero | tr '\\0' x; echo; echo "line $n"; sleep 0.2
done
echo end
"""


def events(node, run_id, *, follow, seconds=60):
    """All events of an output as (stream, text), read as a stream of events."""
    path = f"/api/v1/runs/{run_id}/log?stale=allow" + ("&follow=true" if follow else "")
    answer = node.call("GET", path, timeout_seconds=seconds, Accept="text/event-stream")
    found = []
    for block in answer.body.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if fields.get("event") == "output":
            data = json.loads(fields["data"])
            found.append((data["stream"], data["text"]))
    return found


def joined(found):
    """Neighbours of one stream as one: pieces are cut where they happened to arrive."""
    whole = []
    for stream, text in found:
        if whole and stream != "system" and whole[-1][0] == stream:
            whole[-1] = (stream, whole[-1][1] + text)
        else:
            whole.append((stream, text))
    return whole


def test_the_cut_middle_is_glimpsed_live_and_looks_the_same_later_on_every_node(fleet):
    job = {"name": "endless", "script": ENDLESS, "schedule": "@manual"}
    fleet["n1"].post("/api/v1/jobs", job | {"limits": {"log_bytes": 20_000}})
    run_id = fleet["n1"].post("/api/v1/jobs/endless/run", {})["id"]
    fleet.wait_run(run_id, "running")
    live = {}

    def follow(node):
        live[node.name] = events(node, run_id, follow=True)

    readers = [threading.Thread(target=follow, args=(node,)) for node in fleet.nodes]
    for reader in readers:
        reader.start()

    def glimpses():
        told = events(fleet["n2"], run_id, follow=False)
        return [text for stream, text in told if stream == "system" and "further on" in text]

    wait_for(lambda: len(glimpses()) >= 3, 30, "glimpses while it runs")
    assert "line " in glimpses()[-1]
    run = fleet.wait_run(run_id)
    for reader in readers:
        reader.join(60)
    after = [joined(events(node, run_id, follow=False)) for node in fleet.nodes]
    assert after[0] == after[1] == after[2]
    for node in fleet.nodes:
        assert joined(live[node.name]) == after[0]
    kept = "".join(text for stream, text in after[0] if stream == "stdout")
    assert kept.startswith("begin\n")
    assert kept.endswith("line 40\nend\n")
    assert len(kept) == run["log"]["bytes"] == 20_000
    left_out = f"[{run['log']['truncated_bytes']} bytes of output are left out here]"
    assert [text for _, text in after[0]].count(left_out + "\n") == 1


def test_an_expression_that_would_take_for_ever_is_refused_and_nobody_waits_for_it(fleet):
    node = fleet["n1"]
    script = "head -c 40 /dev/zero | tr '\\0' a; echo b\n"
    node.post("/api/v1/jobs", {"name": "unlucky", "script": script, "schedule": "@manual"})
    fleet.wait_run(node.post("/api/v1/jobs/unlucky/run", {})["id"])
    answers = []

    def search():
        path = "/api/v1/logs/search?q=%28a%2B%29%2B%24&regex=true&job=unlucky"
        answers.append(node.call("GET", path, timeout_seconds=30))

    searching = threading.Thread(target=search)
    searching.start()
    while searching.is_alive():
        assert node.call("GET", "/healthz").status == 200
        time.sleep(0.05)
    (answer,) = answers
    assert b"takes too long" in answer.body
