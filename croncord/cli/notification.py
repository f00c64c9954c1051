"""`croncord notification`: what was told to whom, where notices go, and what the cluster itself tells."""

import argparse
from datetime import UTC, datetime
from typing import Any, get_args

from croncord.cli import words
from croncord.cli.calling import connected
from croncord.cli.client import Client
from croncord.cli.notify_settings import add_settings
from croncord.cli.output import Column, say, say_json, say_table
from croncord.cli.parser import Nouns, Verbs, add_noun, add_verb, at_least_one
from croncord.cli.secret import read_value
from croncord.cli.wire import path_of
from croncord.errors import FieldError, Invalid
from croncord.notification import ChannelKind

_STATES = ("pending", "delivered", "dropped")


def add_parser(nouns: Nouns[Any]) -> None:
    """Add `notification` and its verbs."""
    verbs = add_noun(nouns, "notification", "who is told what about jobs and the cluster")
    listed = add_verb(
        verbs,
        "list",
        connected(list_notifications),
        "list what was told to whom, newest first, and what waits",
        example="croncord notification list --job nightly-backup\n"
        "croncord notification list --state pending --json",
    )
    listed.add_argument("--job", metavar="NAME", help="only about this job")
    listed.add_argument("--state", choices=_STATES, help="only in this state")
    listed.add_argument("--limit", type=at_least_one, default=50, metavar="N")
    _add_channels(verbs)
    add_settings(verbs)


def _add_channels(verbs: Verbs[Any]) -> None:
    add_verb(
        verbs,
        "channels",
        connected(list_channels),
        "list the channels that notices go to",
        example="croncord notification channels",
    )
    put = add_verb(
        verbs,
        "set-channel",
        connected(set_channel),
        "make a channel or replace it; a webhook's address is asked for, or read from a file",
        example=(
            "croncord notification set-channel ops-chat webhook\n"
            "croncord notification set-channel ops-mail email --to ops@example.com\n"
            "croncord notification set-channel pager command --command page-oncall"
        ),
    )
    put.add_argument("name", metavar="NAME")
    put.add_argument("kind", choices=get_args(ChannelKind))
    put.add_argument("--file", metavar="FILE|-", help="read the address of a webhook there")
    put.add_argument(
        "--to", action="append", default=[], metavar="ADDRESS", help="of email; repeatable"
    )
    put.add_argument(
        "--command", default="", metavar="NAME", help="of command: as --notify-command names it"
    )
    delete = add_verb(
        verbs,
        "delete-channel",
        connected(delete_channel),
        "delete a channel that nobody names",
        example="croncord notification delete-channel ops-chat",
        prints_data=False,
    )
    delete.add_argument("name", metavar="NAME")
    test = add_verb(
        verbs,
        "test",
        connected(test_channel),
        "send a notice to a channel to see whether it arrives",
        example="croncord notification test ops-chat",
    )
    test.add_argument("name", metavar="NAME")


async def list_notifications(client: Client, args: argparse.Namespace) -> None:
    """Print deliveries."""
    query = {"job": args.job, "state": args.state, "limit": str(args.limit)}
    answer = await client.get(path_of("notifications"), query)
    if args.json:
        say_json(answer)
        return
    now = datetime.now(UTC)
    columns = [
        Column("WHEN", lambda n: words.relative(n["created_at"], now)),
        Column("WHAT", lambda n: words.cell(n["text"])),
        Column("TO", lambda n: words.cell(n["channel"])),
        Column("STATE", lambda n: n["state"]),
        Column("TRIES", lambda n: str(n["tries"]), align="right"),
        Column("LAST ANSWER", lambda n: words.cell(_last_answer(n)) or "-"),
    ]
    say_table(columns, answer["items"], "Nothing was told.")


def _last_answer(notification: dict[str, Any]) -> str:
    if notification["detail"]:
        return str(notification["detail"])
    attempts = notification["attempts"]
    return str(attempts[-1]["error"] or "taken") if attempts else ""


async def list_channels(client: Client, args: argparse.Namespace) -> None:
    """Print channels."""
    answer = await client.get(path_of("notifications", "channels"))
    if args.json:
        say_json(answer)
        return
    columns = [
        Column("NAME", lambda c: words.cell(c["name"])),
        Column("KIND", lambda c: c["kind"]),
        Column("LEADS TO", lambda c: words.cell(c["shown"])),
        Column("DEFAULT", lambda c: "yes" if c["is_default"] else "-"),
        Column("USED BY", lambda c: words.cell(", ".join(c["jobs"])) or "-"),
        Column("READABLE", lambda c: "yes" if c["is_readable"] else "no, set it again"),
    ]
    say_table(columns, answer["items"], "There are no channels.")


async def set_channel(client: Client, args: argparse.Namespace) -> None:
    """Make a channel or replace it."""
    body: dict[str, Any] = {"kind": args.kind}
    if args.kind == "webhook":
        body["url"] = read_value(args.file, "Address: ").strip()
    elif args.file:
        raise Invalid([FieldError("file", "is for the address of a webhook")])
    if args.to:
        body["to"] = args.to
    if args.command:
        body["command"] = args.command
    channel = await client.put(path_of("notifications", "channels", args.name), body)
    if args.json:
        say_json(channel)
    else:
        say(f"The channel {words.cell(channel['name'])} leads to {words.cell(channel['shown'])}.")


async def delete_channel(client: Client, args: argparse.Namespace) -> None:
    """Delete a channel."""
    await client.delete(path_of("notifications", "channels", args.name))
    say(f"Deleted the channel {words.cell(args.name)}.")


async def test_channel(client: Client, args: argparse.Namespace) -> None:
    """Send a test."""
    made = await client.post(path_of("notifications", "channels", args.name, "test"), {})
    if args.json:
        say_json(made)
    else:
        say(f"A test is on its way to {words.cell(args.name)}; see croncord notification list.")
