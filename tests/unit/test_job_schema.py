"""The schema that editors get and the validator that saves jobs say the same."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from croncord.__main__ import main
from croncord.cli.jobfile import read_jobs, write_jobs
from croncord.errors import CronCordError, Invalid
from croncord.job_schema import file_schema, job_schema
from croncord.validation import read_job

JOB = Draft202012Validator(job_schema())
FILE = Draft202012Validator(file_schema())
PLAIN = {"name": "backup", "script": "true\n"}

FULL = {
    **PLAIN,
    "schedule": ["30 2 * * *", "@every 90s"],
    "timezone": "Europe/Berlin",
    "tags": ["prod"],
    "environment": {"A": "1"},
    "target": {"labels": {"disk": "ssd"}, "strategy": "spread", "every_node": True},
    "misfire": {"policy": "run_all", "window_seconds": 60, "max_runs": 3},
    "retries": {"count": 2, "backoff": 2.0},
    "limits": {"memory_bytes": 1 << 30},
    "after": [{"job": "other", "on": "always"}],
    "retention": {"days": 30},
    "locks": ["db:3"],
    "timeout_seconds": 60,
    "overlap": "queue_one",
    "version": 3,
    "updated_by": "user:ada",
}

WRONG = [
    ("an unknown field", {"shedule": "@daily"}),
    ("a number for a name", {"name": 7}),
    ("an empty name", {"name": ""}),
    ("a slash in the name", {"name": "a/b"}),
    ("an unknown overlap", {"overlap": "maybe"}),
    ("a negative timeout", {"timeout_seconds": -1}),
    ("text for a number", {"timeout_seconds": "60"}),
    ("an unknown field below", {"misfire": {"polcy": "skip"}}),
    ("a number for a schedule", {"schedule": 5}),
    ("too long an expression", {"schedule": "*" * 300}),
    ("a variable that begins with a digit", {"environment": {"1A": "x"}}),
    ("a lock that is no lock", {"locks": ["a b"]}),
    ("null for a list", {"tags": None}),
]


@pytest.mark.parametrize("job", [PLAIN, FULL], ids=["plain", "full"])
def test_what_the_validator_takes_the_schema_takes(job):
    read_job(job)
    JOB.validate(job)
    FILE.validate(job)
    FILE.validate([job])
    FILE.validate({"jobs": [job]})


@pytest.mark.parametrize(("what", "fields"), WRONG, ids=[what for what, _ in WRONG])
def test_what_a_type_can_refuse_both_refuse(what, fields):
    job = {**PLAIN, **fields}
    assert not JOB.is_valid(job)
    with pytest.raises(Invalid):
        read_job(job)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**40) | st.floats(-1, 20) | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=4,
)
FIELDS = sorted(set(job_schema()["properties"]) - {"name", "script"})


@settings(max_examples=150)
@given(st.sampled_from(FIELDS), VALUES)
def test_the_schema_never_marks_a_job_as_wrong_that_can_be_saved(field, value):
    job = {**PLAIN, field: value}
    try:
        read_job(job)
    except CronCordError:
        return
    JOB.validate(job)


def test_what_is_exported_fits_the_schema(tmp_path):
    job = {**FULL, "schedule": FULL["schedule"]}
    text = write_jobs([job], json=True)
    FILE.validate(json.loads(text))
    (tmp_path / "jobs.json").write_text(text)
    assert [spec.name for spec in read_jobs(tmp_path)] == ["backup"]


def test_in_a_file_the_script_may_stand_beside_it_but_not_twice():
    FILE.validate({"name": "backup", "script_file": "backup.sh"})
    assert not FILE.is_valid({"name": "backup", "script_file": "backup.sh", "script": "true"})
    assert not FILE.is_valid({"name": "backup"})
    assert not JOB.is_valid({"name": "backup", "script_file": "backup.sh"})


def test_the_command_prints_it_without_asking_a_node(capsys):
    assert main(["job", "schema"]) == 0
    printed = json.loads(capsys.readouterr().out)
    Draft202012Validator.check_schema(printed)
    assert printed == json.loads(json.dumps(file_schema()))
    assert main(["job", "schema", "--one"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "CronCord job"
