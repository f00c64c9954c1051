"""`croncord setup-link`: a new one-time link that makes an admin in the browser."""

import argparse
from datetime import UTC, datetime
from typing import Any

from croncord.cli import words
from croncord.cli.calling import connected
from croncord.cli.client import Client
from croncord.cli.output import note, say, say_json
from croncord.cli.parser import Nouns, add_verb
from croncord.cli.wire import path_of


def add_parser(nouns: Nouns[Any]) -> None:
    """Add `setup-link`, a command without a verb."""
    add_verb(
        nouns,
        "setup-link",
        connected(make_link),
        "print a new link that sets up an admin in the browser, once",
        example="croncord setup-link",
    )


async def make_link(client: Client, args: argparse.Namespace) -> None:
    """Print a new link, alone on standard output."""
    link = await client.post(path_of("setup-link"))
    if args.json:
        say_json(link)
        return
    say(link["url"])
    note(f"It works once, and expires {words.relative(link['expires_at'], datetime.now(UTC))}.")
