"""`croncord import` with files as Cronicle and Dkron write them."""

import json
from pathlib import Path

import pytest

from croncord.__main__ import main

FILES = Path(__file__).parents[2] / "data" / "import"
CRONICLE, DKRON = str(FILES / "cronicle.txt"), str(FILES / "dkron.json")


@pytest.fixture
def dry_run(capfd):
    """Run an import that asks no node; returns its exit status and what it printed."""

    def run(verb, file, *options):
        status = main(["import", verb, str(file), "--dry-run", *options])
        return status, *capfd.readouterr()

    return run


def test_a_dry_run_shows_old_and_new_runs_and_why_something_is_refused(dry_run):
    status, out, _ = dry_run("cronicle", CRONICLE)
    assert status == 1
    assert "  job Nightly backup: 30 2 * * *, Europe/Berlin (At 02:30 every day)" in out
    assert "old and new alike" in out
    assert "First weekday\n  is not imported: it asks for days of the month and weekdays" in out
    assert "Fetch a page\n  is not imported: it runs the plugin urlplug" in out
    assert "note: notify_fail (ops@example.net) is not taken over" in out
    assert "5 jobs, 3 with notes; 2 refused." in out


def test_events_of_cronicle_become_jobs_that_do_the_same(croncord, node):
    assert croncord("import", "cronicle", CRONICLE)[0] == 1
    backup = node.job("Nightly backup")
    assert backup.schedule == ("30 2 * * *",)
    assert (backup.timezone, backup.dst) == ("Europe/Berlin", "every")
    assert (backup.overlap, backup.misfire.policy) == ("skip", "skip")
    assert (backup.timeout_seconds, backup.retries.count, backup.retries.delay_seconds) == (
        3600,
        2,
        60,
    )
    assert backup.target.labels == {"group": "Databases"}
    assert backup.target.strategy == "spread"
    assert backup.tags == ("Backups",)
    assert backup.description == "From Cronicle, event e1: Keep seven days."
    assert backup.script.startswith("#!/bin/bash\npg_dumpall")
    report = node.job("Report")
    assert report.paused
    assert report.schedule == ("@manual",)
    assert [(entry.job, entry.on) for entry in report.after] == [("Nightly backup", "success")]
    alarm = node.job("Nightly backup-e9")
    assert [(entry.job, entry.on) for entry in alarm.after] == [("Nightly backup", "failure")]
    hours = node.job("Business hours")
    assert hours.schedule == ("0,15,30,45 9-17 * * 1-5",)
    assert (hours.overlap, hours.locks) == ("allow", ("Business-hours:3",))
    assert hours.target.nodes == ("cron1.example.net",)
    once = node.job("Only 2027")
    assert f"{once.start_at:%Y-%m-%d %H:%M}" == "2026-12-31 15:00"
    assert once.target.every_node
    assert once.misfire.policy == "run_all"
    assert once.limits.on_limit == "kill"


def test_importing_again_changes_nothing_and_keeps_what_a_person_has_set(croncord, node):
    croncord("import", "cronicle", CRONICLE, "--paused")
    croncord("job", "resume", "Business hours")
    croncord("job", "edit", "Business hours", "--nice", "5")
    _, out, _ = croncord("import", "cronicle", CRONICLE, "--paused")
    assert "5 jobs, 5 there already" in out
    assert not node.job("Business hours").paused
    assert node.job("Business hours").nice == 5


def test_jobs_of_dkron_become_jobs_that_do_the_same(croncord, node):
    assert croncord("import", "dkron", DKRON)[0] == 1
    backup = node.job("backup")
    assert (backup.schedule, backup.timezone) == (("30 2 * * *",), "Europe/Berlin")
    assert backup.environment == {"PGUSER": "postgres", "LANG": "C"}
    assert (backup.working_directory, backup.timeout_seconds) == ("/srv", 5400)
    assert (backup.overlap, backup.retries.count) == ("skip", 2)
    assert (backup.target.labels, backup.target.every_node) == ({"role": "db"}, False)
    assert backup.owner == "Ops <ops@example.net>"
    report = node.job("report")
    assert report.script == "#!/bin/sh\nexec /usr/bin/report --to 'a b'\n"
    assert [(entry.job, entry.on) for entry in report.after] == [("backup", "success")]
    everywhere = node.job("everywhere")
    assert everywhere.target.every_node
    assert everywhere.paused
    assert everywhere.schedule == ("@every 5410s",)
    assert node.job("either").schedule == ("0 6 1,15 * mon-fri",)
    assert node.job("until").end_at is not None


def test_what_dkron_does_and_we_cannot_is_refused_by_name(dry_run):
    status, out, _ = dry_run("dkron", DKRON, "--json")
    assert status == 1
    items = {item["old"]: item for item in json.loads(out)}
    refused = {name: item["refused"] for name, item in items.items() if item["refused"]}
    assert refused == {
        "steps": "in '0 0 6 */2 * MON' a day of the month or a weekday is enough; here a field that "
        "begins with * makes both necessary. Write its numbers out",
        "page": "its executor is http; only shell is imported",
        "after-page": "it runs after page, which is not imported",
        "two": "it runs on 2 of the nodes with its tags; here on one or on all",
        "payload": "its executor_config has payload, which cannot be kept",
    }
    assert items["backup"]["same_runs"] is True
    assert items["either"]["same_runs"] is True
    assert items["once"]["old_runs"] == items["once"]["new_runs"] == ["2027-01-01T07:00:00.000Z"]
    assert items["spread"]["old_runs"] is None
    assert any("processor files" in remark for remark in items["backup"]["remarks"])


def test_a_job_of_the_same_name_that_was_not_imported_is_left_alone(croncord, node):
    node.do(node.office.job("backup"))
    _, out, _ = croncord("import", "dkron", DKRON)
    assert "refused       backup: a job named backup exists that was not imported" in out
    assert node.job("backup").script == "true\n"


@pytest.mark.parametrize(
    ("verb", "text", "words"),
    [
        ("cronicle", "hello\n", "holds no events of Cronicle"),
        ("cronicle", '{"rows": [', "is not JSON"),
        ("dkron", '[{"id": 1}]', "holds no jobs of Dkron"),
        ("dkron", "nope", "is not JSON"),
    ],
)
def test_a_file_of_something_else_is_refused(dry_run, tmp_path, verb, text, words):
    file = tmp_path / "file"
    file.write_text(text)
    status, _, err = dry_run(verb, file)
    assert status == 2
    assert words in err
