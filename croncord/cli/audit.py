"""`croncord audit`: who changed what."""

import argparse
from typing import Any

from croncord.cli import words
from croncord.cli.calling import connected
from croncord.cli.client import Client
from croncord.cli.output import Column, note, say_bytes, say_json, say_table
from croncord.cli.parser import Nouns, add_verb, at_least_one, instant
from croncord.cli.wire import path_of

_SHOWN = 50
_PAGE = 1000
_QUIET_SECONDS = 60.0
_FILTERS = ("since", "until", "by", "subject", "action")


def add_parser(nouns: Nouns[Any]) -> None:
    """Add `audit`, a command without a verb."""
    audit = add_verb(
        nouns,
        "audit",
        connected(show_audit),
        "who changed what, when and from where, the newest first",
        example=(
            "croncord audit --since 2026-11-01 --by ada\n"
            "croncord audit --subject job:backup\n"
            "croncord audit --export csv > audit.csv"
        ),
    )
    audit.add_argument("--since", type=instant, metavar="TIME", help="from here on")
    audit.add_argument("--until", type=instant, metavar="TIME", help="before this")
    audit.add_argument("--by", metavar="WHO", help="user:ada, token:ci, or only the name")
    audit.add_argument("--subject", metavar="WHAT", help="job:backup, user:ada, or only the name")
    audit.add_argument("--action", metavar="ACTION", help="job.edit, or only job")
    audit.add_argument(
        "--limit",
        type=at_least_one,
        default=_SHOWN,
        metavar="N",
        help=f"how many; default {_SHOWN}",
    )
    audit.add_argument(
        "--export", choices=("ndjson", "csv"), help="print everything that matches in this format"
    )


async def show_audit(client: Client, args: argparse.Namespace) -> None:
    """Print entries."""
    query = {name: getattr(args, name) for name in _FILTERS}
    if args.export:
        opened = client.stream(
            path_of("audit"),
            {**query, "format": args.export},
            headers={},
            quiet_seconds=_QUIET_SECONDS,
        )
        async with opened as body:
            async for data in body:
                say_bytes(data)
        return
    items: list[dict[str, Any]] = []
    cursor = ""
    while True:
        limit = min(_PAGE, args.limit - len(items))
        page = await client.get(
            path_of("audit"), {**query, "limit": limit, "cursor": cursor or None}
        )
        items += page["items"]
        cursor = page["next_cursor"] or ""
        if not cursor or len(items) >= args.limit:
            break
    if args.json:
        say_json({"items": items, "next_cursor": cursor or None})
        return
    columns = [
        Column("TIME", lambda e: e["at"].partition(".")[0] + "Z"),
        Column("WHO", lambda e: words.cell(e["by"]) or "-"),
        Column("FROM", lambda e: words.cell(e["from"]) or "-"),
        Column("ACTION", lambda e: words.cell(e["action"])),
        Column("SUBJECT", lambda e: words.cell(e["subject"])),
        Column("WHAT", _what),
    ]
    say_table(columns, items, "Nothing that matches was changed.")
    if cursor:
        note(f"There is more; see --limit and --export. Shown: {len(items)}.")


def _what(entry: dict[str, Any]) -> str:
    refused = "" if entry["outcome"] == "done" else f"refused: {entry['outcome']}"
    return words.cell("; ".join(filter(None, (refused, entry["detail"])))) or "-"
