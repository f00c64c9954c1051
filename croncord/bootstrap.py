"""What a node does on its way in: its identity on disk, its entry in the members, first access."""

import fcntl
import hashlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import msgspec

from croncord import __version__
from croncord.clock import Clock
from croncord.config import Settings
from croncord.credentials import Token
from croncord.errors import ConfigError, NoLeader, OutcomeUnknown
from croncord.model import Node, NodeRole
from croncord.raft.access_commands import PutToken
from croncord.raft.commands import AnyCommand, InitCluster, PutNode, RemoveNode
from croncord.raft.port import Replica
from croncord.schedule import tzdata_version

TOKEN_CHARACTERS_MIN = 16
RETRY_SECONDS = 0.5


def prepare_data_dir(path: Path) -> TextIO:
    """Make the data directory, readable by its owner only, and lock it for this process.

    Returns the open lock; it is released when the process ends. Raises ConfigError when another
    node uses the directory or it cannot be written.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (path / "lock").open("a+", encoding="ascii")
    except OSError as error:
        raise ConfigError(
            f"data_dir: {path}: {error.strerror}", hint="Choose another with --data-dir."
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise ConfigError(
            f"data_dir: another node is running on {path}",
            hint="Stop it, or give this one its own --data-dir, --http and --raft.",
        ) from None
    return lock


def admin_token(data_dir: Path) -> str:
    """Return this node's own admin token, made on first use (DATA_DIR/admin.token, mode 0600)."""
    path = data_dir / "admin.token"
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        token = secrets.token_urlsafe(32)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(token + "\n")
        return token


def bootstrap_token(path: Path) -> str:
    """Read the token of `--bootstrap-token-file`. Raises ConfigError."""
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"bootstrap_token_file: {path}: {error}") from None
    if len(token) < TOKEN_CHARACTERS_MIN:
        raise ConfigError(
            f"bootstrap_token_file: {path} holds {len(token)} characters; "
            f"at least {TOKEN_CHARACTERS_MIN} are needed"
        )
    return token


def sha256(token: str) -> str:
    """Digest under which a token is known."""
    return hashlib.sha256(token.encode()).hexdigest()


class Introduction:
    """Makes the node known to the cluster, as soon as there is one to tell."""

    def __init__(
        self,
        *,
        settings: Settings,
        replica: Replica,
        clock: Clock,
        first_token: str | None,
        role: NodeRole | None = None,
        lost: Sequence[str] = (),
    ) -> None:
        """Take what this node is; `lost` are nodes that a person gave up for good."""
        self._role = role or settings.role
        self._lost = lost
        self._settings = settings
        self._replica = replica
        self._clock = clock
        self._first_token = first_token

    async def run(self) -> bool:
        """Propose until agreed; returns whether this is the first time on this data directory.

        Only then is the first token proposed, so that one which was revoked stays revoked.
        """
        marker = self._settings.data_dir / "introduced"
        is_first_time = not marker.exists()
        while True:
            try:
                await self._replica.barrier()
                if not self._replica.status().is_settled:
                    # A voter with an emptied disk: it is new until it counts.
                    await self._clock.sleep(RETRY_SECONDS)
                    continue
                for command in self._commands(is_first_time=is_first_time):
                    await self._replica.propose(command)
            except (NoLeader, OutcomeUnknown):
                # There is no majority yet; every command here is harmless when repeated.
                await self._clock.sleep(RETRY_SECONDS)
            else:
                marker.touch(mode=0o600)
                return is_first_time

    def _commands(self, *, is_first_time: bool) -> list[AnyCommand]:
        now = self._clock.now()
        by = f"node:{self._settings.name}"
        state = self._replica.state
        found: list[AnyCommand] = []
        if not state.cluster_id:
            found.append(
                InitCluster(
                    at=now,
                    by=by,
                    cluster_id=secrets.token_hex(8),
                    session_key=secrets.token_bytes(32),
                )
            )
        if is_first_time and self._first_token is not None and "bootstrap" not in state.tokens:
            token = Token(
                id="bootstrap",
                name="bootstrap",
                role="admin",
                sha256=sha256(self._first_token),
                created_at=now,
                created_by=by,
            )
            found.append(PutToken(at=now, by=by, token=token))
        found += [
            RemoveNode(at=now, by=by, name=name, force=True)
            for name in self._lost
            if name in state.nodes
        ]
        node = self._node()
        known = state.nodes.get(node.name)
        if known is None or not _says_the_same(node, known):
            found.append(PutNode(at=now, by=by, node=node))
        return found

    def _node(self) -> Node:
        now = self._clock.now()
        settings = self._settings
        return Node(
            name=settings.name,
            http=settings.http_url,
            raft=settings.raft_address,
            role=self._role,
            disk=self._replica.status().disk,
            labels=settings.labels,
            version=__version__,
            tzdata=tzdata_version(),
            max_runs=settings.max_runs,
            joined_at=now,
            changed_at=now,
        )


_NOT_ITS_OWN = ("up", "draining", "log_level", "log_level_until", "joined_at", "changed_at")
"""What others say of a node."""


def _says_the_same(node: Node, known: Node) -> bool:
    agreed = {name: getattr(known, name) for name in _NOT_ITS_OWN}
    if known.joining:
        return False
    return msgspec.structs.replace(node, **agreed) == known
