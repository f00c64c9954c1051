"""`croncord cluster restore`: a new cluster begins with the state of a backup.

The first node of the new cluster is made from the file, while it does not run; the others join it with
empty disks. Nothing of the file is launched: see `croncord.raft.restoring`.
"""

import argparse
import asyncio
import os
import secrets
from datetime import datetime
from pathlib import Path
from typing import Any

from croncord.audit import AuditEntry
from croncord.backup_format import BackupReader, Header
from croncord.bootstrap import prepare_data_dir
from croncord.cli.backup import described, say_backup
from croncord.cli.output import note, say, say_json
from croncord.cli.parser import Verbs
from croncord.cli.progress import Progress
from croncord.cli.words import plural
from croncord.clock import SystemClock, to_milliseconds
from croncord.config import Settings, load_settings, read_secret
from croncord.errors import ConfigError, Conflict
from croncord.logs.retention import Keep
from croncord.model import Node
from croncord.node.vault import SecretVault
from croncord.raft.installing import install
from croncord.raft.restoring import BY, Beginning, Restoring
from croncord.raft.sealed_values import SealedValue, put_sealed, sealed_values
from croncord.raft.state import ClusterState
from croncord.standing import RESTORING, Standing
from croncord.unpacking import Unpacking, check_backup, clean, used_parts

_EXAMPLE = """examples:
  croncord cluster restore croncord.backup --dry-run
      what is in the file, and whether it is whole; changes nothing
  croncord cluster restore croncord.backup --config /etc/croncord/croncord.toml
      on ONE stopped node with an empty data directory; then start it, and after it the other
      nodes, with empty data directories too

Ticks that were due between the backup and the restore get a row that says so and are not launched;
runs that were open are closed as lost or skipped. Everybody signs in again; API tokens stay valid.
Never let the old cluster and the restored one run at the same time: both would launch the same jobs."""


def add_restore(verbs: Verbs[Any]) -> None:
    """Add the verb `restore`."""
    verb = verbs.add_parser(
        "restore",
        help="on a stopped node with an empty disk: begin a new cluster with a backup",
        description="Make the first node of a new cluster from a backup.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.set_defaults(handler=restore)
    add = verb.add_argument
    add("file", type=Path, metavar="FILE", help="what `cluster backup` wrote")
    add("--dry-run", action="store_true", help="say what is in the file and change nothing")
    add("--config", type=Path, metavar="FILE", help="the TOML file of `serve`")
    add("--data-dir", metavar="DIR", help="as for `serve`")
    add("--name", help="this node's name, as for `serve`; default: the host name")
    add("--http", metavar="HOST:PORT", help="as for `serve`")
    add("--raft", metavar="HOST:PORT", help="as for `serve`")
    add("--peer", action="append", metavar="NAME=RAFT_ADDR,HTTP_URL", help="as for `serve`")
    add("--secret-file", metavar="FILE", help="as for `serve`: the secret of the new cluster")
    add(
        "--old-secret-file",
        type=Path,
        metavar="FILE",
        help="the secret of the cluster that was backed up, when the new cluster has another one: "
        "its secrets are sealed anew",
    )
    add(
        "--without-secrets",
        action="store_true",
        help="go on though the cluster secret is lost: each secret must be set again",
    )
    add(
        "--catch-up",
        action="store_true",
        help="let each job's misfire policy decide about ticks since the backup; what the old "
        "cluster launched after the backup may then be launched again",
    )
    add("--paused", action="store_true", help="launch nothing until `croncord cluster resume`")
    add("--json", action="store_true", help="print JSON, for programs")


def restore(args: argparse.Namespace) -> int:
    """Check all of the file, then make the node. Raises ConfigError, Conflict, StoreError."""
    with Progress("backup") as progress:
        state, reader = check_backup(args.file, progress.tell)
    header = reader.header
    assert header is not None, "a file with an end has a header"
    if args.dry_run:
        _say_found(args, header, reader)
        return 0
    settings = _settings(args)
    with prepare_data_dir(settings.data_dir):
        if (settings.data_dir / RESTORING).exists():
            clean(settings.data_dir)
        used = used_parts(settings.data_dir)
        if used:
            raise Conflict(
                f"{settings.data_dir} is in use: it holds {', '.join(used)}",
                hint="A restore needs an empty data directory: stop the node and move this one away.",
            )
        sealed = _with_readable_secrets(args, settings, state)
        (settings.data_dir / RESTORING).touch(mode=0o600)
        try:
            done = asyncio.run(_make(args, settings, state, header))
        except BaseException:
            clean(settings.data_dir)
            raise
        (settings.data_dir / RESTORING).unlink()
    if args.json:
        say_json({**described(header, reader), **done, "secrets_readable": sealed})
    else:
        _say_done(settings, header, reader, done)
    return 0


def _settings(args: argparse.Namespace) -> Settings:
    names = ("data_dir", "name", "http", "raft", "peer", "secret_file")
    return load_settings({name: getattr(args, name) for name in names}, os.environ, args.config)


def _with_readable_secrets(
    args: argparse.Namespace, settings: Settings, state: ClusterState
) -> bool:
    """Seal the secrets with the new cluster's key where that is another one.

    Raises ConfigError when they cannot be opened; the secret of the new cluster is made only then.
    """
    standing = Standing(settings.data_dir)
    known = read_secret(settings.secret_file) if settings.secret_file else standing.secret()
    old = SecretVault(read_secret(args.old_secret_file)) if args.old_secret_file else None
    own = SecretVault(known) if known else None
    readable = {vault.key_id for vault in (old, own) if vault is not None}
    closed = [secret.name for secret in state.secrets.values() if secret.key_id not in readable]
    if closed and not args.without_secrets:
        given = "the cluster secret given here is another one" if known else "none is given"
        raise ConfigError(
            f"{plural(len(closed), 'secret')} of the backup ({', '.join(closed[:5])}) cannot be "
            f"opened: they are sealed with the old cluster's secret, and {given}",
            hint="Give that one with --secret-file (or put it into DATA_DIR/cluster.secret, mode "
            "0600), or with --old-secret-file when the new cluster has another; if it is lost, "
            "--without-secrets restores the rest.",
        )
    own = own or SecretVault(standing.make_secret())
    if old is not None and old.key_id != own.key_id:
        _reseal(state, old, own)
    return not closed


def _reseal(state: ClusterState, old: SecretVault, own: SecretVault) -> None:
    """Seal anew what the old key opens; anything else has to be set again."""
    for name, sealed, key_id in list(sealed_values(state)):
        if key_id == old.key_id:
            again = own.seal(name, old.open(name, sealed))
            put_sealed(state, SealedValue(name, again, own.key_id))


async def _make(
    args: argparse.Namespace, settings: Settings, state: ClusterState, header: Header
) -> dict[str, Any]:
    unpacking = Unpacking(settings.data_dir, settings.name, output_bytes=settings.output_bytes)
    await unpacking.open()
    try:
        with Progress("restore") as progress:
            await unpacking.unpack(args.file, progress.tell)
        now = to_milliseconds(SystemClock().now())
        beginning = Beginning(
            at=now,
            backup_at=header.at,
            cluster_id=secrets.token_hex(8),
            session_key=secrets.token_bytes(32),
            nodes=tuple(_nodes(settings, now)),
            rows_per_job=Keep().runs_per_job,
            catch_up=args.catch_up,
            paused=args.paused,
        )
        restoring = Restoring(state, beginning, unpacking)
        entry = AuditEntry(
            index=header.index + 1,
            at=now,
            by=BY,
            address="",
            action="cluster.restore",
            subject="cluster",
        )
        await unpacking.transform(restoring, header, entry)
    finally:
        await unpacking.close()
    install(
        settings.data_dir,
        state,
        name=settings.name,
        address=settings.raft_address,
        index=header.index + 1,
        term=max(header.term, state.term) + 1,
    )
    return {
        "lost": restoring.lost,
        "not_launched": restoring.not_launched,
        "skipped": restoring.ticks,
        "restored_at": now,
    }


def _nodes(settings: Settings, now: datetime) -> list[Node]:
    """Return the machines that may come in: this one first."""
    known = {peer.name: (peer.http, peer.raft) for peer in settings.peers}
    own = {settings.name: (settings.http_url, settings.raft_address)}
    return [
        Node(
            name=name,
            http=http,
            raft=raft,
            role="auto",
            up=False,
            joining=True,
            joined_at=now,
            changed_at=now,
        )
        for name, (http, raft) in {**own, **known}.items()
    ]


def _say_found(args: argparse.Namespace, header: Header, reader: BackupReader) -> None:
    if args.json:
        say_json({"file": str(args.file), **described(header, reader)})
        return
    say(f"{args.file} is whole. Nothing was changed.")
    say_backup(header, reader)


def _say_done(
    settings: Settings, header: Header, reader: BackupReader, done: dict[str, Any]
) -> None:
    say(f"{settings.data_dir} holds the first node of a new cluster, {settings.name}.")
    say_backup(header, reader)
    say(
        f"{plural(done['lost'], 'run')} that ran then: lost; {done['not_launched']} that waited: not "
        f"launched. {plural(done['skipped'], 'tick')} between the backup and now: skipped."
    )
    others = [peer.name for peer in settings.peers if peer.name != settings.name]
    join = ", ".join(others) if others else "others (croncord cluster join-token)"
    note(f"Start {settings.name} as always. Then start {join} with empty data directories.")
