"""`croncord cluster`: the cluster as a whole."""

import argparse
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from croncord.cli import words
from croncord.cli.backup import add_backup
from croncord.cli.calling import connected
from croncord.cli.client import Client
from croncord.cli.init_tls import add_init_tls
from croncord.cli.join_token import add_join_token
from croncord.cli.label_limit import add_label_limit
from croncord.cli.node import say_nodes
from croncord.cli.output import Column, paint, say, say_facts, say_json, say_table
from croncord.cli.parser import Nouns, Verbs, add_noun, add_verb
from croncord.cli.wire import path_of
from croncord.errors import NoLeader

_CHANGES = {
    "pause": ("launch nothing until it is resumed", "Paused: nothing is launched until resumed."),
    "resume": ("launch again after a pause", "Resumed: what is due is launched again."),
    "transfer-leader": ("let another node lead", "The leader hands over to another node."),
}


def add_parser(nouns: Nouns[Any]) -> Verbs[Any]:
    """Add `cluster` and its verbs; returns where further ones go."""
    verbs = add_noun(nouns, "cluster", "the state of the whole, pausing it, changing the leader")
    add_verb(
        verbs,
        "status",
        connected(show_status),
        "say how the cluster is; exit status 3 when it has no leader",
        example="croncord cluster status --url http://10.0.0.1:8470,http://10.0.0.2:8470",
    )
    for name, (about, _) in _CHANGES.items():
        add_verb(verbs, name, connected(change_cluster), about, example=f"croncord cluster {name}")
    add_backup(verbs)
    add_join_token(verbs)
    add_label_limit(verbs)
    add_init_tls(verbs)
    return verbs


async def show_status(client: Client, args: argparse.Namespace) -> int:
    """Print one sentence, then the figures and the machines."""
    cluster = await client.get(path_of("cluster"))
    if args.json:
        say_json(cluster)
    else:
        sentence, colour = status_sentence(cluster)
        say(paint(sentence, colour))
        say(quorum_words(cluster))
        say_facts(
            [
                ("leader", words.cell(cluster.get("leader"))),
                ("term", words.cell(cluster.get("term"))),
                ("agreed", words.cell(cluster.get("commit_index"))),
                ("quorum", words.cell(cluster.get("quorum"))),
                ("version", words.cell(cluster.get("version"))),
            ]
        )
        say_catch_up(cluster.get("catch_up", []))
        say()
        say_nodes(cluster["nodes"])
    return 0 if has_leader(cluster) else NoLeader.exit_code


def say_catch_up(jobs: list[dict[str, Any]]) -> None:
    """Say which missed ticks are about to be launched, if any."""
    if not jobs:
        return
    now = datetime.now(UTC)
    columns = [
        Column("CATCHING UP", lambda j: words.cell(j["job"])),
        Column("MISSED SINCE", lambda j: words.relative(j["oldest"], now)),
        Column("TICKS", lambda j: str(j["undecided"]), align="right"),
        Column("TO LAUNCH", lambda j: str(j["launches"]), align="right"),
        Column("WAITING", lambda j: str(j["waiting"]), align="right"),
    ]
    say()
    say_table(columns, jobs, "")


def has_leader(cluster: Mapping[str, Any]) -> bool:
    """Whether anything can be agreed: somebody leads, and a majority follows."""
    return bool(cluster["leader"] and cluster["quorum"])


def status_sentence(cluster: Mapping[str, Any]) -> tuple[str, str]:
    """Return how the cluster is, and the colour of that."""
    nodes = cluster["nodes"]
    down = [words.cell(n["name"]) for n in nodes if n["state"] == "down"]
    up = f"{len(nodes) - len(down)} of {words.plural(len(nodes), 'node')} up"
    leader = cluster.get("leader")
    if not has_leader(cluster):
        return f"No leader ({up}): nothing is launched and nothing can be changed.", "red"
    if cluster.get("paused"):
        return f"Paused: {words.cell(leader)} leads, {up}, and nothing is launched.", "yellow"
    if down:
        verb = "is" if len(down) == 1 else "are"
        return f"{', '.join(down)} {verb} down; {words.cell(leader)} leads, {up}.", "yellow"
    spare = cluster.get("survives")
    may_fail = "" if spare is None else f", {spare or 'none'} may fail"
    return f"All is well: {words.cell(leader)} leads, {up}{may_fail}.", "green"


def quorum_words(cluster: Mapping[str, Any]) -> str:
    """Say in words who votes, what a majority is, and how many may fail."""
    voters, majority = cluster["voters"], cluster["majority"]
    if voters == 1:
        return "One node votes, and decides alone; when it fails, nothing is launched."
    votes = f"{voters} nodes vote; {majority} of them are a majority"
    spare = cluster["survives"]
    if not spare:
        return f"{votes}, so both must run. A third voter would let one fail."
    may = "one may fail" if spare == 1 else f"{spare} may fail"
    even = "" if voters % 2 else f"; {voters - 1} voters would survive as many"
    observers = sum(node["role"] == "observer" for node in cluster["nodes"])
    others = f" {words.plural(observers, 'observer')} more without a vote." if observers else ""
    return f"{votes}, so {may}{even}.{others}"


async def change_cluster(client: Client, args: argparse.Namespace) -> None:
    """Pause or resume the cluster, or let another node lead."""
    answer = await client.post(
        path_of("cluster", args.verb), repeatable=args.verb != "transfer-leader"
    )
    if args.json:
        say_json(answer)
    else:
        say(_CHANGES[args.verb][1])
