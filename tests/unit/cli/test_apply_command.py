import json
import sys
import tomllib

import pytest

TWO_JOBS = """
[[jobs]]
name = "a"
schedule = "0 3 * * *"
script = '''
echo one
echo two
'''
[[jobs]]
name = "b"
script = "true"
"""


@pytest.fixture
def jobs_file(tmp_path):
    path = tmp_path / "jobs.toml"
    path.write_text(TWO_JOBS)
    return path


def test_apply_creates_then_finds_nothing_to_do(croncord, node, jobs_file):
    status, out, _ = croncord("job", "apply", "-f", str(jobs_file))
    assert status == 0
    assert out.splitlines() == [
        "+ create a",
        "+ create b",
        "2 to create, 0 unchanged.",
        "Done: 2 of 2 changes.",
    ]
    assert node.job("a").script == "echo one\necho two\n"
    assert croncord("job", "apply", "-f", str(jobs_file))[1] == "2 unchanged.\n"


def test_apply_shows_what_differs_line_by_line_and_changes_just_that(croncord, node, jobs_file):
    croncord("job", "apply", "-f", str(jobs_file))
    jobs_file.write_text(TWO_JOBS.replace("0 3 * * *", "0 4 * * *").replace("echo two", "echo 2"))
    status, out, _ = croncord("job", "apply", "-f", str(jobs_file))
    assert status == 0
    assert out.splitlines() == [
        "~ update a",
        '    schedule: ["0 3 * * *"] → ["0 4 * * *"]',
        "    script:",
        "      @@ -1,2 +1,2 @@",
        "       echo one",
        "      -echo two",
        "      +echo 2",
        "1 to update, 1 unchanged.",
        "Done: 1 of 1 change.",
    ]
    assert node.job("a").schedule == ("0 4 * * *",)
    assert [job.version for job in node.state.jobs.values()] == [2, 1]


def test_a_dry_run_changes_nothing(croncord, node, jobs_file):
    status, out, _ = croncord("job", "apply", "-f", str(jobs_file), "--dry-run")
    assert (status, out.splitlines()[-1]) == (0, "2 to create, 0 unchanged.")
    assert node.state.jobs == {}


def test_only_prune_deletes(croncord, node, jobs_file):
    node.do(node.office.job("old"))
    croncord("job", "apply", "-f", str(jobs_file))
    assert node.state.job_named("old")
    status, out, _ = croncord("job", "apply", "-f", str(jobs_file), "--prune")
    assert (status, out.splitlines()[0]) == (0, "- delete old")
    assert node.state.job_named("old") is None


def test_nothing_is_changed_when_anything_in_the_files_is_wrong(croncord, node, jobs_file):
    jobs_file.write_text(TWO_JOBS + '[[jobs]]\nname = "c"\nscript = "x"\nschedule = "99 * * * *"\n')
    status, out, err = croncord("job", "apply", "-f", str(jobs_file))
    assert (status, out) == (2, "")
    assert "jobs.toml, c: schedule" in err
    assert node.state.jobs == {}


def test_yaml_is_a_job_file_too(croncord, node, tmp_path):
    file = tmp_path / "jobs.yaml"
    file.write_text("jobs:\n- {name: nightly, schedule: '@daily', script: 'true'}\n")
    status, out, _ = croncord("job", "apply", "-f", str(file))
    assert status == 0, out
    assert node.job("nightly").schedule == ("@daily",)


def test_one_refused_job_does_not_stop_the_others(croncord, node, tmp_path, jobs_file, monkeypatch):
    """The node knows of a conflict that the files do not show: somebody saved in between."""
    croncord("job", "apply", "-f", str(jobs_file))
    real = node.office.desk.jobs.replace

    async def somebody_was_faster(who, ref, fields, *, if_match=None):
        return await real(who, ref, fields, if_match=99 if ref == "a" else if_match)

    monkeypatch.setattr(node.office.desk.jobs, "replace", somebody_was_faster)
    jobs_file.write_text(TWO_JOBS.replace('name = "', 'owner = "ops"\nname = "'))
    status, out, err = croncord("job", "apply", "-f", str(jobs_file))
    assert status == 1
    assert "refused: a: " in err
    assert out.endswith("Done: 1 of 2 changes.\n")
    assert node.job("b").owner == "ops"


def test_the_plan_can_be_json(croncord, jobs_file):
    _, out, _ = croncord("job", "apply", "-f", str(jobs_file), "--dry-run", "--json")
    first, _ = json.loads(out)
    assert first == {
        "job": "a", "change": "create", "differences": [], "done": False, "error": None
    }  # fmt: skip


def test_what_is_exported_applies_as_unchanged(croncord, node, tmp_path):
    node.do(node.office.job("full", schedule=["@daily", "@every 5m"], environment={"A": "1"}))
    node.do(node.office.job("crlf", script="#!/bin/sh\r\necho\nx\n"))
    _, out, _ = croncord("job", "export")
    assert [job["name"] for job in tomllib.loads(out)["jobs"]] == ["crlf", "full"]
    (tmp_path / "jobs.toml").write_bytes(out.encode())
    assert croncord("job", "apply", "-f", str(tmp_path / "jobs.toml"))[1] == "2 unchanged.\n"
    _, out, _ = croncord("job", "export", "full", "--json")
    assert json.loads(out)["jobs"][0]["environment"] == {"A": "1"}


class Terminal:
    """Standard input of a person who answers."""

    def __init__(self, answer):
        self._answer = answer

    def isatty(self):
        return True

    def readline(self):
        return self._answer + "\n"


@pytest.mark.parametrize(("answer", "left"), [("y", 2), ("", 3), ("n", 3)])
def test_a_person_is_asked_before_jobs_are_deleted(
    croncord, node, jobs_file, monkeypatch, answer, left
):
    croncord("job", "apply", "-f", str(jobs_file))
    node.do(node.office.job("old"))
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    status, _, err = croncord("job", "apply", "-f", str(jobs_file), "--prune")
    assert "Delete 1 job? [y/N]" in err
    assert (len(node.state.jobs), status) == (left, 0 if left == 2 else 1)
