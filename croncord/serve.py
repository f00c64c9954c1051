"""`croncord serve`: run a node in the foreground."""

import argparse
import asyncio
import faulthandler
import os
from pathlib import Path
from typing import Any

from croncord.cli.parser import Nouns
from croncord.config import Settings, load_settings
from croncord.daemon import serve

_EXAMPLES = """examples:
  croncord serve
      a cluster of one, on this machine only
  croncord serve --http 10.0.0.1:8470 --raft 10.0.0.1:8471 --secret-file secret
      a cluster of one that other machines can join
  CRONCORD_JOIN_TOKEN=join_… croncord serve --join http://10.0.0.1:8470
      a further node; `croncord cluster join-token` on a member prints this line
  croncord serve --name n1 --http 10.0.0.1:8470 --raft 10.0.0.1:8471 --secret-file secret \\
      --peer n1=10.0.0.1:8471,http://10.0.0.1:8470 \\
      --peer n2=10.0.0.2:8471,http://10.0.0.2:8470 \\
      --peer n3=10.0.0.3:8471,http://10.0.0.3:8470
      one node of three; the others get the same --peer list and their own --name

Every option is also read from CRONCORD_<NAME> in the environment and from the TOML file of
--config; a flag wins over the environment, that over the file.

TERM and INT hand leadership over, stop taking work, leave running jobs to the next start, and
end with status 0. HUP reads the certificate and the log level again."""


def add_parser(nouns: Nouns[Any]) -> None:
    """Add the command `serve`."""
    parser = nouns.add_parser(
        "serve",
        help="run a node in the foreground",
        description="Run a node of the cluster in the foreground.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(handler=_serve)
    add = parser.add_argument
    add("--config", type=Path, metavar="FILE", help="TOML file with any of these settings")
    add("--name", help="this node's name; default: the host name")
    add("--data-dir", metavar="DIR", help="default: $XDG_STATE_HOME/croncord or /var/lib/croncord")
    add("--http", metavar="HOST:PORT", help="web pages and API; default 127.0.0.1:8470")
    add("--raft", metavar="HOST:PORT", help="consensus between nodes; default 127.0.0.1:8471")
    add("--advertise-http", metavar="URL", help="how others reach the web address")
    add("--advertise-raft", metavar="HOST:PORT", help="how others reach the Raft address")
    add(
        "--peer",
        action="append",
        metavar="NAME=RAFT_ADDR,HTTP_URL",
        help="a member of the initial group; repeat for each, this node included",
    )
    add(
        "--join",
        action="append",
        metavar="URL",
        help="join the cluster of this member; repeat for more. Needed once: the disk remembers",
    )
    add(
        "--join-token-file",
        metavar="FILE",
        help="what `croncord cluster join-token` printed; or in CRONCORD_JOIN_TOKEN",
    )
    add(
        "--secret-file",
        metavar="FILE",
        help="the cluster secret, the same on every node; without it "
        "a node makes one in its data directory, or gets it when it joins",
    )
    add(
        "--accept-secret-file",
        metavar="FILE",
        help="a second cluster secret that others may use, while the secret is being changed",
    )
    add("--tls-cert", metavar="FILE", help="this node's certificate; HTTP becomes HTTPS")
    add("--tls-key", metavar="FILE", help="its key, readable by its owner only")
    add("--tls-ca", metavar="FILE", help="the authority that signed all nodes' certificates")
    add(
        "--tls-mode",
        choices=["require", "allow"],
        help="allow: others may still speak without TLS, while a cluster moves to it; "
        "default require",
    )
    add(
        "--bootstrap-token-file",
        metavar="FILE",
        help="on the very first start its content becomes an admin API token",
    )
    add("--role", choices=["auto", "voter", "observer"], help="default auto")
    add("--label", action="append", metavar="KEY=VALUE", help="for targets of jobs; repeatable")
    add(
        "--output-bytes",
        type=int,
        metavar="N",
        help="room for the output of runs on this node's disk; default: half of the file system",
    )
    add(
        "--notify-command",
        action="append",
        metavar="NAME=PATH",
        help="a program that notices may be given to on this node; repeatable",
    )
    add("--max-runs", type=int, metavar="N", help="runs at once on this node; 0 is no limit")
    add("--log-level", choices=["debug", "info", "warning", "error"], help="default info")
    add("--log-format", choices=["text", "json"], help="default text")


def read_settings(args: argparse.Namespace) -> Settings:
    """Merge flags, environment and file. Raises ConfigError."""
    flags = {name: getattr(args, name, None) for name in Settings.__struct_fields__}
    return load_settings(flags, os.environ, args.config)


def _serve(args: argparse.Namespace) -> int:
    faulthandler.enable()  # a watchdog ends a stuck process by SIGABRT: where was it stuck?
    return asyncio.run(serve(read_settings(args), reread=lambda: read_settings(args)))
