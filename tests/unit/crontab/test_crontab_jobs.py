"""The jobs that the lines of a crontab become."""

import pytest

from croncord.crontab import Entry, Refusal, describe, job_fields, read_crontab
from croncord.schedule import check_schedule
from croncord.validation import read_job

# In the manner of what Debian's packages put into /etc/crontab and /etc/cron.d.
SYSTEM = r"""
# /etc/crontab: the system's own
SHELL=/bin/sh
PATH=/usr/local/sbin:/usr/local/bin:/sbin:/bin:/usr/sbin:/usr/bin

# m h dom mon dow user	command
17 *	* * *	root	cd / && run-parts --report /etc/cron.hourly
25 6	* * *	root	test -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.daily; }
47 6	* * 7	root	test -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.weekly; }
# sysstat
5-55/10 * * * * root command -v activity > /dev/null && activity 1 1
59 23 * * * root command -v activity > /dev/null && activity 60 2
# certbot
0 */12 * * * root test -x /usr/bin/certbot -a \! -d /run/systemd/system && certbot -q renew
# mdadm
57 0 * * 0 root if [ -x /usr/share/mdadm/check ] && [ $(date +\%d) -le 7 ]; then /usr/share/mdadm/check --idle; fi
# php
09,39 *     * * *     root   [ -x /usr/lib/php/sessions ] && if [ ! -d /run/systemd/system ]; then /usr/lib/php/sessions; fi
# e2scrub
30 3 * * 0 root test -e /run/systemd/system || SERVICE_MODE=1 /usr/lib/e2fsprogs/scrub_all
10 3 * * * root test -e /run/systemd/system || SERVICE_MODE=1 /sbin/scrub_all -A -r
# anacron
30 7-23/2 * * *	root	[ -x /etc/init.d/anacron ] && /usr/sbin/invoke-rc.d anacron start >/dev/null
# logrotate
@daily root /usr/sbin/logrotate /etc/logrotate.conf
"""


def test_a_system_crontab_in_debians_manner_is_read_whole():
    lines = read_crontab(SYSTEM, system=True)
    assert not [line for line in lines if isinstance(line, Refusal)]
    found = [line for line in lines if isinstance(line, Entry)]
    assert [(e.schedule, e.user) for e in found] == [
        ("17 * * * *", "root"),
        ("25 6 * * *", "root"),
        ("47 6 * * 7", "root"),
        ("5-55/10 * * * *", "root"),
        ("59 23 * * *", "root"),
        ("0 */12 * * *", "root"),
        ("57 0 * * 0", "root"),
        ("09,39 * * * *", "root"),
        ("30 3 * * 0", "root"),
        ("10 3 * * *", "root"),
        ("30 7-23/2 * * *", "root"),
        ("@daily", "root"),
    ]
    assert found[1].command == (
        "test -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.daily; }"
    )
    assert found[5].command.startswith("test -x /usr/bin/certbot -a \\! -d /run")
    assert "$(date +%d)" in found[6].command
    assert all(e.environment["PATH"].startswith("/usr/local/sbin:") for e in found)
    assert all(e.notes == () for e in found)


def test_jobs_have_the_fields_of_the_api_and_telling_names():
    jobs = [
        job
        for _, job in job_fields(
            read_crontab(SYSTEM, system=True), file="/etc/crontab", timezone="Europe/Berlin"
        )
    ]
    assert [job["name"] for job in jobs] == [
        "crontab-run-parts-cron.hourly",
        "crontab-run-parts-cron.daily",
        "crontab-run-parts-cron.weekly",
        "crontab-activity",
        "crontab-activity-3602",
        "crontab-certbot-renew",
        "crontab-check",
        "crontab-sessions",
        "crontab-scrub_all",
        "crontab-scrub_all-a19a",
        "crontab-invoke-rc.d-anacron",
        "crontab-logrotate-logrotate.conf",
    ]
    assert jobs[0] == {
        "name": "crontab-run-parts-cron.hourly",
        "description": (
            "From /etc/crontab, line 7: "
            "17 *\t* * *\troot\tcd / && run-parts --report /etc/cron.hourly"
        ),
        "schedule": ["17 * * * *"],
        "timezone": "Europe/Berlin",
        "script": "#!/bin/sh\ncd / && run-parts --report /etc/cron.hourly\n",
        "user": "root",
        "environment": {
            "SHELL": "/bin/sh",
            "PATH": "/usr/local/sbin:/usr/local/bin:/sbin:/bin:/usr/sbin:/usr/bin",
        },
        "overlap": "allow",
    }


def test_importing_again_gives_the_same_names_also_when_lines_were_added():
    def names(text):
        found = job_fields(read_crontab(text, system=True), file="jobs", timezone="UTC")
        return {(e.schedule, e.command): job["name"] for e, job in found}

    before = names(SYSTEM)
    assert names(SYSTEM) == before
    after = names("# new\nNEW=1\n" + SYSTEM + "5 5 * * * root activity 3 3\n")
    assert {key: after[key] for key in before} == before
    assert len(set(after.values())) == len(after)


def test_the_fields_are_accepted_as_jobs_and_the_scripts_stay_as_they_are():
    text = SYSTEM + "RANDOM_DELAY=9\nHOME=/srv\n0~30 4 * * 7 www-data cat%a\\%b%c\n"
    for _, fields in job_fields(read_crontab(text, system=True), file="/etc/x", timezone="UTC"):
        job = read_job(fields)
        assert job.script == fields["script"]
        assert job.name == fields["name"]


def test_two_equal_lines_are_two_jobs():
    found = job_fields(read_crontab("* * * * * a\n" * 4, system=False), file="x", timezone="UTC")
    names = [job["name"] for _, job in found]
    assert len(set(names)) == 4
    assert names[0] == "x-a"


def test_a_users_own_crontab_has_no_user_column():
    [(entry, job)] = job_fields(
        read_crontab("30 2 * * * root is here the command\n", system=False),
        file="/var/spool/cron/crontabs/alice",
        timezone="UTC",
        user="alice",
    )
    assert entry.command == "root is here the command"
    assert job["user"] == "alice"
    assert job["name"] == "alice-root-is"


def test_the_shell_of_the_file_runs_the_script():
    [(entry, job)] = job_fields(
        read_crontab("SHELL=/bin/bash\n0 1 * * * [[ -n x ]]%in\n", system=False),
        file="x",
        timezone="UTC",
    )
    assert entry.shell == "/bin/bash"
    assert job["script"] == "#!/bin/bash\nexec <<'CRONTAB_INPUT'\nin\nCRONTAB_INPUT\n[[ -n x ]]\n"
    assert job["environment"] == {"SHELL": "/bin/bash"}


def test_home_is_where_the_job_runs():
    [(_, job)] = job_fields(
        read_crontab("HOME=/srv/app\n0 1 * * * make\n", system=False), file="x", timezone="UTC"
    )
    assert job["working_directory"] == "/srv/app"
    assert job["environment"] == {"HOME": "/srv/app"}


def test_a_zone_in_the_file_goes_before_that_of_the_machine():
    text = "0 1 * * * a\nCRON_TZ=America/New_York\n0 1 * * * b\nTZ=Asia/Tokyo\n0 1 * * * c\n"
    jobs = [j for _, j in job_fields(read_crontab(text, system=False), file="x", timezone="UTC")]
    assert [j["timezone"] for j in jobs] == ["UTC", "America/New_York", "America/New_York"]
    assert [j["environment"] for j in jobs] == [{}, {}, {"TZ": "Asia/Tokyo"}]


def test_cronies_random_delays_become_jitter_and_spread():
    _, entry = read_crontab("RANDOM_DELAY=5\n6~15 1 * * 1-5 a\n", system=False)
    assert entry.jitter_seconds == 300
    assert entry.schedule == "H(6-15) 1 * * 1-5"
    [(_, job)] = job_fields([entry], file="x", timezone="UTC")
    assert job["jitter_seconds"] == 300
    check_schedule(job["schedule"][0], "UTC")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "30 2 * * 1-5 root backup",
            (
                "Line 1: At 02:30 on weekdays, /bin/sh runs `backup` as root, in the user's home "
                "directory."
            ),
        ),
        (
            "CRON_TZ=Asia/Tokyo\nHOME=/srv\nRANDOM_DELAY=5\n@daily bob mail%a%b",
            (
                "Line 4: At 00:00 every day (Asia/Tokyo), up to 5 minutes late, /bin/sh runs `mail` "
                "as bob, in /srv, with 2 lines on its standard input, with HOME set."
            ),
        ),
        ("A = b", "Line 1 sets A to 'b' for the lines below."),
        (
            "LOGNAME=x",
            (
                "Line 1 sets LOGNAME to 'x' for the lines below. (cron sets LOGNAME itself; ignored, "
                "as cron does)"
            ),
        ),
        ("* * * * * root", "Line 1 is not imported: there is no command after the user."),
    ],
)
def test_what_was_understood_is_told_in_words(text, words):
    assert describe(read_crontab(text + "\n", system=True)[-1]) == words
