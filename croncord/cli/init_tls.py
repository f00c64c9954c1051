"""`croncord cluster init-tls`: certificates for a cluster, made without any node."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from croncord.cli.output import Column, note, say, say_json, say_table
from croncord.cli.parser import Verbs, add_verb, at_least_one, whole_number
from croncord.clock import SystemClock
from croncord.errors import ConfigError

if TYPE_CHECKING:
    from croncord.tls.directory import Directory, NodeFiles

DEFAULT_DIR = Path("croncord-tls")
DEFAULT_DAYS = 397
"""About thirteen months: renewed once a year, with a month to spare."""

_EXAMPLE = """croncord cluster init-tls --name n1 --host 10.0.0.1 n1.example.com --name n2 --host 10.0.0.2
croncord cluster init-tls --renew          # new certificates for all nodes that have one"""


class _AddHosts(argparse.Action):
    """Gives the hosts to the `--name` before it."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        if not namespace.wishes:
            parser.error(f"{option_string} comes after the --name of its node")
        *others, (name, hosts) = namespace.wishes
        namespace.wishes = [*others, (name, (*hosts, *(values or ())))]


def add_init_tls(verbs: Verbs[Any]) -> None:
    """Add the verb `init-tls`."""
    verb = add_verb(
        verbs,
        "init-tls",
        init_tls,
        "make a cluster CA and a certificate per node; what fits already is kept",
        example=_EXAMPLE,
    )
    verb.add_argument(
        "--dir",
        type=Path,
        default=DEFAULT_DIR,
        metavar="DIR",
        help=f"where the files are; default {DEFAULT_DIR}",
    )
    verb.add_argument(
        "--name",
        dest="wishes",
        action="append",
        type=lambda name: (name, ()),
        default=[],
        metavar="NODE",
        help="a node, as its setting `name` says; repeat for each",
    )
    verb.add_argument(
        "--host",
        action=_AddHosts,
        nargs="+",
        metavar="HOST",
        help="names and addresses of the node named before it; its own machine is always included",
    )
    verb.add_argument(
        "--renew", action="store_true", help="new certificates, though the present ones are good"
    )
    verb.add_argument(
        "--renew-within",
        type=whole_number,
        default=0,
        metavar="DAYS",
        help="renew those that end within so many days",
    )
    verb.add_argument(
        "--days",
        type=at_least_one,
        default=DEFAULT_DAYS,
        metavar="DAYS",
        help=f"how long certificates are good; default {DEFAULT_DAYS}",
    )


def init_tls(args: argparse.Namespace) -> int:
    """Make what is missing, then say what to put where."""
    # Loading the cryptography takes longer than most commands of this noun take altogether.
    from croncord.tls.directory import Directory, NodeWish  # noqa: PLC0415 - see above

    directory = Directory(args.dir, SystemClock().now())
    named = args.wishes or [(name, ()) for name in directory.names()]
    wishes = [NodeWish(name, hosts) for name, hosts in named]
    if not wishes:
        raise ConfigError("no node is named", hint="Name each with --name NODE --host HOST.")
    files = directory.provide(wishes, renew=args.renew, days_left=args.renew_within, days=args.days)
    if args.json:
        say_json({"ca": str(directory.ca), "ca_made": directory.made_authority, "nodes": files})
        return 0
    _tell(directory, files)
    return 0


def _tell(directory: "Directory", files: "Sequence[NodeFiles]") -> None:
    say(f"CA {'made' if directory.made_authority else 'kept'}: {directory.ca}")
    columns = [
        Column("NODE", lambda row: row["name"]),
        Column("CERTIFICATE", lambda row: row["outcome"]),
        Column("UNTIL", lambda row: f"{row['expires_at']:%Y-%m-%d}"),
        Column("FOR", lambda row: ", ".join(row["hosts"])),
    ]
    say_table(columns, [{f: getattr(row, f) for f in row.__struct_fields__} for row in files], "")
    say()
    say("Put on each node, readable only by the user it runs as:")
    for row in files:
        say(f"  {row.name}: {row.certificate}  {row.key}  {directory.ca}")
    say("and start it with --tls-cert cert.pem --tls-key key.pem --tls-ca ca.pem;")
    say("a node that runs with them already reads renewed ones on SIGHUP.")
    say("Browsers and programs need ca.pem only: croncord --ca ca.pem, curl --cacert ca.pem.")
    note(f"note: {directory.ca_key} signs for the whole cluster. Keep it here, off the nodes.")
