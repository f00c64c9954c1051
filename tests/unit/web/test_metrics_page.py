"""The page of figures as Prometheus reads it, and whether rules and dashboard ask for what is there."""

import json
import re
from pathlib import Path

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[3]
RULES = yaml.safe_load((ROOT / "docs" / "prometheus" / "alerts.yml").read_text())
DASHBOARD = json.loads((ROOT / "docs" / "prometheus" / "dashboard.json").read_text())
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]
EXPRESSIONS = [rule["expr"] for rule in ALERTS] + [
    target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]
]
OURS = re.compile(r"\b(?:croncord|process)_\w+")


async def read(door):
    answer = await door.ask("GET", "/metrics", role="viewer")
    text = await answer.text()
    return text, list(text_string_to_metric_families(text))


async def test_prometheus_client_reads_the_whole_page(door):
    await door.office.job('a "quoted" job')
    await door.office.job("backup")
    await door.office.ran("backup")
    text, families = await read(door)
    assert sum(len(family.samples) for family in families) == sum(
        not line.startswith("#") for line in text.splitlines()
    )
    assert all(family.documentation for family in families)
    names = [family.name for family in families]
    assert len(names) == len(set(names))


async def test_names_and_units_are_as_prometheus_wants_them(door):
    text, _ = await read(door)
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    assert {name for name, kind in kinds.items() if name.endswith("_total")} == {
        name for name, kind in kinds.items() if kind == "counter"
    }
    assert [name for name in kinds if re.search(r"_(ms|minutes|percent|kb|mb)\b", name)] == []


async def test_requests_are_counted_by_what_was_asked_for(door):
    await door.ask("GET", "/healthz")
    await door.ask("GET", "/api/v1/jobs")
    await door.ask("GET", "/api/v1/nothing")
    await door.ask("GET", "/static/nothing.css")
    text, _ = await read(door)
    counted = re.findall(r'http_requests_total\{route="(\w+)",method="GET",status="(\d+)"\}', text)
    assert set(counted) == {("health", "200"), ("api", "200"), ("api", "404"), ("static", "404")}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_expression_is_promql(expression):
    promql_parser.parse(expression.replace("$job", "croncord"))


def test_every_alert_says_how_bad_it_is_and_what_is_wrong():
    assert [rule["alert"] for rule in ALERTS if not rule["annotations"]["summary"]] == []
    assert {rule["labels"]["severity"] for rule in ALERTS} == {"warning", "critical"}
    assert len({rule["alert"] for rule in ALERTS}) == len(ALERTS)
