"""What may be saved as a job, and what people are told when it may not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croncord.errors import Invalid
from croncord.model import SCRIPT_BYTES_MAX, Misfire, Retries, Target
from croncord.service.views import spec_json
from croncord.validation import decode_script, read_job, tidy_script

GOOD = {"name": "backup", "script": "true\n"}


def refused(**fields):
    with pytest.raises(Invalid) as caught:
        read_job({**GOOD, **fields})
    return {error.field: error.message for error in caught.value.errors}


WRONG = [
    ({"name": ""}, "name", "is empty"),
    ({"name": "a/b"}, "name", "must not contain `/` or control characters"),
    ({"name": "a\nb"}, "name", "must not contain `/` or control characters"),
    ({"name": "x" * 129}, "name", "is 129 characters long; at most 128 are allowed"),
    ({"name": 7}, "name", "must be text"),
    ({"name": " a"}, "name", "must not begin or end with a space"),
    ({"name": ".."}, "name", "must not be `.` or `..`"),
    ({"name": "a\u202eb"}, "name", "U+202E"),
    ({"name": "a\u0085b"}, "name", "U+0085"),
    ({"script": ""}, "script", "is empty"),
    ({"script": " \n\n"}, "script", "is empty"),
    ({"script": "a\n\0"}, "script", "line 2 holds a NUL character"),
    ({"script": "x" * (SCRIPT_BYTES_MAX + 1)}, "script", "at most 1048576 are allowed"),
    ({"script": None}, "script", "must be text"),
    ({"schedule": "61 * * * *"}, "schedule", "minute: 61 is not between 0 and 59"),
    ({"schedule": "* 25 * * *"}, "schedule", "hour: 25 is not between 0 and 23"),
    ({"schedule": "0 0 30 2 *"}, "schedule", "30 February"),
    ({"schedule": ""}, "schedule", "is empty"),
    ({"schedule": []}, "schedule", "write 1 to 20"),
    ({"schedule": ["* * * * *"] * 21}, "schedule", "write 1 to 20"),
    ({"schedule": {}}, "schedule", "must be one expression or a list of them"),
    ({"schedule": ["* * * * *", "nope"]}, "schedule", "'nope': "),
    ({"schedule": [5]}, "schedule", "must be text"),
    ({"schedule": "@reboot"}, "schedule", "@reboot is an event on one machine"),
    ({"schedule": "x" * 257}, "schedule", "at most 256"),
    ({"timezone": "Mars/Base"}, "timezone", "not a known time zone"),
    ({"timezone": "localtime"}, "timezone", "something else on every machine"),
    ({"timezone": 3}, "timezone", "must be text"),
    ({"dst": "maybe"}, "dst", "'maybe' is not one of cron, once, skip, every"),
    ({"start_at": "2027-01-01T00:00:00"}, "start_at", "has no offset from UTC"),
    ({"start_at": "soon"}, "start_at", "must be a time such as"),
    ({"end_at": "0001-01-01T00:00:00Z"}, "end_at", "the year must be from 1971 to 2198"),
    ({"tags": ["a"] * 51}, "tags", "has 51 entries; at most 50 are allowed"),
    ({"tags": [""]}, "tags", "is empty"),
    ({"tags": "prod"}, "tags", "must be a list"),
    ({"jitter_seconds": -1}, "jitter_seconds", "must be a whole number from 0 to 86400"),
    ({"jitter_seconds": True}, "jitter_seconds", "must be a whole number"),
    ({"jitter_seconds": 1.5}, "jitter_seconds", "must be a whole number"),
    ({"working_directory": "data"}, "working_directory", "must be an absolute path"),
    ({"working_directory": "/a\0b"}, "working_directory", "NUL"),
    ({"user": "a b"}, "user", "must be the name of a user"),
    ({"user": "root;id"}, "user", "must be the name of a user"),
    ({"environment": {"1A": "x"}}, "environment.1A", "must be letters, digits and underscores"),
    ({"environment": {"A": 1}}, "environment.A", "must be text"),
    ({"environment": {"A": "x\0"}}, "environment.A", "NUL"),
    ({"environment": {"CRONCORD_JOB": "x"}}, "environment.CRONCORD_JOB", "set by CronCord"),
    ({"environment": {"A": "é" * 65_535}}, "environment.A", "at most 32768 are allowed"),
    ({"environment": {"A": "🎈" * 32_768}}, "environment.A", "at most 131071 are allowed"),
    (
        {"environment": {f"A{n}": "x" * 32_000 for n in range(20)}},
        "environment",
        "at most 524288 are allowed",
    ),
    ({"environment": {f"A{n}": "" for n in range(501)}}, "environment", "at most 500"),
    ({"environment": ["A=1"]}, "environment", "must be an object of names and values"),
    ({"target": "n1"}, "target", "must be an object with named fields"),
    ({"target": {"nodes": ["a/b"]}}, "target.nodes", "must not contain `/`"),
    ({"target": {"label": {}}}, "target.label", "unknown field; did you mean labels?"),
    ({"target": {"strategy": "best"}}, "target.strategy", "not one of least_loaded, spread"),
    ({"overlap": "skp"}, "overlap", "is not one of skip, queue_one"),
    ({"misfire": {"policy": "all"}}, "misfire.policy", "not one of skip, run_once, run_all"),
    ({"delivery": "once"}, "delivery", "not one of at_most_once, at_least_once"),
    ({"timeout_seconds": 0}, "timeout_seconds", "must be a whole number from 1 to"),
    ({"timeout_seconds": "60"}, "timeout_seconds", "must be a whole number"),
    ({"kill_grace_seconds": 3601}, "kill_grace_seconds", "from 0 to 3600"),
    ({"retries": {"count": 101}}, "retries.count", "from 0 to 100"),
    ({"retries": {"backoff": 0.5}}, "retries.backoff", "must be a number from 1 to 10"),
    ({"retries": {"delay_seconds": 7200}}, "retries.max_delay_seconds", "is less than"),
    ({"limits": {"log_bytes": 1}}, "limits.log_bytes", "from 1024 to"),
    ({"limits": {"cpu_percent": 0}}, "limits.cpu_percent", "from 1 to 100000"),
    ({"limits": {"memory_bytes": 1}}, "limits.memory_bytes", "from 1048576"),
    ({"umask": "0888"}, "umask", "octal"),
    ({"ionice": "realtime"}, "ionice", "best-effort"),
    ({"locks": ["a b"]}, "locks", "must be a name of letters"),
    ({"locks": ["db:0"]}, "locks", "must be a name of letters"),
    ({"locks": ["db", "db:3"]}, "locks", "names db twice"),
    ({"after": [{"on": "success"}]}, "after.job", "is required"),
    ({"after": [{"job": "a", "on": "often"}]}, "after.on", "is not one of"),
    ({"retention": {"days": 0}}, "retention.days", "from 1 to"),
    ({"misfire": {"max_runs": 0}}, "misfire.max_runs", "from 1 to 1000"),
    ({"pause_after_failures": 0}, "pause_after_failures", "from 1 to 1000"),
    ({"secrets": ["a-b"]}, "secrets", "not beginning with a digit"),
    ({"secrets": ["KEY"], "environment": {"KEY": "v"}}, "secrets", "variable of `environment` too"),
    ({"paused": "yes"}, "paused", "must be true or false"),
    ({"shedule": "* * * * *"}, "shedule", "unknown field; did you mean schedule?"),
    ({"zzz": 1}, "zzz", "unknown field"),
    (
        {"start_at": "2027-01-02T00:00:00Z", "end_at": "2027-01-01T00:00:00Z"},
        "end_at",
        "must be after start_at",
    ),
]


@pytest.mark.parametrize(("fields", "field", "message"), WRONG, ids=lambda v: str(v)[:40])
def test_a_wrong_field_is_named_with_what_would_be_right(fields, field, message):
    told = refused(**fields)
    assert list(told) == [field]
    assert message in told[field]


def test_a_missing_field_is_named():
    with pytest.raises(Invalid) as caught:
        read_job({})
    assert {e.field: e.message for e in caught.value.errors} == {
        "name": "is required",
        "script": "is required",
    }


def test_all_wrong_fields_are_told_at_once():
    told = refused(
        name="a/b", schedule="99 * * * *", timezone="Nowhere", retries={"count": -1}, tags=[1]
    )
    assert set(told) == {"name", "schedule", "timezone", "retries.count", "tags"}


def test_a_million_wrong_fields_make_a_short_answer():
    assert len(refused(**{f"field{n}": n for n in range(10_000)})) <= 51


def test_a_wrong_zone_is_told_once_and_the_expressions_are_still_checked():
    told = refused(schedule=["* * * * *", "99 * * * *"], timezone="Nowhere")
    assert set(told) == {"timezone", "schedule"}
    assert told["schedule"] == "'99 * * * *': minute: 99 is not between 0 and 59"


def test_a_schedule_may_be_one_string_or_a_list():
    assert read_job({**GOOD, "schedule": " 5 4 * * * "}).schedule == ("5 4 * * *",)
    assert read_job({**GOOD, "schedule": ["@daily", "@hourly"]}).schedule == ("@daily", "@hourly")
    assert read_job(GOOD).schedule == ("@manual",)


def test_times_are_kept_in_utc_with_milliseconds():
    spec = read_job({**GOOD, "start_at": "2027-01-01T01:00:00.123456+01:00"})
    assert spec.start_at.isoformat() == "2027-01-01T00:00:00.123000+00:00"


def test_fields_that_the_cluster_adds_may_be_sent_back_and_change_nothing():
    assert read_job({**GOOD, "id": "x", "version": 7, "last_run": None}) == read_job(GOOD)


def test_a_tag_counts_once():
    assert read_job({**GOOD, "tags": ["a", "b", "a"]}).tags == ("a", "b")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("a\r\nb\r\n", "a\nb\n"),
        ("a\r\nb", "a\nb"),
        ("\ufeff#!/bin/sh\r\n", "#!/bin/sh\n"),
        ("a\r\nb\n", "a\r\nb\n"),
        ("a\rb\n", "a\rb\n"),
        ("a", "a"),
    ],
)
def test_windows_line_ends_are_turned_unless_somebody_mixed_them(sent, kept):
    assert tidy_script(sent) == kept


def test_a_script_that_is_not_utf8_is_refused_with_the_byte_and_a_way_out():
    with pytest.raises(Invalid, match="byte 3 is not UTF-8") as caught:
        decode_script(b"ab\xff")
    assert "iconv" in caught.value.hint
    with pytest.raises(Invalid, match="bytes long"):
        decode_script(b"x" * (2 * SCRIPT_BYTES_MAX + 1))


names = st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=128)


@given(
    name=names,
    description=st.text(st.characters(codec="utf-8"), max_size=100),
    schedule=st.lists(
        st.sampled_from(["* * * * *", "@daily", "@every 90s", "@manual"]), min_size=1
    ),
    environment=st.dictionaries(st.from_regex(r"[A-B_][A-B0-9_]{0,8}", fullmatch=True), names),
    target=st.builds(Target, nodes=st.lists(names, max_size=3).map(tuple)),
    retries=st.builds(Retries, count=st.integers(0, 100), backoff=st.floats(1, 10)),
    misfire=st.builds(Misfire, window_seconds=st.integers(0, 366 * 86400)),
)
def test_what_the_api_shows_can_be_sent_back_unchanged(
    name, description, schedule, environment, target, retries, misfire
):
    spec = read_job(
        {
            **GOOD,
            "name": name,
            "description": description,
            "schedule": schedule[:20],
            "environment": environment,
        }
    )
    spec = type(spec)(
        **{f: getattr(spec, f) for f in spec.__struct_fields__}
        | {"target": target, "retries": retries, "misfire": misfire}
    )
    assert read_job(spec_json(spec)) == spec
