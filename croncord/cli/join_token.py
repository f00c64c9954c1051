"""`croncord cluster join-token`: the right to join, and the command that uses it."""

import argparse
from typing import Any, get_args

from croncord.cli import words
from croncord.cli.calling import connected
from croncord.cli.client import Client
from croncord.cli.output import note, say, say_json
from croncord.cli.parser import Verbs, add_verb, at_least_one, duration
from croncord.cli.wire import path_of
from croncord.model import NodeRole


def add_join_token(verbs: Verbs[Any]) -> None:
    """Add the verb `join-token`."""
    verb = add_verb(
        verbs,
        "join-token",
        connected(make_join_token),
        "print, this once, what to run on a machine that is to join",
        example="croncord cluster join-token\n"
        "croncord cluster join-token --expires 1d --uses 5 --role observer",
    )
    verb.add_argument(
        "--expires", type=duration, metavar="DURATION", help="for how long; default 1h"
    )
    verb.add_argument("--uses", type=at_least_one, metavar="N", help="how many machines; default 1")
    verb.add_argument(
        "--role",
        choices=get_args(NodeRole),
        help="auto votes while there are fewer than five voters; default: as the machine asks",
    )


async def make_join_token(client: Client, args: argparse.Namespace) -> None:
    """Print the command for the new machine, alone on standard output."""
    body: dict[str, Any] = {"role": args.role, "uses": args.uses, "expires_seconds": args.expires}
    wanted = {key: value for key, value in body.items() if value is not None}
    made = await client.post(path_of("cluster", "join-token"), wanted)
    if args.json:
        say_json(made)
        return
    say(made["command"])
    machines = words.plural(made["uses"], "machine")
    note(f"Good for {machines} until {made['expires_at']}. The token is not shown again.")
