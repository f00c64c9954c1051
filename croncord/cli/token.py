"""`croncord token`: keys for programs."""

import argparse
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from croncord.cli import words
from croncord.cli.calling import connected
from croncord.cli.client import Client
from croncord.cli.output import Column, note, say, say_json, say_table
from croncord.cli.parser import Nouns, add_noun, add_verb, duration
from croncord.cli.reach import add_reach_options, reach_fields, reach_words
from croncord.cli.wire import path_of
from croncord.credentials import Scope
from croncord.errors import Conflict, NotFound


def add_parser(nouns: Nouns[Any]) -> None:
    """Add `token` and its verbs."""
    verbs = add_noun(nouns, "token", "make, list, rotate and revoke keys for programs")
    create = add_verb(
        verbs,
        "create",
        connected(create_token),
        "make a token and print it, this once",
        example="croncord token create deploy --role operator --expires 90d > deploy.token\n"
        "croncord token create ci --tag team-a --scope run --expires 30d",
    )
    create.add_argument("name", metavar="NAME", help="what it is for")
    add_reach_options(create, role="operator")
    create.add_argument(
        "--scope",
        action="append",
        default=[],
        choices=get_args(Scope),
        dest="scopes",
        help="only this of what the role allows; may be repeated",
    )
    create.add_argument("--expires", type=duration, metavar="DURATION", help="default: never")
    add_verb(verbs, "list", connected(list_tokens), "list tokens", example="croncord token list")
    rotate = add_verb(
        verbs,
        "rotate",
        connected(rotate_token),
        "give a token a new secret and print it, this once; the old one is worthless",
        example="croncord token rotate deploy > deploy.token",
    )
    rotate.add_argument("token_ref", metavar="NAME|ID")
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
    body: dict[str, Any] = {"name": args.name, **reach_fields(args)}
    if args.scopes:
        body["scopes"] = args.scopes
    if args.expires is not None:
        body["expires_at"] = (datetime.now(UTC) + timedelta(seconds=args.expires)).isoformat()
    _say_secret(await client.post(path_of("tokens"), body), is_json=args.json)


async def rotate_token(client: Client, args: argparse.Namespace) -> None:
    """Print a token's new secret, alone on standard output."""
    token = await _find(client, args.token_ref)
    made = await client.post(path_of("tokens", token["id"], "rotate"))
    _say_secret(made, is_json=args.json)


def _say_secret(made: dict[str, Any], *, is_json: bool) -> None:
    if is_json:
        say_json(made)
        return
    say(made["token"])
    note(f"Token {words.cell(made['name'])}, role {reach_words(made)}. It is not shown again.")


async def list_tokens(client: Client, args: argparse.Namespace) -> None:
    """Print what is known of the tokens, which is not the tokens themselves."""
    tokens = await client.items(path_of("tokens"))
    if args.json:
        say_json({"items": tokens, "next_cursor": None, "total": len(tokens)})
        return
    now = datetime.now(UTC)
    columns = [
        Column("ID", lambda t: t["id"]),
        Column("NAME", lambda t: words.cell(t["name"])),
        Column("BEGINS", lambda t: words.cell(t["prefix"])),
        Column("MAY", lambda t: words.cell(reach_words(t))),
        Column("MADE", lambda t: words.relative(t["created_at"], now)),
        Column("BY", lambda t: words.cell(t["created_by"])),
        Column("EXPIRES", lambda t: words.relative(t.get("expires_at"), now).replace("-", "never")),
    ]
    say_table(columns, tokens, "There are no tokens.")


async def revoke_token(client: Client, args: argparse.Namespace) -> None:
    """Revoke a token by its id or its name."""
    token = await _find(client, args.token_ref)
    await client.delete(path_of("tokens", token["id"]))
    say(f"Revoked {words.cell(token['name'])}.")


async def _find(client: Client, ref: str) -> dict[str, Any]:
    tokens = await client.items(path_of("tokens"))
    found = [token for token in tokens if ref in (token["id"], token["name"])]
    if not found:
        raise NotFound(f"no token is called {ref!r}", hint="See `croncord token list`.")
    if len(found) > 1:
        raise Conflict(f"{len(found)} tokens are called {ref!r}", hint="Give the id of one.")
    return found[0]
