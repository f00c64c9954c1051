"""`croncord cluster recover`: going on alone when a majority of the disks is gone for good.

No program may decide this: what only the lost nodes held may have been confirmed to somebody.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import msgspec

from croncord.bootstrap import prepare_data_dir
from croncord.cli import cluster
from croncord.cli.output import say
from croncord.cli.parser import Nouns
from croncord.cli.words import plural
from croncord.config import load_settings
from croncord.errors import Conflict
from croncord.raft.membership import last_entry, stand_alone, voters_of
from croncord.restore import add_restore
from croncord.standing import Standing

_EXAMPLE = """example:
  croncord cluster recover --data-dir /var/lib/croncord --name n1

Run it on ONE stopped node, the one whose last entry is the newest: look on each survivor first
(without answering the question, nothing is changed). Then start that node as always, and let the
others join it with empty data directories: croncord cluster join-token."""


def add_parser(nouns: Nouns[Any]) -> None:
    """Add `cluster`, its verbs that ask a running node, and those for a stopped one."""
    verbs = cluster.add_parser(nouns)
    verb = verbs.add_parser(
        "recover",
        help="on a stopped node: go on alone when a majority of the nodes is lost for good",
        description="Make this stopped node the only voter, when a majority is lost for good.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.set_defaults(handler=recover)
    verb.add_argument("--config", type=Path, metavar="FILE", help="the TOML file of `serve`")
    verb.add_argument("--data-dir", metavar="DIR", help="as for `serve`")
    verb.add_argument("--name", help="this node's name, as for `serve`; default: the host name")
    verb.add_argument("--yes", action="store_true", help="do not ask")
    add_restore(verbs)


def recover(args: argparse.Namespace) -> int:
    """Say what will be lost, have it confirmed, do it. Raises ConfigError, StoreError, Conflict."""
    named = {"data_dir": args.data_dir, "name": args.name}
    settings = load_settings(named, {}, args.config)
    standing = Standing(settings.data_dir)
    standing.check_not_removed()
    with prepare_data_dir(settings.data_dir):
        others = sorted(voters_of(settings.data_dir, settings.name).keys() - {settings.name})
        if not others:
            say(f"{settings.name} is the only voter already: start it.")
            return 0
        index, term = last_entry(settings.data_dir)
        say(_warning(settings.name, others, index, term))
        if not args.yes and not _is_confirmed(settings.name):
            raise Conflict("nothing was changed", hint="Type the node's name, or give --yes.")
        stand_alone(settings.data_dir, settings.name)
        record = standing.record()
        kept = {name: raft for name, raft in record.members.items() if name not in others}
        standing.keep_record(
            msgspec.structs.replace(
                record, members=kept, urls=(), lost=tuple(sorted({*record.lost, *others}))
            )
        )
    say(
        f"{settings.name} is the only voter now. Start it as always, then let the others join it "
        "with empty data directories."
    )
    return 0


def _warning(name: str, others: list[str], index: int, term: int) -> str:
    lost = ", ".join(others)
    return f"""{name} will go on without {lost}, for good.

  Its last entry is number {index} of term {term}. Whatever {lost} had agreed on after
  that is lost: changes of jobs, launches, results. Ticks of that time may be launched again.
  What {name} holds becomes agreed, also what was never confirmed to anybody.
  {plural(len(others), "disk")} must never be used again: {lost} join later, as new nodes.

If {lost} can still be started, start {"it" if len(others) == 1 else "them"} instead."""


def _is_confirmed(name: str) -> bool:
    sys.stdout.write(f"\nType {name} to go on: ")
    sys.stdout.flush()
    return sys.stdin.readline().strip() == name
