import pytest

from croncord.cli.job_fields import dependency


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "backup.sh"
    path.write_text("true\n")
    return str(path)


def test_locks_calendars_dependencies_and_limits_are_set_by_options(croncord, node, script):
    croncord("calendar", "set", "holidays", "--date", "12-25")
    status, _, err = croncord(
        "job", "create", "backup", "--script", script, "--lock", "db", "--lock", "disk:3",
        "--calendar", "holidays", "--after", "dump", "--after", "check:always", "--misfire",
        "run_all", "--misfire-max-runs", "5", "--misfire-per-minute", "2",
        "--pause-after-failures", "3", "--on-join",
    )  # fmt: skip
    assert (status, err) == (0, "")
    spec = node.job("backup")
    assert (spec.locks, spec.calendars) == (("db", "disk:3"), ("holidays",))
    assert [(entry.job, entry.on) for entry in spec.after] == [
        ("dump", "success"),
        ("check", "always"),
    ]
    assert (spec.misfire.max_runs, spec.misfire.per_minute) == (5, 2)
    assert (spec.pause_after_failures, spec.target.on_join) == (3, True)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("dump", {"job": "dump"}),
        ("dump:failure", {"job": "dump", "on": "failure"}),
        ("a:b", {"job": "a:b"}),
        ("a:b:always", {"job": "a:b", "on": "always"}),
    ],
)
def test_a_job_name_may_hold_a_colon(text, meant):
    assert dependency(text) == meant
