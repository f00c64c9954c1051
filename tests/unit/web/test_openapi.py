"""The published interface is that of the code."""

import re

import msgspec
import pytest

from croncord.web.api.openapi import describe
from croncord.web.api.table import ENDPOINTS

DOCUMENT = describe(ENDPOINTS)


def refs(value):
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "$ref":
                yield item
            else:
                yield from refs(item)
    elif isinstance(value, list):
        for item in value:
            yield from refs(item)


async def test_it_is_served(door):
    served = await door.get("/api/v1/openapi.json", role="viewer")
    assert served == msgspec.json.decode(msgspec.json.encode(DOCUMENT))


def test_every_endpoint_is_in_it():
    assert {
        (method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods
    } == {(e.method, e.path) for e in ENDPOINTS}


def test_every_reference_leads_somewhere():
    names = {ref.rpartition("/")[2] for ref in refs(DOCUMENT)}
    assert names <= set(DOCUMENT["components"]["schemas"])
    assert {"JobSpec", "JobAnswer", "RunView", "NodeView", "Problem"} <= names


def test_operation_ids_are_unique():
    ids = [o["operationId"] for methods in DOCUMENT["paths"].values() for o in methods.values()]
    assert len(set(ids)) == len(ids)


def test_path_parameters_are_described():
    for path, methods in DOCUMENT["paths"].items():
        for operation in methods.values():
            told = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
            assert told == set(re.findall(r"{(\w+)}", path))


def test_a_schedule_is_one_expression_or_a_list():
    kinds = DOCUMENT["components"]["schemas"]["JobSpec"]["properties"]["schedule"]["oneOf"]
    assert [kind["type"] for kind in kinds] == ["string", "array"]


@pytest.mark.parametrize("name", ["JobAnswer", "RunView", "NodeView"])
async def test_answers_have_exactly_the_fields_that_are_published(door, name):
    await door.office.job()
    run_id = await door.office.ran()
    job = await door.get("/api/v1/jobs/backup")
    fields = {
        "RunView": await door.get(f"/api/v1/runs/{run_id}"),
        "NodeView": await door.get("/api/v1/nodes/n1"),
        "JobAnswer": job,
    }[name]
    assert set(fields) == set(DOCUMENT["components"]["schemas"][name]["properties"])
