"""Search over real nodes: the same hits through any of them, with one gone, and page by page."""

import json
import shutil

import pytest
from fleet import wait_for

pytestmark = pytest.mark.cluster


def finished(fleet, name, script, count=1):
    fleet["n1"].post("/api/v1/jobs", {"name": name, "script": script, "schedule": "@manual"})
    runs = []
    for _ in range(count):
        run = fleet["n1"].post(f"/api/v1/jobs/{name}/run", {})
        runs.append(fleet.wait_run(run["id"]))
    for run in runs:
        path = f"/api/v1/runs/{run['id']}"
        wait_for(lambda path=path: len(fleet["n1"].get(path)["log"]["copies"]) == 3, 20, "copies")
    return runs


def search(node, query):
    return node.get(f"/api/v1/logs/search?{query}")


def test_lines_are_found_through_any_node_page_by_page_and_with_a_node_gone(own_fleet):
    fleet = own_fleet
    script = "for i in 1 2 3; do echo needle $i; echo hay; done; echo needle err >&2\n"
    runs = finished(fleet, "first", script, count=1) + finished(fleet, "second", script, count=2)
    newest_first = sorted((run["id"] for run in runs), reverse=True)
    for node in fleet.nodes:
        found = search(node, "q=needle+2")
        assert [hit["run"] for hit in found["items"]] == newest_first
        assert {(hit["line"], hit["text"]) for hit in found["items"]} <= {(3, "needle 2")}
        assert found["next_cursor"] is None
        assert found["nodes_not_answering"] == []
        assert found["runs_searched"] == 3
    only = search(fleet["n2"], "q=needle&stream=stderr&job=second")
    assert [hit["text"] for hit in only["items"]] == ["needle err"] * 2
    seen, cursor = [], ""
    while cursor is not None:
        page = search(fleet["n3"], f"q=%5Eneedle+%5Cd&regex=true&limit=2&cursor={cursor}")
        seen += [(hit["run"], hit["text"]) for hit in page["items"]]
        cursor = page["next_cursor"]
    assert seen == [(run, f"needle {n}") for run in newest_first for n in (1, 2, 3)]
    lines = fleet["n1"].call("GET", "/api/v1/logs/search?q=hay", Accept="application/x-ndjson")
    *hits, summary = [json.loads(line) for line in lines.body.splitlines()]
    assert len(hits) == 9
    assert summary["runs_searched"] == 3
    assert fleet["n1"].call("GET", "/api/v1/logs/search?q=%28&regex=true").status == 422
    assert fleet["n1"].call("GET", "/api/v1/logs/search").status == 422
    gone = next(node for node in fleet.nodes if node is not fleet.leader())
    gone.kill()
    asked = next(node for node in fleet.alive())
    wait_for(
        lambda: search(asked, "q=needle+2")["nodes_not_answering"] == [gone.name], 20, "it named"
    )
    assert [hit["run"] for hit in search(asked, "q=needle+2")["items"]] == newest_first


def test_a_node_whose_ledger_was_lost_has_all_rows_again(own_fleet):
    fleet = own_fleet
    runs = finished(fleet, "many", "echo $RANDOM\n", count=8)
    node = next(each for each in fleet.nodes if each is not fleet.leader())
    node.stop()
    shutil.rmtree(node.data_dir / "ledger")
    node.start()
    fleet.wait_ready()
    expected = sorted((run["id"] for run in runs), reverse=True)

    def rows():
        items = node.get("/api/v1/runs?job=many&stale=allow")["items"]
        return [run["id"] for run in items] == expected

    wait_for(rows, 20, "all rows to be here again")
    for run in runs:
        shown = node.get(f"/api/v1/runs/{run['id']}")
        assert shown["log"]["sha256"] == run["log"]["sha256"]
