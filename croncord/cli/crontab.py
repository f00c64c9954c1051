"""`croncord crontab import`: crontabs of this machine as jobs of the cluster."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from croncord.cli import words
from croncord.cli.calling import connected
from croncord.cli.client import Client
from croncord.cli.crontab_files import (
    STANDARD_INPUT,
    SYSTEM_FILES,
    find_crontabs,
    machine_zone,
)
from croncord.cli.crontab_lines import ImportedLine, read_lines
from croncord.cli.imports import CHANGED, save
from croncord.cli.output import note, paint, say, say_json
from croncord.cli.parser import Nouns, add_noun, add_verb
from croncord.errors import ConfigError
from croncord.schedule import zone_info


def add_parser(nouns: Nouns[Any]) -> None:
    """Add `crontab` and its verb."""
    verbs = add_noun(nouns, "crontab", "turn crontabs into jobs")
    verb = add_verb(
        verbs,
        "import",
        _import,
        "say what crontabs mean, and create the jobs that do the same",
        example=(
            "croncord crontab import --system --dry-run\n"
            "croncord crontab import /etc/cron.d --tz Europe/Berlin\n"
            "crontab -l | croncord crontab import - --user ada --prefix ada-"
        ),
    )
    verb.add_argument(
        "files",
        nargs="*",
        metavar="FILE|DIR",
        help="crontabs; - is standard input; of a directory the files that cron would read",
    )
    verb.add_argument(
        "--system",
        action="store_true",
        help=f"they have a user column; without a file: {' and '.join(SYSTEM_FILES)}",
    )
    verb.add_argument("--user", default="", metavar="NAME", help="whose crontab it is")
    verb.add_argument("--tz", metavar="ZONE", help="of the times; default: this machine's zone")
    verb.add_argument(
        "--prefix",
        default="",
        metavar="TEXT",
        help="put before each job's name, to tell machines apart",
    )
    verb.add_argument("--dry-run", action="store_true", help="only say what it means")


def _import(args: argparse.Namespace) -> int:
    items = _read(args)
    if not args.dry_run:
        handler = connected(lambda client, _: _create(client, items, as_json=args.json))
        return handler(args)
    if args.json:
        say_json([_json(item) for item in items])
    else:
        _say_understood(items)
        say(_count(items))
    return 1 if any(item.refusal for item in items) else 0


def _read(args: argparse.Namespace) -> list[ImportedLine]:
    files = args.files or (SYSTEM_FILES if args.system else ())
    if not files:
        raise ConfigError("no crontab is named", hint="Give a FILE, or --system for /etc's.")
    for file in files:
        if file != STANDARD_INPUT and not Path(file).exists():
            raise ConfigError(f"{file} does not exist")
    zone = args.tz or machine_zone()
    zone_info(zone)
    crontabs, ignored = find_crontabs(files, system=args.system, user=args.user)
    for path in ignored:
        note(f"note: {words.printable(path)} is left out; cron does not read a file of that name")
    if not args.tz:
        note(f"note: times are read in {zone}, this machine's zone")
    return read_lines(crontabs, timezone=zone, prefix=args.prefix)


async def _create(client: Client, items: list[ImportedLine], *, as_json: bool) -> int:
    if not as_json:
        _say_understood(items)
    await save(client, items)
    if as_json:
        say_json([_json(item) for item in items])
    else:
        _say_outcome(items)
        say(_count(items))
    return 1 if any(item.refusal for item in items) else 0


def _say_understood(items: Sequence[ImportedLine]) -> None:
    file = ""
    for item in items:
        if item.file != file:
            file = item.file
            say(paint(words.printable(file), "bold"))
        colour = "red" if item.refusal else "yellow" if item.remarks else ""
        say(f"  {paint(words.printable(item.sentence), colour)}")
        if item.spec:
            say(f"    job {item.spec.name}")
        elif item.refusal and item.refusal not in item.sentence:
            say(paint(f"    is not imported: {words.printable(item.refusal)}", "red"))
    say()


def _say_outcome(items: Sequence[ImportedLine]) -> None:
    for item in items:
        where = f"{words.printable(item.file)}, line {item.number}"
        if item.refusal:
            say(f"{paint('refused      ', 'red')} {where}: {words.printable(item.refusal)}")
        elif item.spec and item.change:
            say(f"{paint(f'{CHANGED[item.change]:<13}', 'green')} {item.spec.name}")


def _count(items: Sequence[ImportedLine]) -> str:
    refused = sum(bool(item.refusal) for item in items)
    imported = [item for item in items if item.spec and not item.refusal]
    compared = any(item.change for item in imported)
    told = [words.plural(len(imported), "job")]
    if compared:
        changes = [item.change for item in imported]
        kinds = [k for k in CHANGED if k in changes]
        told.append(", ".join(f"{changes.count(k)} {CHANGED[k]}" for k in kinds))
    remarks = sum(bool(item.remarks) for item in imported)
    if remarks:
        told.append(f"{remarks} with remarks")
    summary = told[0] + (f" ({'; '.join(told[1:])})" if told[1:] else "")
    return f"{summary}, {words.plural(refused, 'line')} refused."


def _json(item: ImportedLine) -> dict[str, Any]:
    return {
        "file": item.file,
        "line": item.number,
        "sentence": item.sentence,
        "remarks": list(item.remarks),
        "setting": item.is_setting,
        "job": item.spec.name if item.spec else None,
        "schedule": list(item.spec.schedule) if item.spec else [],
        "change": item.change,
        "refused": item.refusal or None,
    }
