"""`croncord schedule preview` as a person or a program runs it."""

import argparse
import json

import pytest

from croncord.cli.parser import Parser
from croncord.cli.schedule import add_parser
from croncord.errors import ScheduleError


def run(*words):
    parser = Parser(prog="croncord")
    add_parser(parser.add_subparsers(required=True))
    args = parser.parse_args(["schedule", "preview", *words])
    assert isinstance(args, argparse.Namespace)
    return args.handler(args)


def test_a_person_sees_words_then_local_and_utc_times_then_notes(capsys):
    status = run(
        "30 2 * * *", "--tz", "Europe/Berlin", "--after", "2027-03-27T12:00:00Z", "--count", "2"
    )
    assert status == 0
    assert capsys.readouterr().out.splitlines() == [
        "At 02:30 every day.",
        "30 2 * * *   zone Europe/Berlin",
        "",
        "in Europe/Berlin         zone  offset  UTC",
        "Sun 2027-03-28 03:00:00  CEST  +02:00  2027-03-28 01:00:00",
        "Mon 2027-03-29 02:30:00  CEST  +02:00  2027-03-29 00:30:00",
        "note: Sun 28 Mar 2027: 02:30 does not exist in Europe/Berlin: that run starts at 03:00.",
        (
            "note: Sun 31 Oct 2027: 02:30 happens twice in Europe/Berlin: this job runs once, the "
            "first time (CEST)."
        ),
        "note: Sun 26 Mar 2028: 02:30 does not exist in Europe/Berlin: that run starts at 03:00.",
    ]


def test_a_program_gets_the_answer_of_the_api(capsys):
    assert run("@daily", "--after", "2027-01-01", "--count", "1", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "times": ["2027-01-02T00:00:00.000Z"],
        "local": ["2027-01-02T00:00:00+00:00"],
        "zone_letters": ["UTC"],
        "description": "At 00:00 every day",
        "notes": [],
    }


def test_without_after_the_times_follow_now(capsys):
    assert run("* * * * * *", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["times"]) == 10


def test_a_policy_can_be_chosen(capsys):
    after = "2027-03-27T12:00:00Z"
    run("30 2 * * *", "--tz", "Europe/Berlin", "--dst", "skip", "--after", after, "--json")
    assert json.loads(capsys.readouterr().out)["times"][0] == "2027-03-29T00:30:00.000Z"


def test_a_job_that_is_never_due_is_said_to_be_so(capsys):
    assert run("@manual") == 0
    told = capsys.readouterr()
    assert told.out.startswith("Only when started by hand")
    assert told.err == "It is not due any more, or never by itself.\n"


def test_a_wrong_expression_is_an_error_for_the_caller_to_report():
    with pytest.raises(ScheduleError, match="hour: 25 is not between 0 and 23"):
        run("0 25 * * *")


@pytest.mark.parametrize("words", [["--count", "0"], ["--count", "5000"], ["--after", "noon"]])
def test_impossible_options_are_usage_errors(words, capsys):
    with pytest.raises(SystemExit) as caught:
        run("@daily", *words)
    assert caught.value.code == 2
    assert words[0] in capsys.readouterr().err
