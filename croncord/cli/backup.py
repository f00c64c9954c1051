"""`croncord cluster backup`: the agreed state as a file, by choice with history and output."""

import argparse
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from croncord.backup_format import BackupReader, Header
from croncord.cli import words
from croncord.cli.calling import connected
from croncord.cli.client import Client
from croncord.cli.output import note, say, say_facts, say_json
from croncord.cli.parser import Verbs, add_verb
from croncord.cli.progress import Progress
from croncord.cli.wire import path_of
from croncord.errors import ConfigError, Conflict
from croncord.preview import iso_utc

_QUIET_SECONDS: Final = 300
"""A node that looks for output on others may say nothing for a while."""


def add_backup(verbs: Verbs[Any]) -> None:
    """Add the verb `backup`."""
    verb = add_verb(
        verbs,
        "backup",
        connected(take_backup),
        "write what the cluster agreed on into a file",
        example="croncord cluster backup croncord.backup\n"
        "croncord cluster backup --ledger --output --force /var/backups/croncord.backup",
    )
    verb.add_argument("file", type=Path, metavar="FILE", help="where to; readable by you only")
    verb.add_argument(
        "--ledger", action="store_true", help="with the rows of all runs and the audit trail"
    )
    verb.add_argument(
        "--output", action="store_true", help="with what the runs printed; includes --ledger"
    )
    verb.add_argument("--force", action="store_true", help="replace FILE when it exists")


async def take_backup(client: Client, args: argparse.Namespace) -> None:
    """Write the file as it comes, check it, and only then give it its name."""
    path: Path = args.file
    reader = BackupReader("what the node sent")
    size = 0
    body = {"ledger": args.ledger or args.output, "output": args.output}
    with _aside(path, replace=args.force) as file, Progress("backup") as progress:
        async with client.stream(
            path_of("cluster", "backup"),
            {},
            headers={},
            quiet_seconds=_QUIET_SECONDS,
            method="POST",
            body=body,
        ) as pieces:
            async for piece in pieces:
                for _frame in reader.feed(piece):
                    pass
                file.write(piece)
                size += len(piece)
                progress.tell(done_of(reader), words.size(size))
        reader.finish()
    header = reader.header
    assert header is not None, "a file with an end has a header"
    if args.json:
        say_json({"file": str(path), "bytes": size, **described(header, reader)})
        return
    say(f"{path}: {words.size(size)}, checked.")
    say_backup(header, reader)


def done_of(reader: BackupReader) -> float | None:
    """Return how much of a backup was read, as far as its header can tell."""
    header = reader.header
    if header is None or not header.rows_expected:
        return None
    passes = 1 + header.output
    seen = reader.items.get("rows", 0)
    # Rows come after all output, whose frames count the rows that were looked through.
    looked = header.rows_expected if seen else reader.items.get("output", 0)
    return (looked * header.output + seen) / (passes * header.rows_expected)


def described(header: Header, reader: BackupReader) -> dict[str, Any]:
    """Return what is in a backup, for programs."""
    return {
        "format": header.format,
        "version": header.version,
        "cluster_id": header.cluster_id,
        "index": header.index,
        "term": header.term,
        "at": iso_utc(header.at),
        "node": header.node,
        "nodes": list(header.nodes),
        "jobs": header.jobs,
        "users": header.users,
        "tokens": header.tokens,
        "secrets": header.secrets,
        "calendars": header.calendars,
        "open_runs": header.open_runs,
        "ledger": header.ledger,
        "output": header.output,
        "rows": reader.items.get("rows", 0),
        "audit_entries": reader.items.get("audit", 0),
        "sha256": reader.finish().sha256.hex(),
    }


def say_backup(header: Header, reader: BackupReader) -> None:
    """Print what is in a backup."""
    rows = words.plural(reader.items.get("rows", 0), "row")
    access = ", ".join(
        [
            words.plural(header.users, "user"),
            words.plural(header.tokens, "token"),
            words.plural(header.secrets, "secret"),
        ]
    )
    changes = words.plural(reader.items.get("audit", 0), "change")
    say_facts(
        [
            ("taken", f"{iso_utc(header.at)} on {header.node}, at entry {header.index}"),
            ("cluster", f"{header.cluster_id} of {', '.join(header.nodes) or 'no nodes'}"),
            ("jobs", f"{header.jobs}, {words.plural(header.open_runs, 'run')} open"),
            ("access", access),
            ("history", f"{rows}, {changes} in the audit trail" if header.ledger else "no"),
            ("output", "yes" if header.output else "no"),
        ]
    )
    if header.secrets:
        note(
            "The secrets are sealed with the cluster secret, which is not in the file: keep the file "
            "of --secret-file, or DATA_DIR/cluster.secret of any node, in another place."
        )


@contextlib.contextmanager
def _aside(path: Path, *, replace: bool) -> Iterator[BinaryIO]:
    """Write a file beside its place and put it there when all went well, durably."""
    if path.exists() and not replace:
        raise Conflict(f"{path} exists", hint="Give another name, or --force to replace it.")
    aside = path.with_name(f".{path.name}.part")
    try:
        aside.unlink(missing_ok=True)
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", hint="Choose another place.") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
