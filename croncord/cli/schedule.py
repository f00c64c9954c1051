"""`croncord schedule preview`: what an expression will do. Needs no node."""

import argparse
from datetime import datetime
from typing import Any

from croncord.cli.output import Column, say, say_json, say_table
from croncord.cli.parser import Nouns, add_noun, add_verb, at_least_one, instant
from croncord.clock import SystemClock
from croncord.preview import Preview, preview
from croncord.schedule import POLICIES

_MOST = 1000


def add_parser(nouns: Nouns[Any]) -> None:
    """Add the noun `schedule` and its commands."""
    verbs = add_noun(nouns, "schedule", "ask what a schedule means")
    verb = add_verb(
        verbs,
        "preview",
        _preview,
        "show when an expression is due, in words and as times",
        example=(
            "croncord schedule preview '30 2 * * *' --tz Europe/Berlin\n"
            "croncord schedule preview '0 9 * * MON#1' --after 2027-01-01 --count 3 --json"
        ),
    )
    verb.add_argument(
        "expr",
        metavar="EXPR",
        help="5 fields, 6 with the second first, @daily, @every 90s, @at 2027-01-01T00:00:00Z",
    )
    verb.add_argument("--tz", default="UTC", metavar="ZONE", help="IANA time zone; default UTC")
    verb.add_argument(
        "--after", type=instant, metavar="TIME", help="only later times; default: now"
    )
    verb.add_argument(
        "--count", type=_count, default=10, metavar="N", help=f"how many times, up to {_MOST}"
    )
    verb.add_argument(
        "--dst",
        choices=POLICIES,
        default="cron",
        help="what becomes of local times that a clock change skips or repeats; default cron",
    )


def _count(text: str) -> int:
    count = at_least_one(text)
    if count > _MOST:
        raise argparse.ArgumentTypeError(f"at most {_MOST}")
    return count


def _preview(args: argparse.Namespace) -> int:
    after = datetime.fromisoformat(args.after) if args.after else SystemClock().now()
    answer = preview(args.expr, args.tz, after, args.count, args.dst)
    if args.json:
        say_json(answer)
    else:
        _say(answer, args.expr, args.tz)
    return 0


def _say(answer: Preview, expr: str, tz: str) -> None:
    say(f"{answer['description']}.")
    say(f"{expr.strip()}   zone {tz}")
    say()
    columns = [
        Column(f"in {tz}", lambda row: row["local"]),
        Column("zone", lambda row: row["letters"]),
        Column("offset", lambda row: row["offset"]),
        Column("UTC", lambda row: row["utc"]),
    ]
    say_table(columns, _rows(answer), "It is not due any more, or never by itself.")
    for line in answer["notes"]:
        say(f"note: {line}")


def _rows(answer: Preview) -> list[dict[str, Any]]:
    rows = []
    for utc, local, letters in zip(
        answer["times"], answer["local"], answer["zone_letters"], strict=True
    ):
        moment = datetime.fromisoformat(local)
        rows.append(
            {
                "local": f"{moment:%a %Y-%m-%d %H:%M:%S}",
                "letters": letters,
                "offset": local[len("2026-11-24T10:00:00") :],
                "utc": utc.removesuffix(".000Z").replace("T", " "),
            }
        )
    return rows
