import json
import sys
from pathlib import Path

import pytest

from croncord.cli import crontab_files
from croncord.cli.crontab_files import find_crontabs, machine_zone
from croncord.errors import ConfigError

SYSSTAT = """\
# comment
PATH=/usr/lib/sysstat:/usr/bin
MAILTO=root
5-55/10 * * * * root command -v debian-sa1 > /dev/null && debian-sa1 1 1
59 23 * * * root command -v debian-sa1 > /dev/null && debian-sa1 60 2
@reboot root echo started
0 9 * * 1 www-data mail -s weekly ops%Hello%bye
"""


@pytest.fixture
def cron_d(tmp_path):
    directory = tmp_path / "cron.d"
    directory.mkdir()
    (directory / "sysstat").write_text(SYSSTAT)
    (directory / "php.dpkg-old").write_text("* * * * * root old\n")
    (directory / ".placeholder").write_text("")
    return directory


def run_import(croncord, cron_d, *options):
    return croncord("crontab", "import", "--system", str(cron_d), "--tz", "Europe/Berlin", *options)


def test_what_is_understood_is_said_and_done_and_what_is_not_makes_status_1(croncord, node, cron_d):
    status, out, err = run_import(croncord, cron_d)
    assert status == 1
    assert "At 23:59 every day, /bin/sh runs" in out
    assert "Line 6 is not imported: @reboot" in out
    assert "3 jobs (3 created), 1 line refused." in out
    assert "created       sysstat-debian-sa1\n" in out
    assert f"refused       {cron_d}/sysstat, line 6: @reboot" in out
    assert (
        err == f"note: {cron_d}/php.dpkg-old is left out; cron does not read a file of that name\n"
    )
    first = node.job("sysstat-debian-sa1")
    assert first.schedule == ("5-55/10 * * * *",)
    assert (first.user, first.timezone, first.overlap) == ("root", "Europe/Berlin", "allow")
    assert first.environment == {"PATH": "/usr/lib/sysstat:/usr/bin"}
    assert first.script.endswith("command -v debian-sa1 > /dev/null && debian-sa1 1 1\n")
    assert "Hello\nbye\n" in node.job("sysstat-mail-weekly").script


def test_importing_again_finds_everything_there(croncord, node, cron_d):
    run_import(croncord, cron_d)
    _, out, _ = run_import(croncord, cron_d)
    assert "3 jobs (3 there already), 1 line refused." in out
    assert all(job.version == 1 for job in node.state.jobs.values())


def test_what_a_person_added_to_an_imported_job_stays(croncord, node, cron_d):
    run_import(croncord, cron_d)
    croncord("job", "edit", "sysstat-debian-sa1", "--tag", "stats", "--timeout", "60")
    crontab = cron_d / "sysstat"
    crontab.write_text(crontab.read_text().replace("5-55/10", "*/5").replace("PATH", "P"))
    _, out, _ = run_import(croncord, cron_d)
    assert "updated       sysstat-debian-sa1\n" in out
    spec = node.job("sysstat-debian-sa1")
    assert (spec.schedule, spec.environment) == (
        ("*/5 * * * *",),
        {"P": "/usr/lib/sysstat:/usr/bin"},
    )
    assert (spec.tags, spec.timeout_seconds) == (("stats",), 60)


def test_a_job_that_was_not_imported_is_never_replaced(croncord, node, cron_d):
    node.do(node.office.job("sysstat-debian-sa1", script="mine\n"))
    status, out, _ = run_import(croncord, cron_d)
    assert status == 1
    assert "line 4: a job named sysstat-debian-sa1 exists that was not imported" in out
    assert "2 jobs (2 created), 2 lines refused." in out
    assert node.job("sysstat-debian-sa1").script == "mine\n"
    assert run_import(croncord, cron_d, "--prefix", "web1-")[1].count("created       web1-") == 3


def test_a_dry_run_needs_no_node(croncord, node, cron_d, monkeypatch):
    monkeypatch.setenv("CRONCORD_URL", "http://127.0.0.1:1")
    status, out, _ = run_import(croncord, cron_d, "--dry-run")
    assert status == 1
    assert out.endswith("\n3 jobs, 1 line refused.\n")
    assert "    job sysstat-debian-sa1\n" in out
    assert node.state.jobs == {}


def test_a_crontab_without_fault_ends_with_status_0(croncord, tmp_path):
    (tmp_path / "mine").write_text("@daily true\n")
    assert croncord("crontab", "import", str(tmp_path / "mine"), "--tz", "UTC")[0] == 0


def test_the_account_of_the_lines_can_be_json(croncord, cron_d):
    _, out, _ = run_import(croncord, cron_d, "--json")
    lines = {line["line"]: line for line in json.loads(out)}
    assert lines[2]["setting"]
    assert lines[3]["remarks"]
    assert (lines[4]["job"], lines[4]["change"]) == ("sysstat-debian-sa1", "create")
    assert lines[6]["refused"].startswith("@reboot")


def test_a_users_own_crontab_may_come_from_standard_input(croncord, node, tmp_path, monkeypatch):
    (tmp_path / "list").write_text("*/5 * * * * backup.sh\n")
    with (tmp_path / "list").open() as source:
        monkeypatch.setattr(sys, "stdin", source)
        croncord("crontab", "import", "-", "--user", "ada", "--prefix", "ada-", "--tz", "UTC")
    (job,) = node.state.jobs.values()
    assert (job.spec.name, job.spec.user) == ("ada-crontab-backup", "ada")


def test_two_files_of_one_name_do_not_fight_over_a_job(croncord, node, tmp_path):
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "jobs").write_text("@daily backup.sh\n")
    croncord("crontab", "import", str(tmp_path / "a"), str(tmp_path / "b"), "--tz", "UTC")
    assert len(node.state.jobs) == 2


def test_bytes_that_are_no_text_are_refused_and_told_without_breaking_the_terminal(
    croncord, tmp_path
):
    (tmp_path / "odd").write_bytes(b"@daily echo caf\xe9\n@daily echo \x1b[2J\n")
    status, out, _ = croncord("crontab", "import", str(tmp_path / "odd"), "--dry-run")
    assert status == 1
    assert out.count("is not imported") == 2
    assert "\x1b" not in out


def test_a_zone_that_is_none_is_refused_before_anything(croncord, node, cron_d):
    status, out, err = croncord("crontab", "import", str(cron_d), "--tz", "Mars")
    assert (status, out) == (2, "")
    assert "'Mars' is not a known time zone" in err


@pytest.mark.parametrize(
    ("place", "system", "user"),
    [
        ("etc/crontab", True, ""),
        ("etc/cron.d/x", True, ""),
        ("spool/ada", False, "ada"),
        ("home/crontab", False, ""),
    ],
)
def test_the_place_of_a_crontab_says_whether_it_has_a_user_column(
    tmp_path, monkeypatch, place, system, user
):
    monkeypatch.setattr(
        crontab_files, "SYSTEM_FILES", (f"{tmp_path}/etc/crontab", f"{tmp_path}/etc/cron.d")
    )
    monkeypatch.setattr(crontab_files, "_SPOOLS", (f"{tmp_path}/spool",))
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_text("")
    ((crontab,), _) = find_crontabs([str(path)], system=False)
    assert (crontab.system, crontab.user) == (system, user)


@pytest.mark.parametrize(
    ("link", "file", "zone"),
    [
        ("/usr/share/zoneinfo/Europe/Berlin", None, "Europe/Berlin"),
        ("../usr/share/zoneinfo/Etc/UTC", None, "Etc/UTC"),
        (None, "Asia/Tokyo\n", "UTC"),
        ("copy", "Asia/Tokyo\n", "Asia/Tokyo"),
    ],
)
def test_the_zone_of_the_machine_is_found_as_the_system_keeps_it(
    tmp_path, monkeypatch, link, file, zone
):
    localtime, timezone = tmp_path / "localtime", tmp_path / "timezone"
    if link == "copy":
        localtime.write_bytes(b"TZif2")
    elif link:
        localtime.symlink_to(Path(link))
    if file:
        timezone.write_text(file)
    monkeypatch.setattr(crontab_files, "_ZONE_LINK", localtime)
    monkeypatch.setattr(crontab_files, "_ZONE_FILE", timezone)
    assert machine_zone() == zone


def test_a_machine_that_does_not_tell_its_zone_makes_the_person_name_it(tmp_path, monkeypatch):
    (tmp_path / "localtime").write_bytes(b"TZif2")
    monkeypatch.setattr(crontab_files, "_ZONE_LINK", tmp_path / "localtime")
    monkeypatch.setattr(crontab_files, "_ZONE_FILE", tmp_path / "timezone")
    with pytest.raises(ConfigError) as caught:
        machine_zone()
    assert "--tz" in caught.value.hint
