import re

import msgspec
import pytest
from desks import ADMIN
from page_visitor import visiting

from croncord.errors import FieldError
from croncord.fields import field_types
from croncord.model import JobSpec
from croncord.service.views import spec_json
from croncord.validation import read_job
from croncord.web.pages.job_form import (
    NAMES,
    Typed,
    errors_by_field,
    fields_from,
    laid_over,
    take_file,
    typed_from_job,
    typed_from_post,
)

FULL = {
    "name": "all of it",
    "script": "#!/bin/sh\ntrue\n",
    "schedule": ["0 3 * * *", "@every 90s"],
    "description": "Does\ntwo things",
    "owner": "ops",
    "tags": ["prod", "two words", "with, comma", '"quoted"'],
    "timezone": "Europe/Berlin",
    "dst": "once",
    "start_at": "2027-01-01T00:00:00.000Z",
    "end_at": "2028-01-01T00:00:00.000Z",
    "jitter_seconds": 30,
    "working_directory": "/srv",
    "user": "www-data",
    "environment": {"A": "1=2", "B": " spaces ", "C": "two\nlines", "D": '"q"', "E": ""},
    "target": {
        "labels": {"disk": "ssd", "a=b": "c,d"},
        "nodes": ["n1", "n2"],
        "strategy": "hash",
        "every_node": True,
        "on_join": True,
    },
    "overlap": "queue_one",
    "misfire": {"policy": "run_all", "window_seconds": 60, "max_runs": 9, "per_minute": 2},
    "delivery": "at_least_once",
    "timeout_seconds": 900,
    "kill_grace_seconds": 3,
    "retries": {
        "count": 2,
        "delay_seconds": 5,
        "backoff": 1.5,
        "max_delay_seconds": 600,
        "other_node": True,
    },
    "limits": {
        "log_bytes": 2048,
        "on_limit": "kill",
        "memory_bytes": 2**30,
        "processes": 50,
        "open_files": 100,
        "cpu_percent": 150,
    },
    "umask": "027",
    "nice": 5,
    "ionice": "best-effort:6",
    "paused": True,
    "pause_after_failures": 3,
    "retention": {"runs": 10, "days": 30, "bytes": 2**20},
    "after": [
        {"job": "extract", "on": "success"},
        {"job": "load, two", "on": "failure"},
        {"job": "goes on failure", "on": "success"},
        {"job": "goes on always", "on": "always"},
    ],
    "calendars": ["holidays", "with, comma"],
    "locks": ["db", "disk:3"],
    "secrets": ["TOKEN"],
    "notify": {
        "on": ["failure", "late"],
        "channels": ["chat"],
        "too_long_seconds": 600,
        "muted": True,
    },
    "expect_within_seconds": 7200,
}
NOT_IN_THE_FORM: dict[str, str] = {}
"""Fields of a job that the form leaves out, each with its reason."""


def job_fields(kind=JobSpec, path=""):
    for name, annotation in field_types(kind).items():
        if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
            yield from job_fields(annotation, f"{path}{name}.")
        else:
            yield path + name


async def test_every_field_of_a_job_is_in_the_form(office):
    async with visiting(office) as visitor:
        await visitor.sign_in()
        await visitor.office.desk.calendars.put(ADMIN, "holidays", {"dates": ["12-25"]})
        mail = {"kind": "email", "to": ["ops@example.com"]}
        await visitor.office.desk.notifications.put_channel(ADMIN, "chat", mail)
        page = await visitor.text("/jobs/new")
    shown = set(re.findall(r'<(?:input|select|textarea)[^>]* name="([^"]+)"', page))
    assert set(job_fields()) - shown == set(NOT_IN_THE_FORM)
    assert set(job_fields()) - NAMES == set(NOT_IN_THE_FORM)


def test_the_test_of_the_way_through_the_form_changes_every_field():
    usual, full = spec_json(JobSpec(name="-", script="")), spec_json(read_job(FULL))
    for name in job_fields():
        group, _, inner = name.partition(".")
        one, other = usual[group], full[group]
        assert (one[inner] != other[inner]) if inner else (one != other), name


def test_a_job_survives_the_way_through_the_form_and_back():
    spec = read_job(FULL)
    job = spec_json(spec) | {"version": 4}
    typed = typed_from_post(typed_from_job(job).values.items())
    fields = fields_from(typed)
    assert typed.problems == []
    assert read_job(laid_over(job, fields)) == spec
    assert typed.get("version") == "4"


def test_an_untouched_new_form_means_the_defaults():
    fields = fields_from(
        typed_from_post([("name", "a"), ("script", "true"), ("schedule", "@daily")])
    )
    spec = read_job(fields)
    assert spec == read_job({"name": "a", "script": "true", "schedule": "@daily"})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("15m", 900), ("15 min", 900), ("2h", 7200), ("1 d", 86400)],
)
def test_lengths_of_time_may_have_a_unit(text, seconds):
    fields = fields_from(typed_from_post([("timeout_seconds", text)]))
    assert fields["timeout_seconds"] == seconds


def test_what_cannot_be_read_is_named_and_kept():
    typed = typed_from_post(
        [
            ("timeout_seconds", "soon"),
            ("retries.count", "many"),
            ("environment", "A=1\nnonsense"),
            ("target.labels", "disk"),
        ]
    )
    fields_from(typed)
    assert {problem.field for problem in typed.problems} == {
        "timeout_seconds",
        "retries.count",
        "environment",
        "target.labels",
    }
    assert typed.get("timeout_seconds") == "soon"
    assert typed.get("environment") == "A=1\nnonsense"


def test_no_time_limit_is_an_empty_field():
    assert fields_from(typed_from_post([("timeout_seconds", " ")]))["timeout_seconds"] is None


def test_line_breaks_of_a_browser_are_nobodys_windows_file():
    typed = typed_from_post(
        [("script", "#!/bin/sh\r\necho a\r\n"), ("schedule", "@daily\r\n@hourly")]
    )
    assert typed.get("script") == "#!/bin/sh\necho a\n"
    assert fields_from(typed)["schedule"] == ["@daily", "@hourly"]
    assert typed.notes == []


def test_several_boxes_of_one_name_are_a_list():
    typed = typed_from_post([("target.nodes", "n1"), ("target.nodes", "n2"), ("unknown", "x")])
    assert fields_from(typed)["target"]["nodes"] == ["n1", "n2"]
    assert "unknown" not in typed.values


def test_an_uploaded_file_wins_and_its_windows_marks_are_told():
    typed = Typed({"script": "old"})
    take_file(typed, b"\xef\xbb\xbf#!/usr/bin/env python3\r\nprint(1)\r\n", "job.py")
    assert typed.get("script") == "#!/usr/bin/env python3\nprint(1)\n"
    assert typed.notes == [
        "The byte order mark at the start of job.py was removed.",
        "2 Windows line ends (CRLF) of job.py became LF.",
    ]


def test_a_file_with_mixed_line_ends_is_kept_and_told():
    typed = Typed()
    take_file(typed, b"a\r\nb\n", "x.sh")
    assert typed.get("script") == "a\r\nb\n"
    assert "others in LF" in typed.notes[0]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"ok\n\xe4\n", "x.sh is not UTF-8 text: byte 0xe4 in line 2"),
        (b"a\nb\0\n", "x.sh has a NUL byte in line 2"),
    ],
)
def test_a_file_that_is_not_text_is_refused_with_its_line(data, message):
    typed = Typed({"script": "what was typed"})
    take_file(typed, data, "x.sh")
    assert typed.problems == [FieldError("script_file", message)]
    assert typed.get("script") == "what was typed"


def test_errors_go_to_their_fields_in_the_order_of_the_form():
    errors = [
        FieldError("retries.count", "too many"),
        FieldError("environment.1A", "is no name"),
        FieldError("schedule", "hour: 25"),
        FieldError("tags[2]", "too long"),
        FieldError("nowhere.at_all", "odd"),
        FieldError("name", "taken"),
    ]
    sorted_errors = errors_by_field(errors)
    assert sorted_errors == {
        "": ["nowhere.at_all: odd"],
        "name": ["taken"],
        "tags": ["2: too long"],
        "schedule": ["hour: 25"],
        "environment": ["1A: is no name"],
        "retries.count": ["too many"],
    }
    assert list(sorted_errors)[:2] == ["", "name"]
