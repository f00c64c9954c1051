"""`croncord node`: the machines."""

import argparse
from datetime import UTC, datetime
from typing import Any

from croncord.cli import words
from croncord.cli.calling import connected
from croncord.cli.client import Client
from croncord.cli.output import Column, say, say_facts, say_json, say_table, state_colour
from croncord.cli.parser import Nouns, add_noun, add_verb, duration
from croncord.cli.wire import path_of

_DOES = {"leader": "leads", "follower": "follows", "observer": "observes"}
_CHANGES = {
    "drain": ("give a machine no new runs", "gets no new runs; what runs there goes on"),
    "undrain": ("give a drained machine runs again", "gets runs again"),
    "remove": (
        "take a machine out of the cluster for good, also one that is dead",
        "is no longer a member; its disk will not be taken back",
    ),
}
_LEVELS = ("debug", "info", "warning", "error", "default")
_FORCE = "also when it has runs in hand: they are lost, or launched elsewhere as their jobs say"


def add_parser(nouns: Nouns[Any]) -> None:
    """Add `node` and its verbs."""
    verbs = add_noun(nouns, "node", "show, drain and remove machines")
    add_verb(verbs, "list", connected(list_nodes), "list machines", example="croncord node list")
    show = add_verb(
        verbs, "show", connected(show_node), "show one machine", example="croncord node show node-2"
    )
    show.add_argument("node", metavar="NAME")
    for name, (about, _) in _CHANGES.items():
        verb = add_verb(
            verbs, name, connected(change_node), about, example=f"croncord node {name} node-2"
        )
        verb.add_argument("node", metavar="NAME")
        if name == "remove":
            verb.add_argument("--force", action="store_true", help=_FORCE)
    level = add_verb(
        verbs,
        "log-level",
        connected(set_log_level),
        "have a machine say more or less about itself, without a restart",
        example="croncord node log-level debug --node node-2 --for 15m",
    )
    level.add_argument("level", metavar="LEVEL", choices=_LEVELS, help=", ".join(_LEVELS))
    level.add_argument("--node", metavar="NAME", help="default: the one that answers")
    level.add_argument(
        "--for",
        dest="for_seconds",
        type=duration,
        metavar="DURATION",
        help="then as before; default: until `croncord node log-level default`",
    )
    leave = add_verb(
        verbs,
        "leave",
        connected(leave_cluster),
        "take the node that answers out of the cluster",
        example="croncord node leave --url http://127.0.0.1:8470",
    )
    leave.add_argument("--force", action="store_true", help=_FORCE)


async def list_nodes(client: Client, args: argparse.Namespace) -> None:
    """Print the machines."""
    nodes = (await client.get(path_of("nodes")))["items"]
    if args.json:
        say_json(nodes)
    else:
        say_nodes(nodes)


def say_nodes(nodes: list[dict[str, Any]]) -> None:
    """Print machines as a table."""
    now = datetime.now(UTC)
    columns = [
        Column("NAME", lambda n: words.cell(n["name"])),
        Column("STATE", lambda n: n["state"], colour=state_colour),
        Column("ROLE", lambda n: words.cell(n["role"])),
        Column("RUNS", lambda n: _number(n.get("running_runs")), align="right"),
        Column("CPU", lambda n: _number(n.get("cpu_percent"), "%"), align="right"),
        Column("MEMORY", lambda n: _share(n.get("memory")), align="right"),
        Column("DISK", lambda n: _share(n.get("disk")), align="right"),
        Column("CLOCK", lambda n: _number(n.get("clock_offset_ms"), " ms"), align="right"),
        Column("SEEN", lambda n: words.relative(n.get("last_seen"), now)),
        Column("HTTP", lambda n: words.cell(n.get("http"))),
        Column("LABELS", lambda n: words.cell(n.get("labels"))),
    ]
    say_table(columns, nodes, "There are no machines yet.")


async def show_node(client: Client, args: argparse.Namespace) -> None:
    """Print one machine."""
    node = await client.get(path_of("nodes", args.node))
    if args.json:
        say_json(node)
        return
    now = datetime.now(UTC)
    state = str(node["state"])
    say(f"{words.cell(node['name'])} is {state} and {_DOES.get(node['role'], node['role'])}.")
    say_facts(
        [
            ("last seen", words.absolute(node.get("last_seen"), now)),
            ("http", words.cell(node.get("http"))),
            ("raft", words.cell(node.get("raft"))),
            ("labels", words.cell(node.get("labels"))),
            ("version", words.cell(node.get("version"))),
            ("runs now", _number(node.get("running_runs"))),
            ("CPU", _number(node.get("cpu_percent"), " %")),
            ("memory", _used(node.get("memory"))),
            ("disk", _used(node.get("disk"))),
            ("clock", _number(node.get("clock_offset_ms"), " ms from the leader's")),
            ("applied index", _number(node.get("applied_index"))),
            ("CPU limits", _cpu_limits(node)),
            ("log level", _log_level(node, now)),
            ("certificate until", words.absolute(node.get("certificate_expires_at"), now)),
        ]
    )


async def set_log_level(client: Client, args: argparse.Namespace) -> None:
    """Set how much a machine says about itself."""
    name = args.node or await _answering(client)
    wanted = {"level": args.level, "for_seconds": args.for_seconds}
    node = await client.put(path_of("nodes", name, "log-level"), wanted)
    if args.json:
        say_json(node)
        return
    now = datetime.now(UTC)
    until = node["log_level_until"]
    level = node["log_level"] or "what its settings say"
    end = f" until {words.absolute(until, now)}" if until else ""
    say(f"The log level of {words.cell(name)} is {level}{end}.")


async def _answering(client: Client) -> str:
    return str((await client.get(path_of("cluster"), {"stale": "allow"}))["node"])


async def leave_cluster(client: Client, args: argparse.Namespace) -> None:
    """Remove the node that is asked, which ends when it is out."""
    name = await _answering(client)
    await _remove(client, name, force=args.force)
    if args.json:
        say_json({"name": name, "state": "left"})
    else:
        say(f"{words.cell(name)} has left the cluster; its process ends.")


async def _remove(client: Client, name: str, *, force: bool) -> None:
    await client.delete(path_of("nodes", name), {"force": "true"} if force else None)


async def change_node(client: Client, args: argparse.Namespace) -> None:
    """Drain, undrain or remove a machine."""
    if args.verb == "remove":
        await _remove(client, args.node, force=args.force)
        node = {"name": args.node, "state": "left"}
    else:
        node = await client.post(path_of("nodes", args.node, args.verb), repeatable=True)
    if args.json:
        say_json(node)
    else:
        say(f"{words.cell(args.node)} {_CHANGES[args.verb][1]}.")


def _number(value: float | None, unit: str = "") -> str:
    return "-" if value is None else f"{value:.0f}{unit}"


def _log_level(node: dict[str, Any], now: datetime) -> str:
    if not node.get("log_level"):
        return "-"
    until = node.get("log_level_until")
    return f"{node['log_level']} until {words.absolute(until, now)}" if until else node["log_level"]


def _cpu_limits(node: dict[str, Any]) -> str:
    if node.get("holds_cpu") is None:
        return "-"
    return "held" if node["holds_cpu"] else f"not held: {words.cell(node.get('groups_lack'))}"


def _share(usage: dict[str, Any] | None) -> str:
    if not usage or not usage.get("total_bytes"):
        return "-"
    return f"{100 * usage['used_bytes'] / usage['total_bytes']:.0f}%"


def _used(usage: dict[str, Any] | None) -> str:
    if not usage or not usage.get("total_bytes"):
        return "-"
    return f"{words.size(usage['used_bytes'])} of {words.size(usage['total_bytes'])}"
