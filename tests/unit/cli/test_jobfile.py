import json
import sys
import tomllib

import pytest

from croncord.cli.jobfile import read_jobs, write_jobs
from croncord.errors import ConfigError, Invalid
from croncord.service.views import spec_json
from croncord.validation import read_job


def written(tmp_path, text, name="jobs.toml"):
    path = tmp_path / name
    path.write_bytes(text.encode())
    return path


def test_a_toml_file_holds_many_jobs(tmp_path):
    path = written(
        tmp_path,
        """
        [[jobs]]
        name = "a"
        schedule = "@daily"
        start_at = 2027-01-01T00:00:00Z
        script = '''
        #!/bin/sh
        true
        '''
        [jobs.environment]
        MODE = "fast"
        [[jobs]]
        name = "b"
        script = "false"
        """,
    )
    first, second = read_jobs(path)
    assert (first.name, first.environment, first.start_at.year) == ("a", {"MODE": "fast"}, 2027)
    assert second.schedule == ("@manual",)


def test_yaml_means_what_is_written(tmp_path):
    path = written(
        tmp_path,
        """
        jobs:
          - name: on
            schedule: [30 2 * * *, "@daily"]
            start_at: 2027-01-01T00:00:00Z
            timeout_seconds: 90
            retries: {count: 2, backoff: 1.5}
            umask: 022
            paused: true
            environment: {ANSWER: no, TIME: 22:30, NAME: null-ish}
            after:
              - job: other
                on: failure
            script: |
              #!/bin/sh
              true
        """,
        "jobs.yaml",
    )
    (job,) = read_jobs(path)
    assert (job.name, job.schedule) == ("on", ("30 2 * * *", "@daily"))
    assert (job.start_at.year, job.timeout_seconds, job.umask) == (2027, 90, "022")
    assert (job.retries.count, job.retries.backoff, job.paused) == (2, 1.5, True)
    assert job.environment == {"ANSWER": "no", "TIME": "22:30", "NAME": "null-ish"}
    assert [(it.job, it.on) for it in job.after] == [("other", "failure")]
    assert job.script == "#!/bin/sh\ntrue\n"


def test_without_its_library_yaml_is_refused_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ConfigError, match="PyYAML") as caught:
        read_jobs(written(tmp_path, "jobs: []", "jobs.yaml"))
    assert "croncord[yaml]" in caught.value.hint


@pytest.mark.parametrize(
    "value",
    [
        {"name": "a", "script": "true"},
        [{"name": "a", "script": "true"}],
        {"jobs": [{"name": "a", "script": "true"}]},
    ],
)
def test_json_may_be_one_job_a_list_or_named_jobs(tmp_path, value):
    (job,) = read_jobs(written(tmp_path, json.dumps(value), "jobs.json"))
    assert job.name == "a"


def test_a_script_may_lie_beside_the_file_that_names_it(tmp_path):
    (tmp_path / "backup.sh").write_bytes(b"#!/bin/sh\ntrue\n")
    (job,) = read_jobs(written(tmp_path, 'name = "a"\nscript_file = "backup.sh"\n'))
    assert job.script == "#!/bin/sh\ntrue\n"


def test_a_directory_is_all_its_job_files_in_order_of_name(tmp_path):
    written(tmp_path, 'name = "second"\nscript = "true"', "b.toml")
    written(tmp_path, '{"name": "first", "script": "true"}', "a.json")
    written(tmp_path, "not a job", "README")
    assert [job.name for job in read_jobs(tmp_path)] == ["first", "second"]


def test_all_wrong_fields_of_all_files_are_told_at_once(tmp_path):
    written(tmp_path, 'name = "a"\nscript = "x"\nschedule = "61 * * * *"', "a.toml")
    written(tmp_path, 'name = "b"\nscript = "x"\nshedule = "@daily"\ntimezone = "Mars"', "b.toml")
    with pytest.raises(Invalid) as caught:
        read_jobs(tmp_path)
    assert [e.field for e in caught.value.errors] == [
        "a.toml, a: schedule",
        "b.toml, b: shedule",
        "b.toml, b: timezone",
    ]
    assert "Nothing was changed" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("jobs.yaml", "jobs: [", "is not YAML"),
        ("jobs.yml", "jobs: {}", "describes no jobs"),
        ("jobs.yaml", "name: a\nname: b\n", "'name' stands here twice"),
        ("jobs.yaml", "- !!python/object/apply:os.system [x]", "is not YAML"),
        ("jobs.yaml", "a: *nobody", "is not YAML"),
        ("jobs.yaml", "[" * 400, "is not YAML"),
        ("jobs.yaml", "? [a]\n: b\n", "a name must be text"),
        ("jobs.yaml", "&a [*a]\n", "is not YAML"),
        ("jobs.toml", "jobs = [", "is not TOML"),
        ("jobs.json", "{", "is not JSON"),
        ("jobs.toml", "", "describes no jobs"),
        ("jobs.toml", "[job]\nx = 1", "describes no jobs"),
        ("jobs.json", '{"jobs": [1]}', "describes no jobs"),
        ("jobs.json", "3", "describes no jobs"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path, name, text, said):
    with pytest.raises(ConfigError, match=said):
        read_jobs(written(tmp_path, text, name))


def test_a_file_that_is_not_text_says_why(tmp_path):
    path = tmp_path / "jobs.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not TOML"):
        read_jobs(path)


def test_a_missing_script_file_is_told_by_name(tmp_path):
    with pytest.raises(Invalid, match=r"gone\.sh"):
        read_jobs(written(tmp_path, 'name = "a"\nscript_file = "gone.sh"'))


@pytest.mark.parametrize("as_json", [False, True])
def test_what_is_exported_is_read_back_as_the_same_jobs(tmp_path, as_json):
    specs = [
        read_job({"name": "plain", "script": "true\n"}),
        read_job(
            {
                "name": "full ✓",
                "script": "#!/bin/sh\r\necho '''x'''\nmixed\n",
                "schedule": ["0 3 * * *", "@every 90s"],
                "timezone": "Europe/Berlin",
                "tags": ["a", "b c"],
                "environment": {"A": "1\n2"},
                "target": {"labels": {"rack.unit": "7"}, "nodes": ["n 1"]},
                "start_at": "2027-01-01T00:00:00.250Z",
                "retries": {"count": 2, "backoff": 1.5},
                "timeout_seconds": 60,
                "paused": True,
            }
        ),
    ]
    answers = [spec_json(spec) | {"id": "01", "version": 3, "next_run": None} for spec in specs]
    text = write_jobs(answers, json=as_json)
    assert read_jobs(written(tmp_path, text, "out.json" if as_json else "out.toml")) == specs


def test_an_export_says_only_what_differs_from_the_defaults():
    spec = read_job({"name": "a", "script": "true\n", "retries": {"count": 2}})
    exported = tomllib.loads(write_jobs([spec_json(spec)], json=False))
    assert exported == {
        "jobs": [{"name": "a", "schedule": "@manual", "retries": {"count": 2}, "script": "true\n"}]
    }
