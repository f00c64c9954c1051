"""A table of hostile inputs, tried on every port of three real nodes; then what is left of them.

The rows are in the modules beside this one: what is sent, to which port, and what must be answered.
After them everything that was agreed and every row of history is byte for byte what it was, the processes are
the same, have not grown, and run jobs.
"""

import pytest
from fleet import Fleet, wait_for
from hostile_callers import WHO_MAY_NOT
from hostile_doors import CONTROL, TLS
from hostile_markup import Page, links_of, mark
from hostile_nodes import BETWEEN_NODES, RAFT, witness_of
from hostile_pages import MARKUP
from hostile_requests import FORGED, ODD_REQUESTS, TOO_MUCH
from hostile_stage import HostileFleet, forget_peak, memory_of, set_up
from prometheus_client.parser import text_string_to_metric_families
from tls_fleet import arguments_of, init_tls

pytestmark = pytest.mark.hostile

ROWS = (*MARKUP, *WHO_MAY_NOT, *ODD_REQUESTS, *BETWEEN_NODES, *RAFT, *CONTROL, *TLS, *TOO_MUCH)
GROWTH_BYTES_MAX = 128 << 20
"""How much a node may take at its peak beyond what it had: a body is 1 GB."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    directory = tmp_path_factory.mktemp("hostile")
    init_tls(directory / "tls", "--name", "n1")
    (directory / "certified").mkdir()
    single = Fleet(directory / "certified", 1, *arguments_of(directory / "tls", "n1"))
    single.nodes[0].url = single.nodes[0].url.replace("http:", "https:")
    single.nodes[0].ca = directory / "tls" / "ca.pem"
    with HostileFleet(directory) as fleet, single:
        made = set_up(fleet)
        made.certified = single.nodes[0]
        made.nodes = [*fleet.nodes, single.nodes[0]]
        made.before = made.facts()
        made.pids = [node.process.pid for node in made.nodes]
        made.term = made.node.get("/api/v1/cluster")["term"]
        made.memory = {node.url: memory_of(node, "VmRSS") for node in made.nodes}
        for node in made.nodes:
            forget_peak(node)
        yield made


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.port}: {row.name}")
def test_what_strangers_send_is_refused_or_harmless(stage, row):
    assert row.send(stage) in row.answers


def test_no_page_that_can_be_reached_has_an_element_or_attribute_out_of_a_field(stage):
    seen, waiting = set(), ["/"]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        status, headers, html = stage.page(path)
        assert status in {200, 303}, path
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        page = Page(html if headers.get_content_type() == "text/html" else "")
        assert page.intruders == [], path
        waiting += links_of(page) - seen
    assert len(seen) > 60


def test_programs_get_markup_as_data(stage):
    _, headers, body = stage.http("GET", "/metrics", who="admin")
    names = {
        sample.labels.get("job_name")
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }
    assert mark("job-name") in names
    for path in ("/api/v1/jobs", f"/api/v1/runs/{stage.long_run}/log", "/api/v1/audit?format=csv"):
        status, headers, _ = stage.http("GET", path, who="admin")
        assert status == 200
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers.get_content_type() != "text/html"


def test_after_all_that_nothing_is_lost_and_the_cluster_works(stage):
    fleet = stage.fleet
    assert [node.process.pid for node in stage.nodes if node.is_alive] == stage.pids
    wait_for(lambda: stage.facts() == stage.before, 30, "the same facts on all nodes as before")
    assert stage.node.get("/api/v1/cluster")["term"] == stage.term
    for node in stage.nodes:
        assert memory_of(node, "VmHWM") - stage.memory[node.url] < GROWTH_BYTES_MAX
        log = node.log.read_text()
        assert "Traceback" not in log
        assert f"\n{FORGED}" not in log
    assert not witness_of(stage).exists()
    for node in fleet.nodes:
        assert node.call("GET", "/readyz").status == 200
    node = fleet.nodes[1]
    node.post("/api/v1/jobs/bench/run")

    def done():
        runs = node.get("/api/v1/runs?job=bench")["items"]
        return len(runs) == 3 and {run["state"] for run in runs} == {"succeeded"}

    wait_for(done, 60, "a run on each node")
    assert node.get(f"/api/v1/runs/{stage.long_run}")["state"] == "running"
    killed = node.post(f"/api/v1/runs/{stage.long_run}/kill", {"grace_seconds": 1})
    fleet.wait_run(killed["id"], "killed")
