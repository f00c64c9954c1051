"""`croncord job backfill`: run a job for ticks that lie in the past."""

import argparse
import uuid
from typing import Any

from croncord.cli import words
from croncord.cli.calling import connected
from croncord.cli.client import Client
from croncord.cli.output import Column, say, say_json, say_table
from croncord.cli.parser import Verbs, add_verb, at_least_one, instant
from croncord.cli.wire import path_of
from croncord.errors import FieldError, Invalid


def add_verb_backfill(verbs: Verbs[Any]) -> None:
    """Add `backfill`."""
    verb = add_verb(
        verbs,
        "backfill",
        connected(backfill),
        "run a job for ticks that lie in the past; without times, list what is under way",
        example=(
            "croncord job backfill report --since 2026-11-01 --until 2026-11-08 --max-parallel 2\n"
            "croncord job backfill report\n"
            "croncord job backfill report --cancel 5d0c0d62a1f3b7e4"
        ),
    )
    verb.add_argument("job", metavar="NAME")
    verb.add_argument("--since", type=instant, metavar="TIME", help="the first tick is not earlier")
    verb.add_argument("--until", type=instant, metavar="TIME", help="all ticks are before this")
    verb.add_argument(
        "--max-parallel", type=at_least_one, default=1, metavar="N", help="default: 1"
    )
    verb.add_argument(
        "--dependents", action="store_true", help="also start jobs that run after this one"
    )
    verb.add_argument("--cancel", metavar="ID", help="end what waits of this backfill")
    verb.add_argument("--kill", action="store_true", help="with --cancel, also end what runs")


async def backfill(client: Client, args: argparse.Namespace) -> None:
    """Start, cancel or list."""
    path = path_of("jobs", args.job, "backfill")
    if args.cancel:
        query = {"kill": "true" if args.kill else None}
        await client.delete(path_of("jobs", args.job, "backfill", args.cancel), query)
        say(f"Cancelled {words.cell(args.cancel)}.")
    elif args.since or args.until:
        missing = [name for name in ("since", "until") if getattr(args, name) is None]
        if missing:
            raise Invalid([FieldError(name, "is needed too") for name in missing])
        body = {
            "since": args.since,
            "until": args.until,
            "max_parallel": args.max_parallel,
            "fire_dependents": args.dependents,
            "idempotency_key": uuid.uuid4().hex,
        }
        _say_started(await client.post(path, body, repeatable=True), as_json=args.json)
    else:
        _say_all((await client.get(path))["items"], as_json=args.json)


def _say_started(made: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        say_json(made)
    else:
        say(f"Backfill {made['id']}: {words.plural(made['waiting'] + made['running'], 'run')}.")


def _say_all(found: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        say_json(found)
        return
    columns = [
        Column("BACKFILL", lambda b: words.cell(b["id"])),
        Column("WAITING", lambda b: str(b["waiting"]), align="right"),
        Column("RUNNING", lambda b: str(b["running"]), align="right"),
        Column("FROM", lambda b: words.cell(b["since"])),
        Column("TO", lambda b: words.cell(b["until"])),
    ]
    say_table(columns, found, "No backfill is under way.")
