"""`croncord token`: keys for programs."""

import argparse
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from croncord.cli import words
from croncord.cli.calling import connected
from croncord.cli.client import Client
from croncord.cli.output import Column, note, say, say_json, say_table
from croncord.cli.parser import Nouns, add_noun, add_verb, duration
from croncord.cli.wire import path_of
from croncord.errors import Conflict, NotFound
from croncord.model import Role


def add_parser(nouns: Nouns[Any]) -> None:
    """Add `token` and its verbs."""
    verbs = add_noun(nouns, "token", "make, list and revoke keys for programs")
    create = add_verb(
        verbs,
        "create",
        connected(create_token),
        "make a token and print it, this once",
        example="croncord token create deploy --role operator --expires 90d > deploy.token",
    )
    create.add_argument("name", metavar="NAME", help="what it is for")
    create.add_argument("--role", choices=get_args(Role), default="operator")
    create.add_argument("--expires", type=duration, metavar="DURATION", help="default: never")
    add_verb(verbs, "list", connected(list_tokens), "list tokens", example="croncord token list")
    revoke = add_verb(
        verbs,
        "revoke",
        connected(revoke_token),
        "make a token worthless",
        example="croncord token revoke deploy",
        prints_data=False,
    )
    revoke.add_argument("token_ref", metavar="NAME|ID")


async def create_token(client: Client, args: argparse.Namespace) -> None:
    """Print a new token, alone on standard output."""
    body: dict[str, Any] = {"name": args.name, "role": args.role}
    if args.expires is not None:
        body["expires_at"] = (datetime.now(UTC) + timedelta(seconds=args.expires)).isoformat()
    made = await client.post(path_of("tokens"), body)
    if args.json:
        say_json(made)
        return
    say(made["token"])
    note(f"Token {words.cell(made['name'])}, role {made['role']}. It is not shown again.")


async def list_tokens(client: Client, args: argparse.Namespace) -> None:
    """Print what is known of the tokens, which is not the tokens themselves."""
    tokens = await client.get(path_of("tokens"))
    if args.json:
        say_json(tokens)
        return
    now = datetime.now(UTC)
    columns = [
        Column("ID", lambda t: t["id"]),
        Column("NAME", lambda t: words.cell(t["name"])),
        Column("ROLE", lambda t: t["role"]),
        Column("MADE", lambda t: words.relative(t["created_at"], now)),
        Column("BY", lambda t: words.cell(t["created_by"])),
        Column("EXPIRES", lambda t: words.relative(t.get("expires_at"), now).replace("-", "never")),
    ]
    say_table(columns, tokens, "There are no tokens.")


async def revoke_token(client: Client, args: argparse.Namespace) -> None:
    """Revoke a token by its id or its name."""
    tokens = await client.get(path_of("tokens"))
    found = [t for t in tokens if args.token_ref in (t["id"], t["name"])]
    if not found:
        raise NotFound(f"no token is called {args.token_ref!r}", hint="See `croncord token list`.")
    if len(found) > 1:
        raise Conflict(
            f"{len(found)} tokens are called {args.token_ref!r}", hint="Give the id of one."
        )
    await client.delete(path_of("tokens", found[0]["id"]))
    say(f"Revoked {words.cell(found[0]['name'])}.")
