"""Crontabs: each line keeps its meaning or is refused with the reason."""

from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croncord.crontab import Assignment, Entry, Refusal, describe, job_fields, read_crontab


def entries(text, *, system=False):
    return [line for line in read_crontab(text, system=system) if isinstance(line, Entry)]


def only(text, *, system=False):
    [line] = read_crontab(text, system=system)
    return line


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("* * * * * cmd # x", "cmd # x"),
        ("  *\t*  * * *   cmd with  blanks  ", "cmd with  blanks  "),
        ("* * * * * FOO=bar cmd", "FOO=bar cmd"),
        ("@daily FOO=bar cmd", "FOO=bar cmd"),
        ("* * * * * echo 'a=b'", "echo 'a=b'"),
        ("@Hourly cmd", "cmd"),
        ("* * * * * echo 100\\%", "echo 100%"),
        ("* * * * * echo \\\\n", "echo \\n"),
        ("* * * * * echo \\n", "echo \\n"),
    ],
)
def test_the_command_is_the_rest_of_the_line(line, command):
    entry = only(line + "\n")
    assert isinstance(entry, Entry)
    assert (entry.command, entry.stdin) == (command, "")


def test_assignments_hold_for_the_lines_below_only():
    first, second, third = entries(
        dedent("""\
        * * * * * a
        FOO = one
        "BAR"='two words '
        * * * * * b
        FOO=
        PATH=$HOME/bin:/bin
        * * * * * c
        """)
    )
    assert first.environment == {}
    assert second.environment == {"FOO": "one", "BAR": "two words "}
    assert third.environment == {"FOO": "", "BAR": "two words ", "PATH": "$HOME/bin:/bin"}


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"),
        ("A = b c ", "b c"),
        ("A='b '", "b "),
        ('A="it\'s"', "it's"),
        ("A=#no comment", "#no comment"),
        ("A=x=y", "x=y"),
        ('A=""', ""),
    ],
)
def test_the_value_of_an_assignment(line, value):
    assert only(line + "\n") == Assignment(1, "A", value)


def test_mail_settings_are_said_to_be_without_effect_and_kept_for_commands_that_use_them():
    setting, plain, using = read_crontab(
        "MAILTO=ops@example.org\n0 1 * * * a\n0 2 * * * report | mail $MAILTO\n", system=False
    )
    assert setting.notes == ("CronCord sends no mail of its own; the output is kept with each run",)
    assert plain.environment == {}
    assert using.environment == {"MAILTO": "ops@example.org"}


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ("-0 1 * * * a\n", ("the leading - only keeps cron from logging the start",)),
        (
            "0 1 * * * a",
            (("the last line does not end with a newline; cron would not load this file"),),
        ),
        ("A=b", ("the last line does not end with a newline; cron would not load this file",)),
        ("0 1 * * * a\r\n", ("the carriage return at the end was removed; cron would pass it on",)),
        ("0 1 * * * " + "a" * 1000 + "\n", ("longer than cron's own limit of 999 characters",)),
        (
            "0 1 * * * a \\\\b\n",
            (("\\\\ is one backslash, as in Debian's cron; cronie would keep both"),),
        ),
        ("LOGNAME=eve\n", ("cron sets LOGNAME itself; ignored, as cron does",)),
        ("TZ=Asia/Tokyo\n", ("TZ is the zone of the command only; the times are not read in it",)),
        ("PATH=$PATH:/x\n", ("cron does not expand $ here, and neither does CronCord",)),
    ],
)
def test_what_is_unusual_is_noted(text, notes):
    assert only(text).notes == notes


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "@reboot a",
            (
                "@reboot runs at the start of one machine; CronCord has no such schedule "
                "yet. Let the machine's own init system run it"
            ),
        ),
        (
            "@sometimes a",
            (
                "@sometimes is not one of @yearly, @annually, @monthly, @weekly, @daily, "
                "@midnight, @hourly"
            ),
        ),
        ("* * * *", "it has fewer than five time columns"),
        ("* * * * *", "there is no command"),
        ("@daily", "there is no command"),
        ("* * * * * %x", "there is no command before the %"),
        ("60 * * * * a", "minute: 60 is not between 0 and 59"),
        ("* * * foo * a", "month: cron does not accept 'foo'"),
        ("* * L * * a", "day of month: cron does not accept 'L'"),
        ("* * * * 1#2 a", "weekday: cron does not accept '1#2'"),
        ("H * * * * a", "minute: cron does not accept 'H'"),
        ("5/10 * * * * a", "minute: cron does not accept '5/10'"),
        ("? * * * * a", "minute: cron does not accept '?'"),
        ("1,,2 * * * * a", "minute: cron does not accept ''"),
        ("*/0 * * * * a", "minute: a step of 0"),
        ("1-9/0 * * * * a", "minute: a step of 0"),
        (
            "0 22-2 * * * a",
            (
                "hour: the range '22-2' falls, so cron never runs it; write two ranges "
                "if it should wrap around"
            ),
        ),
        ("6~15/2 * * * * a", "minute: '6~15/2' draws at random with a step"),
        ("0 0 30 2 * a", "never fires: 30 February does not exist"),
        (
            "* * * * * a \\",
            ("the command ends with a backslash, which in a script would join the next line"),
        ),
        ("* * * * * a%\\", "the standard input after % would not end with a line end"),
        ("* * * * * a\x01b", "it holds bytes that are no UTF-8 text, or control characters"),
        ("* * * * * a\udce9b", "it holds bytes that are no UTF-8 text, or control characters"),
        ("1A=b", "'1A' is not the name of an environment variable"),
        ("A='b", "the quote in the value is not closed"),
        ("A='b' c", "' c' stands after the closing quote"),
        ("SHELL=bash", "SHELL must be the absolute path of a program"),
        ("SHELL=/bin/bash -e", "SHELL must be the absolute path of a program"),
        ("HOME=app", "HOME must be an absolute path"),
        ("CRON_TZ=Berlin", "'Berlin' is not a known time zone; did you mean Europe/Berlin?"),
        ("RANDOM_DELAY=soon", "RANDOM_DELAY must be a number of minutes up to 1440"),
    ],
)
def test_what_cannot_keep_its_meaning_is_refused_with_line_and_reason(text, reason):
    assert read_crontab(f"# first\n{text}\n", system=False) == [Refusal(2, text, reason)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "0 5 * * * /usr/bin/a -x",
            (
                "'/usr/bin/a' stands where a system crontab has the user; a "
                "user's own crontab has no such column"
            ),
        ),
        ("0 5 * * * root", "there is no command after the user"),
        (
            "0 5 * * *",
            (
                "'' stands where a system crontab has the user; a user's own crontab has "
                "no such column"
            ),
        ),
    ],
)
def test_a_system_line_without_user_or_command_is_refused(text, reason):
    assert read_crontab(text + "\n", system=True) == [Refusal(1, text, reason)]


def test_lines_that_depend_on_a_refused_assignment_are_refused_too():
    before, lost, after = read_crontab("* * * * * a\nSHELL=fish\n* * * * * b\n", system=False)
    assert isinstance(before, Entry)
    assert isinstance(lost, Refusal)
    assert after == Refusal(3, "* * * * * b", "line 2, which could not be imported, applies to it")


@given(st.text(max_size=200), st.booleans())
def test_no_text_stops_the_reader(text, system):
    lines = read_crontab(text, system=system)
    for line in lines:
        assert describe(line).startswith("Line ")
    job_fields(lines, file="f", timezone="UTC")


@given(
    st.lists(
        st.sampled_from(
            ["* * * * * a", "A=b", "@daily x%y", "# c", "", "@reboot", "\t", "5 5 5 5 5 q"]
        ),
        max_size=20,
    )
)
def test_every_line_that_is_no_comment_is_accounted_for(given_lines):
    text = "".join(line + "\n" for line in given_lines)
    wanted = [
        i for i, line in enumerate(given_lines, 1) if line.strip() and not line.startswith("#")
    ]
    assert [line.line for line in read_crontab(text, system=False)] == wanted


def test_the_crontab_of_this_machine_can_be_read():
    path = Path("/etc/crontab")
    if not path.exists():
        pytest.skip("this machine has no /etc/crontab")
    lines = read_crontab(path.read_text("utf-8", "surrogateescape"), system=True)
    assert not [line for line in lines if isinstance(line, Refusal)]
