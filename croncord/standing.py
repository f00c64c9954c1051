"""What the data directory remembers of the node's place in a cluster, besides the journal.

cluster.secret   the cluster secret, made here or received on joining (mode 0600)
cluster-ca.pem   the authority of the nodes' certificates, received on joining
cluster.json     the other nodes as last known, so that a restart needs no --join
removed.json     this node was removed; its disk must never take part again
restoring        a restore from a backup has begun here and not ended
"""

import contextlib
import os
import secrets
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from croncord.errors import ConfigError
from croncord.model import Instant, NodeRole
from croncord.preview import iso_utc

RESTORING: Final = "restoring"


class ClusterRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The cluster, as this node last knew it."""

    cluster_id: str = ""
    role: NodeRole | None = None
    """What this node was let in as; None when nobody had to let it in."""
    members: dict[str, str] = {}
    """Raft addresses of the other nodes."""
    urls: tuple[str, ...] = ()
    """Their web addresses."""
    lost: tuple[str, ...] = ()
    """Nodes that a person gave up when this one was told to go on alone; still to be removed."""


class RemovalNote(msgspec.Struct, frozen=True, kw_only=True):
    """When this node learned that it was removed."""

    name: str
    cluster_id: str
    at: Instant


class Standing:
    """Reads and writes those files."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self.secret_file = data_dir / "cluster.secret"
        self.authority_file = data_dir / "cluster-ca.pem"
        self._record_file = data_dir / "cluster.json"
        self._removed_file = data_dir / "removed.json"

    @property
    def has_journal(self) -> bool:
        """Whether this node has taken part in a cluster, if only its own."""
        return (self._data_dir / "raft" / "journal").exists()

    def check_not_removed(self) -> None:
        """Raise ConfigError on the disk of a node that was removed, or half restored."""
        if (self._data_dir / RESTORING).exists():
            raise ConfigError(
                f"a restore was interrupted on {self._data_dir}, so what it holds is not whole",
                hint="Run `croncord cluster restore` again with the same options.",
            )
        try:
            note = msgspec.json.decode(self._removed_file.read_bytes(), type=RemovalNote)
        except FileNotFoundError:
            return
        except msgspec.MsgspecError as error:
            raise ConfigError(f"{self._removed_file}: {error}") from None
        raise ConfigError(
            f"{note.name} was removed from its cluster; this disk learned it on {iso_utc(note.at)} "
            "and cannot take part again",
            hint=f"To let this machine join as a new node, move {self._data_dir} away, make a "
            "token on a member (croncord cluster join-token) and start it with --join.",
        )

    def secret(self) -> bytes | None:
        """Return the secret in the data directory."""
        try:
            return self.secret_file.read_bytes().strip()
        except FileNotFoundError:
            return None

    def make_secret(self) -> bytes:
        """Return the secret in the data directory, made on first use."""
        known = self.secret()
        if known is None:
            known = secrets.token_urlsafe(32).encode()
            self.keep_secret(known)
        return known

    def keep_secret(self, secret: bytes) -> None:
        """Store the cluster secret, durably and for this user only."""
        _write(self.secret_file, secret + b"\n")

    def keep_authority(self, pem: str) -> None:
        """Store the authority that the cluster told of."""
        _write(self.authority_file, pem.encode())

    def record(self) -> ClusterRecord:
        """Return what is known of the cluster; an empty record on a node that was always alone."""
        try:
            return msgspec.json.decode(self._record_file.read_bytes(), type=ClusterRecord)
        except FileNotFoundError:
            return ClusterRecord()
        except msgspec.MsgspecError as error:
            raise ConfigError(f"{self._record_file}: {error}") from None

    def keep_record(self, record: ClusterRecord) -> None:
        """Store what is known of the cluster, if it is new."""
        if record != self.record():
            _write(self._record_file, msgspec.json.format(msgspec.json.encode(record)))

    def leave(self, *, name: str, at: datetime) -> None:
        """Note that this node was removed, and forget the cluster secret."""
        note = RemovalNote(name=name, cluster_id=self.record().cluster_id, at=at)
        _write(self._removed_file, msgspec.json.encode(note))
        for path in (self.secret_file, self.authority_file, self._record_file):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()


def _write(path: Path, content: bytes) -> None:
    """Replace a file as a whole, durably, readable by its owner only."""
    aside = path.with_name(f".{path.name}.new")
    with contextlib.suppress(FileNotFoundError):
        aside.unlink()
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
