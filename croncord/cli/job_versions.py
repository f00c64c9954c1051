"""`croncord job versions` and `restore`: what a job was, what changed, and back to it."""

import argparse
from datetime import UTC, datetime
from typing import Any

from croncord.cli import words
from croncord.cli.calling import connected
from croncord.cli.client import Client
from croncord.cli.job_edit import say_saved
from croncord.cli.output import Column, say, say_json, say_table
from croncord.cli.parser import Verbs, add_verb, at_least_one
from croncord.cli.wire import path_of
from croncord.errors import NotFound


def add_verbs_versions_and_restore(verbs: Verbs[Any]) -> None:
    """Add `versions` and `restore`."""
    versions = add_verb(
        verbs,
        "versions",
        connected(show_versions),
        "list what a job was: who changed what, when; or what one version changed",
        example="croncord job versions backup\ncroncord job versions backup 3",
    )
    versions.add_argument("job", metavar="NAME")
    versions.add_argument(
        "version", nargs="?", type=at_least_one, metavar="VERSION", help="show what it changed"
    )
    restore = add_verb(
        verbs,
        "restore",
        connected(restore_version),
        "save an earlier version of a job as its newest one",
        example="croncord job restore backup 3",
    )
    restore.add_argument("job", metavar="NAME")
    restore.add_argument("version", type=at_least_one, metavar="VERSION")


async def show_versions(client: Client, args: argparse.Namespace) -> None:
    """Print the versions that are kept, newest first, or the changes of one."""
    items = (await client.get(path_of("jobs", args.job, "versions")))["items"]
    if args.version is not None:
        found = next((item for item in items if item["version"] == args.version), None)
        if found is None:
            hint = f"Those kept are {', '.join(str(item['version']) for item in items)}."
            raise NotFound(f"version {args.version} is not kept", hint=hint)
        if args.json:
            say_json(found)
        else:
            _say_changes(found, is_oldest=found is items[-1])
    elif args.json:
        say_json(items)
    else:
        now = datetime.now(UTC)
        columns = [
            Column("VERSION", lambda v: str(v["version"]), align="right"),
            Column("SAVED", lambda v: words.relative(v["updated_at"], now)),
            Column("BY", lambda v: words.cell(v["updated_by"])),
            Column("CHANGED", lambda v: words.cell(v["changed"])),
        ]
        say_table(columns, items, "No version is kept.")


def _say_changes(version: dict[str, Any], *, is_oldest: bool) -> None:
    by = words.cell(version["updated_by"])
    say(f"Version {version['version']}, saved {version['updated_at']} by {by}.")
    if not version["diff"]:
        say("The oldest that is kept." if is_oldest else "Nothing was changed.")
    for change in version["diff"]:
        say()
        say(f"{change['field']}:")
        if change["lines"] is not None:
            for line in change["lines"]:
                say(f"  {words.printable(line)}")
        else:
            say(f"  - {words.cell(change['before'])}")
            say(f"  + {words.cell(change['after'])}")


async def restore_version(client: Client, args: argparse.Namespace) -> None:
    """Save an earlier definition again."""
    path = path_of("jobs", args.job, "versions", str(args.version), "restore")
    job = await client.post(path, repeatable=True)
    say_saved(job, f"Restored version {args.version} of", as_json=args.json)
