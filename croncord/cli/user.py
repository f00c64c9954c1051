"""`croncord user`: people who sign in with a password."""

import argparse
import getpass
import sys
from datetime import UTC, datetime
from typing import Any

from croncord.cli import words
from croncord.cli.calling import connected
from croncord.cli.client import Client
from croncord.cli.output import Column, say, say_json, say_table
from croncord.cli.parser import Nouns, add_noun, add_verb
from croncord.cli.reach import add_reach_options, reach_fields, reach_words
from croncord.cli.wire import path_of
from croncord.errors import FieldError, Invalid


def add_parser(nouns: Nouns[Any]) -> None:
    """Add `user` and its verbs."""
    verbs = add_noun(nouns, "user", "add, change, list and remove people who sign in")
    add = add_verb(
        verbs,
        "add",
        connected(add_user),
        "add a person; the password is asked for, or read from standard input",
        example="croncord user add ada --role operator\npass show ada | croncord user add ada",
    )
    add.add_argument("name", metavar="NAME")
    add_reach_options(add, role="operator")
    add_verb(verbs, "list", connected(list_users), "list people", example="croncord user list")
    edit = add_verb(
        verbs,
        "edit",
        connected(edit_user),
        "change what a person may, or their password",
        example="croncord user edit ada --tag team-a --tag team-b\ncroncord user edit ada --password",
    )
    edit.add_argument("name", metavar="NAME")
    add_reach_options(edit, role=None)
    edit.add_argument(
        "--password",
        action="store_true",
        help="ask for a new one, or read it from standard input; ends the person's sessions",
    )
    own = add_verb(
        verbs,
        "password",
        connected(change_password),
        "choose another password for yourself; asks for the present one, ends your sessions",
        example="croncord user password ada",
        prints_data=False,
    )
    own.add_argument("name", metavar="NAME", help="who you are")
    sign_out = add_verb(
        verbs,
        "sign-out",
        connected(sign_out_user),
        "end a person's sessions in every browser",
        example="croncord user sign-out ada",
        prints_data=False,
    )
    sign_out.add_argument("name", metavar="NAME")
    remove = add_verb(
        verbs,
        "remove",
        connected(remove_user),
        "remove a person",
        example="croncord user remove ada",
        prints_data=False,
    )
    remove.add_argument("name", metavar="NAME")


async def add_user(client: Client, args: argparse.Namespace) -> None:
    """Add a person."""
    body = {"name": args.name, "password": read_password(), **reach_fields(args)}
    user = await client.post(path_of("users"), body)
    if args.json:
        say_json(user)
    else:
        say(f"Added {words.cell(user['name'])}, role {reach_words(user)}.")


async def edit_user(client: Client, args: argparse.Namespace) -> None:
    """Change a person."""
    body = reach_fields(args)
    if args.role and not args.tags:
        body["grants"] = []
    if args.password:
        body["password"] = read_password()
    if not body:
        raise Invalid([FieldError("", "say what changes: --role, --tag or --password")])
    user = await client.patch(path_of("users", args.name), body)
    if args.json:
        say_json(user)
    else:
        say(f"Changed {words.cell(user['name'])}, role {reach_words(user)}.")


async def change_password(client: Client, args: argparse.Namespace) -> None:
    """Replace a password by who knows it; read from two lines where nobody is at a terminal."""
    if sys.stdin.isatty():
        current = getpass.getpass("Present password: ")
    else:
        current = sys.stdin.readline().rstrip("\r\n")
    body = {"current_password": current, "password": read_password()}
    await client.put(path_of("users", args.name, "password"), body)
    say(f"The password of {words.cell(args.name)} is changed; their sessions have ended.")


async def sign_out_user(client: Client, args: argparse.Namespace) -> None:
    """End all sessions of a person."""
    await client.post(path_of("users", args.name, "sign-out"))
    say(f"{words.cell(args.name)} is signed out everywhere.")


def read_password() -> str:
    """Ask twice on a terminal, else take the first line of standard input.

    Raises Invalid when the two differ or there is nothing.
    """
    if sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        if password != getpass.getpass("Again: "):
            raise Invalid([FieldError("password", "the two are not the same")])
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise Invalid([FieldError("password", "is empty")])
    return password


async def list_users(client: Client, args: argparse.Namespace) -> None:
    """Print the people who may sign in."""
    users = await client.items(path_of("users"))
    if args.json:
        say_json({"items": users, "next_cursor": None, "total": len(users)})
        return
    now = datetime.now(UTC)
    columns = [
        Column("NAME", lambda u: words.cell(u["name"])),
        Column("MAY", lambda u: words.cell(reach_words(u))),
        Column("ADDED", lambda u: words.relative(u["created_at"], now)),
    ]
    say_table(columns, users, "Nobody has a password yet; `croncord setup-link` lets you in.")


async def remove_user(client: Client, args: argparse.Namespace) -> None:
    """Remove a person."""
    await client.delete(path_of("users", args.name))
    say(f"Removed {words.cell(args.name)}.")
