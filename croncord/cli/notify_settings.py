"""`croncord notification settings`: the cluster's own settings, shown and changed."""

import argparse
from typing import Any

from croncord.cli import words
from croncord.cli.calling import connected
from croncord.cli.client import Client
from croncord.cli.output import Column, say_json, say_table
from croncord.cli.parser import Verbs, add_verb, at_least_one, duration
from croncord.cli.secret import read_value
from croncord.cli.wire import path_of
from croncord.notification import JOB_KINDS

_SECURITY = ("starttls", "tls", "none")


def add_settings(verbs: Verbs[Any]) -> None:
    """Add `settings`."""
    verb = add_verb(
        verbs,
        "settings",
        connected(settings),
        "show the cluster's own settings for notifications, or change what is given",
        example=(
            "croncord notification settings\n"
            "croncord notification settings --channel ops-chat --on failure --on recovery\n"
            "croncord notification settings --smtp-host mail.example.com "
            "--smtp-sender cron@example.com\n"
            "croncord notification settings --heartbeat-file beat.url --heartbeat-every 60s"
        ),
    )
    verb.add_argument(
        "--on",
        action="append",
        choices=JOB_KINDS,
        help="what jobs tell that do not say it; repeatable",
    )
    verb.add_argument(
        "--channel",
        action="append",
        dest="channels",
        metavar="NAME",
        help="who is told of jobs that name nobody, and of the cluster itself; repeatable; "
        "none: nobody",
    )
    verb.add_argument(
        "--no-quorum",
        action=argparse.BooleanOptionalAction,
        help="whether a node that sees no majority tells these channels",
    )
    verb.add_argument("--link", metavar="URL", help="where people reach the cluster")
    verb.add_argument("--smtp-host", metavar="HOST")
    verb.add_argument("--smtp-port", type=at_least_one, metavar="PORT")
    verb.add_argument("--smtp-security", choices=_SECURITY)
    verb.add_argument("--smtp-sender", metavar="ADDRESS")
    verb.add_argument("--smtp-username", metavar="NAME")
    verb.add_argument("--smtp-password-file", metavar="FILE|-", help="read the password there")
    verb.add_argument(
        "--heartbeat-file", metavar="FILE|-", help="read the address that the leader calls there"
    )
    verb.add_argument("--heartbeat-every", type=duration, metavar="DURATION")
    verb.add_argument("--no-heartbeat", action="store_true", help="call nobody")


async def settings(client: Client, args: argparse.Namespace) -> None:
    """Change what was given, then print the settings."""
    path = path_of("notifications", "settings")
    shown = await client.get(path)
    changes = _changes(args)
    if changes:
        shown = await client.put(path, _merged(shown, changes))
    if args.json:
        say_json(shown)
        return
    columns = [
        Column("SETTING", lambda row: row["name"]),
        Column("VALUE", lambda row: row["value"]),
    ]
    rows = [{"name": name, "value": value} for name, value in _rows(shown)]
    say_table(columns, rows, "")


def _changes(args: argparse.Namespace) -> dict[str, Any]:
    """Return what the options say, nested as the API has it."""
    channels = args.channels
    smtp = {
        name: getattr(args, f"smtp_{name}")
        for name in ("host", "port", "security", "sender", "username")
    }
    if args.smtp_password_file is not None:
        smtp["password"] = read_value(args.smtp_password_file)
    heartbeat: dict[str, Any] = {"every_seconds": args.heartbeat_every}
    if args.heartbeat_file is not None:
        heartbeat["url"] = read_value(args.heartbeat_file).strip()
    elif args.no_heartbeat:
        heartbeat["url"] = ""
    changes: dict[str, Any] = {
        "on": args.on,
        "channels": [] if channels == ["none"] else channels,
        "no_quorum": args.no_quorum,
        "url": args.link,
        "smtp": _given(smtp),
        "heartbeat": _given(heartbeat),
    }
    return {name: value for name, value in changes.items() if value not in (None, {})}


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _merged(shown: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return the whole settings to be sent: as they are shown, with the changes."""
    fields = {name: shown[name] for name in ("on", "channels", "no_quorum", "url")}
    smtp = {name: value for name, value in shown["smtp"].items() if name != "has_password"}
    heartbeat = {"every_seconds": shown["heartbeat"]["every_seconds"]}
    plain = {name: value for name, value in changes.items() if name in fields}
    return (
        fields
        | plain
        | {
            "smtp": smtp | changes.get("smtp", {}),
            "heartbeat": heartbeat | changes.get("heartbeat", {}),
        }
    )


def _rows(shown: dict[str, Any]) -> list[tuple[str, str]]:
    smtp, heartbeat = shown["smtp"], shown["heartbeat"]
    mail = "none"
    if smtp["host"]:
        user = f", as {smtp['username']}" if smtp["username"] else ""
        mail = f"{smtp['host']}:{smtp['port']} ({smtp['security']}){user}, from {smtp['sender']}"
    beat = "none"
    if heartbeat["shown"]:
        beat = f"{heartbeat['shown']} every {words.span(heartbeat['every_seconds'])}"
    return [
        ("told", words.cell(", ".join(shown["on"])) or "nothing"),
        ("channels", words.cell(", ".join(shown["channels"])) or "none"),
        ("loss of quorum", "told" if shown["no_quorum"] else "not told"),
        ("mail by", words.cell(mail)),
        ("heartbeat", words.cell(beat)),
        ("links to", words.cell(shown["url"]) or "-"),
    ]
