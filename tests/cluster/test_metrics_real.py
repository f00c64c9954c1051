"""The figures of real nodes: everything that rules and dashboard ask for is there."""

import json
import re
from pathlib import Path

import pytest
import yaml
from fleet import wait_for
from prometheus_client.parser import text_string_to_metric_families
from tls_fleet import TlsFleet

DOCS = Path(__file__).parents[2] / "docs" / "prometheus"
NAME = re.compile(r"\b(?:croncord|process)_\w+")


pytestmark = pytest.mark.cluster


def wanted():
    """Return the names in the expressions of rules and dashboard."""
    rules = yaml.safe_load((DOCS / "alerts.yml").read_text())["groups"]
    expressions = [rule["expr"] for group in rules for rule in group["rules"]]
    panels = json.loads((DOCS / "dashboard.json").read_text())["panels"]
    expressions += [target["expr"] for panel in panels for target in panel["targets"]]
    return {name for expression in expressions for name in NAME.findall(expression)}


def page(node):
    """Return the samples of a node by name and labels."""
    text = node.call("GET", "/metrics").body.decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_node_tells_all_that_rules_and_dashboard_ask_for(tmp_path):
    with TlsFleet(tmp_path) as fleet:
        node = fleet["n1"]
        job = {"name": "backup", "schedule": "@every 1s", "script": "echo done"}
        assert node.call("POST", "/api/v1/jobs", job).status == 201
        success = "croncord_job_last_success_timestamp_seconds", frozenset({("job_name", "backup")})
        for each in fleet.nodes:
            wait_for(lambda each=each: success in page(each), 60, "a success on each node")
        # A node writes its first snapshot after 10,000 commands.
        asked_for = wanted() - {"croncord_snapshot_timestamp_seconds"}
        # A node shows the others' vitals when it has heard of them.
        wait_for(lambda: asked_for <= {name for name, _ in page(node)}, 60, "every figure")
        told = page(node)
        assert sum(v for (name, _), v in told.items() if name == "croncord_node_up") == 3
        assert told["croncord_voters_spare", frozenset()] == 1
        assert told["croncord_journal_sync_duration_seconds_count", frozenset()] > 0
        assert told["croncord_run_start_lateness_seconds_count", frozenset()] > 0
        assert told["croncord_runs_ended_total", frozenset({("state", "succeeded")})] > 0
