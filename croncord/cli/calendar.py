"""`croncord calendar`: named sets of times that jobs keep to."""

import argparse
from pathlib import Path
from typing import Any

from croncord.cli import words
from croncord.cli.calling import connected
from croncord.cli.client import Client
from croncord.cli.output import Column, say, say_facts, say_json, say_table
from croncord.cli.parser import Nouns, add_noun, add_verb, existing_path
from croncord.cli.wire import path_of
from croncord.errors import ConfigError

_PARTS = ("dates", "weekdays", "times")


def add_parser(nouns: Nouns[Any]) -> None:
    """Add `calendar` and its verbs."""
    verbs = add_noun(nouns, "calendar", "holidays, working hours and other times jobs keep to")
    add_verb(
        verbs,
        "list",
        connected(list_calendars),
        "list the calendars",
        example="croncord calendar list",
    )
    show = add_verb(
        verbs,
        "show",
        connected(show_calendar),
        "show one calendar",
        example="croncord calendar show holidays",
    )
    show.add_argument("calendar", metavar="NAME")
    put = add_verb(
        verbs,
        "set",
        connected(set_calendar),
        "create a calendar, or replace it",
        example=(
            "croncord calendar set holidays --date 12-25 --date 2026-12-28/2026-12-31\n"
            "croncord calendar set office --allowed --weekday mon --weekday tue "
            "--time 09:00-17:00 --tz Europe/Berlin"
        ),
    )
    _add_kind(put)
    put.add_argument("--description", default="")
    put.add_argument("--date", action="append", default=[], dest="dates", metavar="DATE[/DATE]")
    put.add_argument("--weekday", action="append", default=[], dest="weekdays", metavar="DAY")
    put.add_argument("--time", action="append", default=[], dest="times", metavar="FROM-TO")
    load = add_verb(
        verbs,
        "import",
        connected(import_file),
        "create or replace a calendar by the events of an iCalendar file",
        example="croncord calendar import holidays feiertage.ics --tz Europe/Berlin",
    )
    _add_kind(load)
    load.add_argument("file", type=existing_path, metavar="FILE")
    delete = add_verb(
        verbs,
        "delete",
        connected(delete_calendar),
        "delete a calendar that no job names",
        example="croncord calendar delete holidays",
        prints_data=False,
    )
    delete.add_argument("calendar", metavar="NAME")


def _add_kind(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("calendar", metavar="NAME")
    verb.add_argument(
        "--allowed",
        action="store_const",
        const="allowed",
        default="blackout",
        dest="kind",
        help="jobs run in these times only; without it they do not run in them",
    )
    verb.add_argument("--tz", default="UTC", metavar="ZONE", help="default: UTC")


async def list_calendars(client: Client, args: argparse.Namespace) -> None:
    """Print all calendars."""
    calendars = (await client.get(path_of("calendars")))["items"]
    if args.json:
        say_json(calendars)
        return
    columns = [
        Column("NAME", lambda c: words.cell(c["name"])),
        Column("KIND", lambda c: c["kind"]),
        Column("ZONE", lambda c: words.cell(c["timezone"])),
        Column("TIMES", _summary),
        Column("JOBS", lambda c: words.cell(c["jobs"])),
    ]
    say_table(columns, calendars, "There are no calendars yet.")


def _summary(calendar: dict[str, Any]) -> str:
    parts = [words.cell(calendar[name]) for name in _PARTS if calendar[name]]
    if calendar["periods"]:
        parts.append(words.plural(len(calendar["periods"]), "period"))
    return "; ".join(parts)


async def show_calendar(client: Client, args: argparse.Namespace) -> None:
    """Print one calendar."""
    _say(await client.get(path_of("calendars", args.calendar)), as_json=args.json)


def _say(calendar: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        say_json(calendar)
        return
    rule = "do not run in" if calendar["kind"] == "blackout" else "run only in"
    say(f"{words.cell(calendar['name'])}: jobs {rule} these times.")
    facts = [(name, words.cell(calendar[name])) for name in ("description", "timezone", *_PARTS)]
    facts += [("period", f"{p['start']} to {p['end']}") for p in calendar["periods"]]
    say_facts([*facts, ("jobs", words.cell(calendar["jobs"]))])


async def set_calendar(client: Client, args: argparse.Namespace) -> None:
    """Create or replace a calendar from the options."""
    fields = {name: getattr(args, name) for name in ("kind", "description", *_PARTS)}
    fields["timezone"] = args.tz
    _say(await client.put(path_of("calendars", args.calendar), fields), as_json=args.json)


async def import_file(client: Client, args: argparse.Namespace) -> None:
    """Create or replace a calendar from a file."""
    body = {"text": _text_of(args.file), "kind": args.kind, "timezone": args.tz}
    path = path_of("calendars", args.calendar, "import")
    calendar = await client.post(path, body, repeatable=True)
    _say(calendar, as_json=args.json)


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text") from None


async def delete_calendar(client: Client, args: argparse.Namespace) -> None:
    """Delete a calendar."""
    await client.delete(path_of("calendars", args.calendar), {})
    say(f"Deleted {words.cell(args.calendar)}.")
