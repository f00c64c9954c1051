"""`croncord cluster label-limit`: how many runs all machines with a label may have at once."""

import argparse
from typing import Any

from croncord.cli import words
from croncord.cli.calling import connected
from croncord.cli.client import Client
from croncord.cli.output import Column, say_json, say_table
from croncord.cli.parser import Verbs, add_verb, whole_number
from croncord.cli.wire import path_of
from croncord.errors import FieldError, Invalid


def add_label_limit(verbs: Verbs[Any]) -> None:
    """Add `label-limit`."""
    verb = add_verb(
        verbs,
        "label-limit",
        connected(label_limit),
        "list, set or remove how many runs all machines with a label may have at once",
        example=(
            "croncord cluster label-limit\n"
            "croncord cluster label-limit gpu=a100 4\n"
            "croncord cluster label-limit gpu=a100 --remove"
        ),
    )
    verb.add_argument("label", nargs="?", metavar="KEY=VALUE")
    verb.add_argument("limit", nargs="?", type=whole_number, metavar="N")
    verb.add_argument("--remove", action="store_true", help="the label has no limit any more")


async def label_limit(client: Client, args: argparse.Namespace) -> None:
    """Change a limit if one was named, then print them all."""
    path = path_of("cluster", "label-limits")
    answer = await client.get(path)
    if args.label is not None:
        limits = dict(answer["limits"])
        if args.remove and args.limit is None:
            if limits.pop(args.label, None) is None:
                raise Invalid([FieldError("label", f"{args.label!r} has no limit")])
        elif args.limit is not None and not args.remove:
            limits[args.label] = args.limit
        else:
            raise Invalid([FieldError("limit", "give a number, or --remove, and not both")])
        answer = await client.put(path, {"limits": limits})
    elif args.remove:
        raise Invalid([FieldError("label", "is needed with --remove")])
    if args.json:
        say_json(answer)
        return
    columns = [
        Column("LABEL", lambda item: words.cell(item["label"])),
        Column("RUNS AT ONCE", lambda item: str(item["limit"]), align="right"),
    ]
    rows = [{"label": label, "limit": n} for label, n in sorted(answer["limits"].items())]
    say_table(columns, rows, "No label has a limit.")
