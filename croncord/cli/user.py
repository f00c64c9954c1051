"""`croncord user`: people who sign in with a password."""

import argparse
import getpass
import sys
from datetime import UTC, datetime
from typing import Any, get_args

from croncord.cli import words
from croncord.cli.calling import connected
from croncord.cli.client import Client
from croncord.cli.output import Column, say, say_json, say_table
from croncord.cli.parser import Nouns, add_noun, add_verb
from croncord.cli.wire import path_of
from croncord.errors import FieldError, Invalid
from croncord.model import Role


def add_parser(nouns: Nouns[Any]) -> None:
    """Add `user` and its verbs."""
    verbs = add_noun(nouns, "user", "add, list and remove people who sign in")
    add = add_verb(
        verbs,
        "add",
        connected(add_user),
        "add a person; the password is asked for, or read from standard input",
        example="croncord user add ada --role operator\npass show ada | croncord user add ada",
    )
    add.add_argument("name", metavar="NAME")
    add.add_argument("--role", choices=get_args(Role), default="operator")
    add_verb(verbs, "list", connected(list_users), "list people", example="croncord user list")
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
    body = {"name": args.name, "password": read_password(), "role": args.role}
    user = await client.post(path_of("users"), body)
    if args.json:
        say_json(user)
    else:
        say(f"Added {words.cell(user['name'])}, role {user['role']}.")


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
    users = await client.get(path_of("users"))
    if args.json:
        say_json(users)
        return
    now = datetime.now(UTC)
    columns = [
        Column("NAME", lambda u: words.cell(u["name"])),
        Column("ROLE", lambda u: u["role"]),
        Column("ADDED", lambda u: words.relative(u["created_at"], now)),
    ]
    say_table(columns, users, "Nobody has a password yet; `croncord setup-link` lets you in.")


async def remove_user(client: Client, args: argparse.Namespace) -> None:
    """Remove a person."""
    await client.delete(path_of("users", args.name))
    say(f"Removed {words.cell(args.name)}.")
