"""What is wrong with the arguments is told with exit status 2, before any node is asked."""

import argparse
import subprocess
import sys

import pytest

from croncord import __version__
from croncord.__main__ import NOUNS, main
from croncord.cli import parser
from croncord.cli.main import noun_parser

CREATE = ["job", "create", "a", "--script", "-"]

WRONG = [
    ([], "commands:"),
    (["jobs", "list"], "Did you mean `job`?"),
    (["frobnicate"], "`croncord --help` lists the commands"),
    (["--nope"], "unrecognized arguments: --nope"),
    (["job"], "the following arguments are required: COMMAND"),
    (["job", "lst"], "Did you mean `list`?"),
    (["job", "list", "--jsn"], "Did you mean `--json`?"),
    (["job", "list", "--js"], "unrecognized arguments: --js"),
    (["job", "list", "--limit", "0"], "'0' is not a whole number from 1 on"),
    (["job", "list", "--limit", "many"], "'many' is not a whole number"),
    (["job", "show"], "required: NAME"),
    (["job", "create", "a"], "required: --script"),
    (["job", "create", "--script", "x"], "required: NAME"),
    ([*CREATE, "--env", "NOVALUE"], "'NOVALUE' is not KEY=VALUE"),
    ([*CREATE, "--label", "=x"], "'=x' is not KEY=VALUE"),
    ([*CREATE, "--timeout", "soon"], "'soon' is not a duration such as 90s, 5m or 1h30m"),
    ([*CREATE, "--timeout", "-5"], "'-5' is not a duration"),
    ([*CREATE, "--overlap", "skp"], "Did you mean `skip`?"),
    ([*CREATE, "--dst", "never"], "invalid choice: 'never'"),
    ([*CREATE, "--start-at", "tomorrow"], "is not a time such as 2027-01-01T00:00:00Z"),
    ([*CREATE, "--start-at", "2027-01-01T00:00"], "names no zone"),
    (["job", "apply"], "required: -f/--file"),
    (["job", "apply", "-f", "/nowhere.toml"], "'/nowhere.toml' does not exist"),
    (["job", "run", "a", "--env", "X"], "'X' is not KEY=VALUE"),
    (["run", "list", "--state", "faild"], "Did you mean `failed`?"),
    (["run", "list", "--since", "yesterday"], "is not a time"),
    (["run", "kill", "r", "--grace", "x"], "is not a duration"),
    (["run", "log"], "required: RUN"),
    (["run", "log", "r", "--tail", "-1"], "'-1' is not a whole number from 0 on"),
    (["node", "drain"], "required: NAME"),
    (["token", "create", "a", "--role", "root"], "invalid choice: 'root'"),
    (["user", "add"], "required: NAME"),
    (["crontab", "import"], "hint: Give a FILE"),
    (["crontab", "import", "/nowhere"], "/nowhere does not exist"),
    (["schedule", "preview"], "required: EXPR"),
]


@pytest.mark.parametrize(
    ("arguments", "said"), WRONG, ids=lambda v: " ".join(v) if isinstance(v, list) else ""
)
def test_wrong_arguments_end_with_status_2_and_say_why(arguments, said, capsys):
    try:
        status = main(arguments)
    except SystemExit as end:
        status = end.code
    assert status == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


ASKS_NO_NODE = (["schedule", "preview"], ["cluster", "recover"], ["cluster", "restore"])


def commands():
    """Every command of the tree: its words, and its parser."""
    for noun in NOUNS:
        if noun in ("serve", "demo"):
            continue
        yield from below([noun], noun_parser(NOUNS[noun]))


def below(words, tree):
    (nouns,) = (a for a in tree._actions if isinstance(a, argparse._SubParsersAction))
    found = nouns.choices[words[-1]]
    deeper = [a for a in found._actions if isinstance(a, argparse._SubParsersAction)]
    if not deeper:
        yield words, found
    for action in deeper:
        for verb in action.choices:
            yield from below([*words, verb], found)


@pytest.mark.parametrize(
    ("words", "command"), list(commands()), ids=lambda v: " ".join(v) if isinstance(v, list) else ""
)
def test_every_command_has_help_with_an_example_of_itself_that_is_right(words, command, tmp_path):
    text = command.format_help()
    assert f"croncord {' '.join(words)}" in command.epilog
    assert command.description
    assert "None" not in text
    assert "--url" in text or words in ASKS_NO_NODE


@pytest.mark.parametrize(
    "arguments", [["--url", "U", "job", "list"], ["job", "list", "--url", "U"]]
)
def test_the_connection_may_be_named_before_the_noun_or_after_the_verb(arguments, capsys):
    assert main(arguments) == 2
    assert "'U' is not the address of a node" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("5m", 300), ("1h30m", 5400), ("2d", 172800), ("1w1d", 691200)],
)
def test_durations_are_written_as_people_write_them(text, seconds):
    assert parser.duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2027-01-01", "2027-01-01T00:00:00.000Z"),
        ("2027-01-01T01:00:00+01:00", "2027-01-01T00:00:00.000Z"),
        ("2027-01-01T00:00:00.5Z", "2027-01-01T00:00:00.500Z"),
    ],
)
def test_times_are_sent_in_utc(text, utc):
    assert parser.instant(text) == utc


def croncord(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "croncord", *arguments], capture_output=True, text=True, check=False
    )


def test_the_program_tells_its_version():
    assert croncord("--version").stdout == f"croncord {__version__}\n"


def test_the_programs_help_lists_every_noun():
    shown = croncord("--help")
    assert shown.returncode == 0
    assert all(f"  {noun} " in shown.stdout for noun in NOUNS)


def test_a_commands_help_is_on_standard_output():
    shown = croncord("job", "create", "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "croncord job create backup --schedule" in shown.stdout


def test_a_command_of_another_noun_does_not_load_the_http_client():
    code = (
        "import sys; from croncord.__main__ import main; main(['schedule', 'preview', '@daily']); "
        "assert 'aiohttp' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
