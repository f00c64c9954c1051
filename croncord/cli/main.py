"""`croncord NOUN VERB`: finds the noun's module, lets it read its arguments, runs the command.

Only the module of the noun asked for is imported, so that each command starts as fast as it can.
The nouns that run a node are above this floor; `croncord.__main__` adds them.
"""

import argparse
import importlib
import io
import os
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from croncord import __version__
from croncord.cli.errors import BROKEN_PIPE, INTERRUPTED, report
from croncord.cli.parser import Handler, Parser, add_connection_options, did_you_mean
from croncord.errors import CronCordError


class Noun(NamedTuple):
    """A noun of the command line: the module whose `add_parser` adds it, and what it is about."""

    module: str
    about: str


Nouns = Mapping[str, Noun]

NOUNS: Nouns = {
    "job": Noun("croncord.cli.job", "create, show, change and start jobs"),
    "run": Noun("croncord.cli.run", "show and end runs, read their output"),
    "calendar": Noun("croncord.cli.calendar", "times that jobs keep to, such as holidays"),
    "schedule": Noun("croncord.cli.schedule", "ask what a schedule means"),
    "crontab": Noun("croncord.cli.crontab", "turn crontabs into jobs"),
    "import": Noun("croncord.cli.import_jobs", "turn jobs of Cronicle and Dkron into jobs"),
    "node": Noun("croncord.cli.node", "show, drain and remove machines"),
    "cluster": Noun(
        "croncord.cli.cluster", "the state of the whole, letting machines in, pausing it"
    ),
    "user": Noun("croncord.cli.user", "people who sign in"),
    "secret": Noun("croncord.cli.secret", "values that jobs are given and nobody is shown"),
    "notification": Noun(
        "croncord.cli.notification", "who is told what about jobs and the cluster"
    ),
    "token": Noun("croncord.cli.token", "keys for programs"),
    "audit": Noun("croncord.cli.audit", "who changed what"),
    "doctor": Noun("croncord.cli.doctor", "find what is wrong, and what to do"),
    "setup-link": Noun("croncord.cli.setup_link", "a new sign-in link for the browser"),
}


def root_parser(nouns: Nouns) -> Parser:
    """Return the parser of what stands before the noun."""
    listed = "\n".join(f"  {name:<14}{noun.about}" for name, noun in nouns.items())
    parser = Parser(
        prog="croncord",
        usage="croncord [--url URL] [--token TOKEN] [--ca FILE] COMMAND …",
        description="A cron for a fleet of machines, with no master to lose.",
        epilog=f"commands:\n{listed}\n\nexample:\n  croncord demo\n  croncord job --help",
    )
    parser.add_argument("--version", action="version", version=f"croncord {__version__}")
    add_connection_options(parser)
    parser.add_argument("noun", metavar="COMMAND", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def noun_parser(noun: Noun) -> Parser:
    """Return the parser of one noun and everything below it."""
    parser = Parser(prog="croncord")
    importlib.import_module(noun.module).add_parser(parser.add_subparsers(dest="noun"))
    return parser


def run_command(arguments: Sequence[str], nouns: Nouns) -> int:
    """Run one command and return its exit status; argument errors raise SystemExit(2)."""
    _never_fail_to_print()
    try:
        status = _run(arguments, nouns)
        sys.stdout.flush()
    except CronCordError as e:
        return report(e)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Who read our output has left. Nothing more can be said, not even while Python exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return status


def _run(arguments: Sequence[str], nouns: Nouns) -> int:
    root = root_parser(nouns)
    args = root.parse_args(arguments)
    if not args.noun:
        root.print_help(sys.stderr)
        return 2
    name = args.noun[0]
    if name not in nouns:
        question = did_you_mean(name, list(nouns)) or "`croncord --help` lists the commands."
        root.exit(2, f"error: there is no command {name!r}\nhint: {question}\n")
    found = noun_parser(nouns[name]).parse_args(args.noun, argparse.Namespace(**vars(args)))
    handler: Handler = found.handler
    return handler(found)


def _never_fail_to_print() -> None:
    """Escape what the terminal's encoding cannot show, instead of failing half-way."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
