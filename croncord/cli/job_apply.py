"""`croncord job export`, `job apply` and `job schema`: jobs as files, and the cluster made to match them."""

import argparse
import difflib
from collections.abc import Sequence
from typing import Any

import msgspec

from croncord.cli import words
from croncord.cli.calling import connected
from croncord.cli.client import Client
from croncord.cli.jobfile import read_jobs, write_jobs
from croncord.cli.output import ask, can_ask, note, paint, say, say_bytes, say_json
from croncord.cli.parser import Verbs, add_verb, existing_path
from croncord.cli.plan import JobChange, plan
from croncord.cli.saving import save_each
from croncord.cli.wire import path_of
from croncord.job_schema import file_schema, job_schema

_MARKS = {
    "create": ("+", "green"),
    "update": ("~", "yellow"),
    "delete": ("-", "red"),
    "unchanged": ("=", "grey"),
}
_SCRIPT_LINES_MAX = 40


def add_verbs_export_and_apply(verbs: Verbs[Any]) -> None:
    """Add `export`, `apply` and `schema`."""
    export = add_verb(
        verbs,
        "export",
        connected(export_jobs),
        "print jobs as a file that `job apply` reads",
        example="croncord job export > jobs.toml\ncroncord job export backup report --json",
    )
    export.add_argument("jobs", nargs="*", metavar="NAME", help="default: all")
    apply = add_verb(
        verbs,
        "apply",
        connected(apply_jobs),
        "make the cluster's jobs those of a TOML, JSON or YAML file, showing the difference first",
        example="croncord job apply -f jobs.toml --dry-run\ncroncord job apply -f jobs/ --prune",
    )
    apply.add_argument(
        "-f",
        "--file",
        required=True,
        type=existing_path,
        metavar="FILE|DIR",
        help="a file, or a directory of .toml and .json files",
    )
    apply.add_argument("--dry-run", action="store_true", help="only show the difference")
    apply.add_argument("--prune", action="store_true", help="delete jobs that no file describes")
    apply.add_argument("--yes", action="store_true", help="do not ask before deleting")

    schema = add_verb(
        verbs,
        "schema",
        show_schema,
        "print the JSON Schema of a file that `job apply` reads, for editors",
        example="croncord job schema > jobs.schema.json\ncroncord job schema --one",
        prints_data=False,
    )
    schema.add_argument("--one", action="store_true", help="of one job, as the API reads it")


def show_schema(args: argparse.Namespace) -> int:
    """Print the schema; asks no node."""
    say_json(job_schema() if args.one else file_schema())
    return 0


async def export_jobs(client: Client, args: argparse.Namespace) -> None:
    """Print definitions that `apply` reads back."""
    names = args.jobs or [job["name"] for job in await client.items(path_of("jobs"))]
    jobs = [await client.get(path_of("jobs", name)) for name in names]
    say_bytes(write_jobs(jobs, json=args.json).encode())


async def apply_jobs(client: Client, args: argparse.Namespace) -> int:
    """Show what differs from the files and, unless told not to, change it."""
    wanted = read_jobs(args.file)
    current = {job["name"]: job for job in await client.items(path_of("jobs"))}
    changes = plan(wanted, current, prune=args.prune)
    if not args.json:
        for change in changes:
            await _say_change(client, change)
        say(_count(changes))
    steps = [(c.name, _step(client, c)) for c in changes if c.kind != "unchanged"]
    if args.dry_run:
        steps = []
    elif not (args.yes or _may_delete(sum(c.kind == "delete" for c in changes))):
        note("Nothing was changed.")
        return 1
    refused = await save_each("applying", steps)
    for name, error in refused.items():
        note(f"{paint('refused:', 'red')} {words.cell(name)}: {words.printable(error.message)}")
    if args.json:
        say_json([_json(c, refused.get(c.name), done=not args.dry_run) for c in changes])
    elif steps:
        say(f"Done: {len(steps) - len(refused)} of {words.plural(len(steps), 'change')}.")
    return 1 if refused else 0


def _may_delete(jobs: int) -> bool:
    """Ask a person; where there is none, the options were the answer."""
    return not jobs or not can_ask() or ask(f"Delete {words.plural(jobs, 'job')}?")


def _step(client: Client, change: JobChange) -> Any:
    path = path_of("jobs", change.name)
    if change.spec is None:
        return lambda: client.delete(path, if_match=change.version)
    fields = msgspec.to_builtins(change.spec)
    return lambda: client.put(path, fields, if_match=change.version)


def _count(changes: Sequence[JobChange]) -> str:
    kinds = [change.kind for change in changes]
    told = [f"{kinds.count(k)} to {k}" for k in ("create", "update", "delete") if k in kinds]
    same = kinds.count("unchanged")
    return ", ".join([*told, f"{same} unchanged"]) + "."


async def _say_change(client: Client, change: JobChange) -> None:
    if change.kind == "unchanged":
        return
    mark, colour = _MARKS[change.kind]
    say(paint(f"{mark} {change.kind} {words.cell(change.name)}", colour))
    for d in change.differences:
        if d.field == "script" and change.spec is not None:
            job = await client.get(path_of("jobs", change.name))
            _say_script_difference(job["script"], change.spec.script)
        else:
            say(f"    {d.field}: {_shown(d.before)} → {_shown(d.after)}")


def _shown(value: Any) -> str:
    return words.printable(msgspec.json.encode(value).decode())


def _say_script_difference(before: str, after: str) -> None:
    say("    script:")
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=1))[
        2:
    ]
    for line in lines[:_SCRIPT_LINES_MAX]:
        colour = {"+": "green", "-": "red"}.get(line[:1], "")
        say("      " + paint(words.printable(line), colour))
    if len(lines) > _SCRIPT_LINES_MAX:
        say(f"      … and {len(lines) - _SCRIPT_LINES_MAX} more lines")
    if not lines:
        say("      only line ends differ")


def _json(change: JobChange, error: Exception | None, *, done: bool) -> dict[str, Any]:
    return {
        "job": change.name,
        "change": change.kind,
        "differences": [
            {"field": d.field, "before": d.before, "after": d.after} for d in change.differences
        ],
        "done": done and error is None,
        "error": str(error) if error else None,
    }
