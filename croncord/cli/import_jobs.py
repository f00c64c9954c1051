"""`croncord import`: the jobs of Cronicle and Dkron as jobs of the cluster."""

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from croncord.cli import words
from croncord.cli.calling import connected
from croncord.cli.client import Client
from croncord.cli.crontab_files import STANDARD_INPUT
from croncord.cli.imported import ImportedJob, read_found
from croncord.cli.imports import CHANGED, save
from croncord.cli.output import paint, say, say_json
from croncord.cli.parser import Nouns, Verbs, add_noun, add_verb, at_least_one
from croncord.clock import SystemClock
from croncord.errors import ConfigError
from croncord.explain import explain
from croncord.importing import Found, read_cronicle, read_dkron
from croncord.schedule import zone_info

Reader = Callable[..., list[Found]]


def add_parser(nouns: Nouns[Any]) -> None:
    """Add `import` and its verbs."""
    verbs = add_noun(nouns, "import", "turn jobs of Cronicle and Dkron into jobs")
    _add(
        verbs,
        "cronicle",
        read_cronicle,
        "read a Cronicle export and create the jobs that do the same",
        "control.sh export > cronicle.txt\ncroncord import cronicle cronicle.txt --dry-run\n"
        "croncord import cronicle cronicle.txt --tz Europe/Berlin --paused",
    )
    _add(
        verbs,
        "dkron",
        read_dkron,
        "read the jobs of Dkron and create the jobs that do the same",
        "curl http://dkron:8080/v1/jobs > jobs.json\ncroncord import dkron jobs.json --dry-run\n"
        "croncord import dkron jobs.json --paused",
    )


def _add(verbs: Verbs[Any], name: str, reader: Reader, about: str, example: str) -> None:
    verb = add_verb(
        verbs,
        name,
        lambda args: _import(args, reader),
        about,
        example=example,
    )
    verb.add_argument("file", metavar="FILE", help="- is standard input")
    verb.add_argument(
        "--tz",
        default="UTC",
        metavar="ZONE",
        help="of the old servers, for jobs that name no zone; default UTC",
    )
    verb.add_argument("--prefix", default="", metavar="TEXT", help="put before each job's name")
    verb.add_argument(
        "--paused",
        action="store_true",
        help="create them paused: resume them when the old scheduler has stopped",
    )
    verb.add_argument(
        "--count", type=at_least_one, default=3, metavar="N", help="next runs to show; default 3"
    )
    verb.add_argument(
        "--dry-run", action="store_true", help="only show what each becomes, and when it runs"
    )


def _import(args: argparse.Namespace, reader: Reader) -> int:
    zone_info(args.tz)
    found = reader(_read(args.file), name=args.file, timezone=args.tz)
    now = SystemClock().now()
    items = read_found(found, prefix=args.prefix, paused=args.paused, now=now, count=args.count)
    if args.dry_run:
        if args.json:
            say_json([_json(item) for item in items])
        else:
            _say_understood(items)
            say(_count(items))
        return 1 if any(item.refusal for item in items) else 0
    return connected(lambda client, _: _create(client, items, as_json=args.json))(args)


def _read(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == STANDARD_INPUT else Path(file).read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error


async def _create(client: Client, items: list[ImportedJob], *, as_json: bool) -> int:
    if not as_json:
        _say_understood(items)
    await save(client, items)
    if as_json:
        say_json([_json(item) for item in items])
    else:
        _say_outcome(items)
        say(_count(items))
    return 1 if any(item.refusal for item in items) else 0


def _say_understood(items: Sequence[ImportedJob]) -> None:
    for item in items:
        say(paint(words.printable(item.label), "bold"))
        if item.spec is None:
            say(paint(f"  is not imported: {words.printable(item.refusal)}", "red"))
            continue
        for expression in item.spec.schedule:
            when = explain(expression)
            zone = f", {item.spec.timezone}" if expression[0] != "@" else ""
            say(f"  job {item.spec.name}: {expression}{zone} ({when})")
        after = ", ".join(f"{entry.job} ({entry.on})" for entry in item.spec.after)
        if after:
            say(f"  after {words.printable(after)}")
        _say_times(item)
        for remark in item.remarks:
            say(paint(f"  note: {words.printable(remark)}", "yellow"))
    say()


def _say_times(item: ImportedJob) -> None:
    new = _told(item.new)
    if item.old is None:
        say(f"  new runs  {new or 'none by itself'}")
    elif item.old == item.new:
        say(f"  runs      {new or 'none to come'}, old and new alike")
    else:
        say(paint(f"  old runs  {_told(item.old) or 'none to come'}", "yellow"))
        say(paint(f"  new runs  {new or 'none to come'}", "yellow"))


def _told(times: Sequence[datetime]) -> str:
    return ", ".join(f"{moment:%Y-%m-%d %H:%M:%S}Z" for moment in times)


def _say_outcome(items: Sequence[ImportedJob]) -> None:
    for item in items:
        if item.refusal:
            label = words.printable(item.label)
            say(f"{paint('refused      ', 'red')} {label}: {words.printable(item.refusal)}")
        elif item.spec and item.change:
            say(f"{paint(f'{CHANGED[item.change]:<13}', 'green')} {item.spec.name}")


def _count(items: Sequence[ImportedJob]) -> str:
    kept = [item for item in items if item.spec and not item.refusal]
    told = [words.plural(len(kept), "job")]
    changes = [item.change for item in kept if item.change]
    told += [f"{changes.count(kind)} {CHANGED[kind]}" for kind in CHANGED if kind in changes]
    differing = sum(item.old is not None and item.old != item.new for item in kept)
    if differing:
        told.append(f"{differing} with other run times")
    noted = sum(bool(item.remarks) for item in kept)
    if noted:
        told.append(f"{noted} with notes")
    refused = sum(bool(item.refusal) for item in items)
    return f"{', '.join(told)}; {refused} refused."


def _json(item: ImportedJob) -> dict[str, Any]:
    return {
        "old": item.label,
        "job": item.spec.name if item.spec else None,
        "schedule": list(item.spec.schedule) if item.spec else [],
        "timezone": item.spec.timezone if item.spec else None,
        "old_runs": None if item.old is None else [_iso(moment) for moment in item.old],
        "new_runs": [_iso(moment) for moment in item.new],
        "same_runs": None if item.old is None else item.old == item.new,
        "remarks": list(item.remarks),
        "change": item.change,
        "refused": item.refusal or None,
    }


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
