"""`croncord secret`: values that jobs are given and nobody is shown."""

import argparse
import getpass
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from croncord.cli import words
from croncord.cli.calling import connected
from croncord.cli.client import Client
from croncord.cli.output import Column, say, say_json, say_table
from croncord.cli.parser import Nouns, add_noun, add_verb
from croncord.cli.wire import path_of
from croncord.errors import FieldError, Invalid


def add_parser(nouns: Nouns[Any]) -> None:
    """Add `secret` and its verbs."""
    verbs = add_noun(nouns, "secret", "set, list and delete what jobs are given and nobody sees")
    put = add_verb(
        verbs,
        "set",
        connected(set_secret),
        "set a secret or replace it; the value is asked for, or read from a file",
        example=(
            "croncord secret set DB_PASSWORD\n"
            "pass show db | croncord secret set DB_PASSWORD --file - --tag team-a"
        ),
    )
    put.add_argument("name", metavar="NAME", help="the variable that jobs find it in")
    put.add_argument(
        "--file", metavar="FILE|-", help="read the value there; one line end at its end is dropped"
    )
    put.add_argument(
        "--tag",
        action="append",
        default=[],
        dest="tags",
        metavar="TAG",
        help="only for jobs with this tag; may be repeated, any of them will do",
    )
    add_verb(
        verbs,
        "list",
        connected(list_secrets),
        "list secrets by name, and who uses them",
        example="croncord secret list",
    )
    add_verb(
        verbs,
        "reseal",
        connected(reseal),
        "seal all secrets with the cluster secret that is used now",
        example="croncord secret reseal",
    )
    delete = add_verb(
        verbs,
        "delete",
        connected(delete_secret),
        "delete a secret that no job names",
        example="croncord secret delete DB_PASSWORD",
        prints_data=False,
    )
    delete.add_argument("name", metavar="NAME")
    delete.add_argument(
        "--force",
        action="store_true",
        help="also while jobs name it; their runs then fail to start",
    )


async def set_secret(client: Client, args: argparse.Namespace) -> None:
    """Set a secret."""
    body = {"value": read_value(args.file), "tags": args.tags}
    secret = await client.put(path_of("secrets", args.name), body)
    if args.json:
        say_json(secret)
    else:
        say(f"The secret {words.cell(secret['name'])} is set.")


def read_value(source: str | None, prompt: str = "Value: ") -> str:
    """Return the value: from a file, from standard input for `-`, or typed without an echo.

    It is never taken from the command line, which others on the machine can read. Raises Invalid.
    """
    try:
        if source is None and sys.stdin.isatty():
            return getpass.getpass(prompt)
        if source in (None, "-"):
            text = sys.stdin.read()
        else:
            text = Path(source or "").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid([FieldError("value", f"cannot be read: {error}")]) from None
    return text.removesuffix("\n").removesuffix("\r")


async def list_secrets(client: Client, args: argparse.Namespace) -> None:
    """Print the names of secrets."""
    answer = await client.get(path_of("secrets"))
    if args.json:
        say_json(answer)
        return
    now = datetime.now(UTC)
    columns = [
        Column("NAME", lambda s: words.cell(s["name"])),
        Column("FOR", lambda s: words.cell(", ".join(s["tags"])) or "all jobs"),
        Column("USED BY", lambda s: words.cell(", ".join(s["jobs"])) or "-"),
        Column("SET", lambda s: words.relative(s["updated_at"], now)),
        Column("BY", lambda s: words.cell(s["updated_by"])),
        Column("READABLE", lambda s: "yes" if s["is_readable"] else "no, set it again"),
    ]
    say_table(columns, answer["items"], "There are no secrets.")


async def reseal(client: Client, args: argparse.Namespace) -> int:
    """Seal everything anew; returns 1 when something could not be opened."""
    report = await client.post("/api/v1/secrets:reseal", {})
    lost = report["unreadable"]
    if args.json:
        say_json(report)
    else:
        say(
            f"Sealed {report['resealed']} anew; {report['current']} were sealed with the present "
            "secret already."
        )
        for name in lost:
            say(f"Cannot be opened, set it again: {words.cell(name)}")
    return 1 if lost else 0


async def delete_secret(client: Client, args: argparse.Namespace) -> None:
    """Delete a secret."""
    query = {"force": "true"} if args.force else None
    await client.delete(path_of("secrets", args.name), query)
    say(f"Deleted the secret {words.cell(args.name)}.")
