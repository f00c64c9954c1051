"""JSON Schema of job definitions, for editors: made from the types that read them.

It says what a type can say. That a schedule parses, a zone exists or a script fits its size is said
when the job is saved. What it refuses, CronCord refuses too.
"""

from typing import Any, Final

import msgspec

from croncord.model import JobSpec
from croncord.validation import READ_ONLY

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_REF: Final = "#/$defs/{name}"

Schema = dict[str, Any]


def one_or_many(schedule: Schema) -> Schema:
    """Return the schema of `schedule`, which may be one expression or a list of them."""
    return {
        "description": "One expression, or a list of them",
        "oneOf": [schedule["items"], {k: v for k, v in schedule.items() if k != "default"}],
        "default": "@manual",
    }


def job_schema() -> Schema:
    """Return the schema of one job, as the API and `job apply` read it."""
    _, components = msgspec.json.schema_components([JobSpec], ref_template=_REF)
    defs = {name: _told(schema) for name, schema in components.items()}
    job = defs.pop("JobSpec")
    properties = job["properties"]
    properties["schedule"] = one_or_many(properties["schedule"])
    properties |= {name: {"readOnly": True} for name in sorted(READ_ONLY)}
    return {
        "$schema": DIALECT,
        "title": "CronCord job",
        **{key: value for key, value in job.items() if key != "title"},
        "$defs": dict(sorted(defs.items())),
    }


def file_schema() -> Schema:
    """Return the schema of a file of `job apply`: one job, a list of them, or `jobs`.

    In a file the script may stand beside it, in `script_file`.
    """
    job = job_schema()
    defs = job.pop("$defs")
    del job["$schema"]
    job["properties"]["script_file"] = {
        "type": "string",
        "description": "A file beside this one that holds the script",
    }
    job["required"] = [name for name in job["required"] if name != "script"]
    job["oneOf"] = [{"required": ["script"]}, {"required": ["script_file"]}]
    jobs = {"type": "array", "items": {"$ref": "#/$defs/Job"}}
    several = {
        "type": "object",
        "properties": {"jobs": jobs},
        "required": ["jobs"],
        "additionalProperties": False,
    }
    return {
        "$schema": DIALECT,
        "title": "CronCord jobs",
        "anyOf": [several, {"$ref": "#/$defs/Job"}, jobs],
        "$defs": {"Job": job, **defs},
    }


def _told(schema: Schema) -> Schema:
    """Keep of a type's description its first sentence."""
    told = schema.get("description", "")
    return schema | ({"description": told.partition("\n")[0]} if told else {})
